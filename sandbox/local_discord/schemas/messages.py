"""The shapes of bodies that create or edit messages, and of interaction callbacks.

Sources: Discord docs, Message ('Create Message', 'Edit Message'), Webhook ('Execute Webhook'),
Receiving and Responding ('Interaction Response Object').
"""

from __future__ import annotations

from typing import Any

from sandbox.local_discord.errors import Path
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.schemas import embeds
from sandbox.local_discord.schemas.checks import (
    Check,
    Findings,
    an_object,
    anything,
    boolean,
    integer,
    list_of,
    nullable,
    one_of,
    snowflake,
    text,
)

_ids = nullable(list_of(snowflake, 0, 100))
_allowed_mentions = nullable(
    an_object(
        {
            "parse": nullable(list_of(one_of("users", "roles", "everyone"))),
            "users": _ids,
            "roles": _ids,
            "replied_user": nullable(boolean),
        }
    )
)
_reference = nullable(
    an_object(
        {
            "message_id": snowflake,
            "channel_id": nullable(snowflake),
            "guild_id": nullable(snowflake),
            "fail_if_not_exists": nullable(boolean),
            "type": nullable(integer(0, 1)),
        },
        ["message_id"],
    )
)


def _nonce(value: Any, at: Path, found: Findings) -> None:
    """Check for at most 25 characters, or a whole number (Discord docs: Message, 'Create Message')."""
    if not isinstance(value, int) or isinstance(value, bool):
        text(0, 25)(value, at, found)


_EDIT: dict[str, Check] = {
    "content": nullable(text(0, 2000)),
    "embeds": nullable(list_of(embeds.embed, 0, 10)),
    "allowed_mentions": _allowed_mentions,
    "components": parts.message_components,
    "attachments": nullable(list_of(embeds.attachment, 0, 10)),
    "flags": nullable(integer(0)),
}
_WEBHOOK: dict[str, Check] = _EDIT | {"tts": nullable(boolean), "poll": anything}

message_create = an_object(
    _WEBHOOK
    | {
        "nonce": nullable(_nonce),
        "enforce_nonce": nullable(boolean),
        "message_reference": _reference,
        "sticker_ids": nullable(list_of(snowflake, 0, 3)),
    }
)
# discord.py sends tts beside an edit; Discord ignores it.
message_edit = an_object(_EDIT | {"tts": nullable(boolean), "sticker_ids": anything})
follow_up_create = an_object(_WEBHOOK)
callback_message = an_object(_WEBHOOK)

_defer = an_object({"flags": nullable(integer(0))})
_nothing = an_object({})
_CALLBACK_DATA: dict[int, Check] = {
    1: nullable(_nothing),
    4: callback_message,
    5: nullable(_defer),
    6: nullable(_nothing),
    7: nullable(callback_message),
    9: parts.modal,
}
DATA_NEEDED = frozenset({4, 9})


def interaction_callback(value: Any, at: Path, found: Findings) -> None:
    """Check a callback: `type` decides what `data` may be. Types 8, 10 and 12 answer what this stand-in never sends."""
    an_object({"type": one_of(*_CALLBACK_DATA), "data": anything}, ["type"])(value, at, found)
    if found.problems:
        return
    if value["type"] in DATA_NEEDED and value.get("data") is None:
        found.add((*at, "data"), "BASE_TYPE_REQUIRED", "This field is required")
    else:
        _CALLBACK_DATA[value["type"]](value.get("data") or {}, (*at, "data"), found)


private_channel = an_object(
    {"recipient_id": snowflake, "access_tokens": anything, "nicks": anything},
    ["recipient_id"],
)
