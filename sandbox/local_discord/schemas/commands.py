"""The shape of application commands (Discord docs: Application Commands).

Rules between fields: rules/command_list.py.
"""

from __future__ import annotations

from sandbox.local_discord.schemas.checks import (
    Check,
    an_object,
    boolean,
    by_type,
    integer,
    list_of,
    map_of,
    nullable,
    number,
    one_of,
    snowflake,
    text,
)

SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER, BOOLEAN = 1, 2, 3, 4, 5
USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = 6, 7, 8, 9, 10, 11
CHAT_INPUT, USER_MENU, MESSAGE_MENU = 1, 2, 3

_names = nullable(map_of(text(1, 32)))
_descriptions = nullable(map_of(text(1, 100)))


def _choices(value: Check) -> Check:
    choice = an_object(
        {"name": text(1, 100), "name_localizations": nullable(map_of(text(1, 100))), "value": value}, ["name", "value"]
    )
    return nullable(list_of(choice, 0, 25))


_BASE: dict[str, Check] = {
    "type": integer(),
    "name": text(1, 32),
    "name_localizations": _names,
    "description": text(1, 100),
    "description_localizations": _descriptions,
    "required": nullable(boolean),
}
_NAMED = ["type", "name", "description"]
_plain = an_object(_BASE, _NAMED)
_LEAVES: dict[int, Check] = {
    STRING: an_object(
        _BASE
        | {
            "choices": _choices(text(0, 100)),
            "min_length": nullable(integer(0, 6000)),
            "max_length": nullable(integer(1, 6000)),
            "autocomplete": nullable(boolean),
        },
        _NAMED,
    ),
    INTEGER: an_object(
        _BASE
        | {
            "choices": _choices(integer(-(2**53), 2**53)),
            "min_value": nullable(integer(-(2**53), 2**53)),
            "max_value": nullable(integer(-(2**53), 2**53)),
            "autocomplete": nullable(boolean),
        },
        _NAMED,
    ),
    NUMBER: an_object(
        _BASE
        | {
            "choices": _choices(number),
            "min_value": nullable(number),
            "max_value": nullable(number),
            "autocomplete": nullable(boolean),
        },
        _NAMED,
    ),
    CHANNEL: an_object(_BASE | {"channel_types": nullable(list_of(integer(0)))}, _NAMED),
    BOOLEAN: _plain,
    USER: _plain,
    ROLE: _plain,
    MENTIONABLE: _plain,
    ATTACHMENT: _plain,
}
_leaves = nullable(list_of(by_type(_LEAVES), 0, 25))
_sub_command = an_object(_BASE | {"options": _leaves}, _NAMED)
_group = an_object(
    _BASE | {"options": nullable(list_of(by_type({SUB_COMMAND: _sub_command}), 0, 25))},
    _NAMED,
)
_options = nullable(list_of(by_type(_LEAVES | {SUB_COMMAND: _sub_command, SUB_COMMAND_GROUP: _group}), 0, 25))

command = an_object(
    {
        "id": nullable(snowflake),
        "type": nullable(one_of(CHAT_INPUT, USER_MENU, MESSAGE_MENU)),
        "name": text(1, 32),
        "name_localizations": _names,
        "description": nullable(text(0, 100)),
        "description_localizations": _descriptions,
        "options": _options,
        "default_member_permissions": nullable(snowflake),
        "dm_permission": nullable(boolean),
        "contexts": nullable(list_of(one_of(0, 1, 2), 1, 3)),
        "integration_types": nullable(list_of(one_of(0, 1), 1, 2)),
        # Not named for the bulk PUT in Discord's OpenAPI document, but sent by discord.py and taken by Discord.
        "nsfw": nullable(boolean),
    },
    ["name"],
)
bulk = list_of(command, 0, 130)
