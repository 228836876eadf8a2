"""Who may use a command in a server: what its admins allowed and denied, and the command's default permissions.

Source: Discord docs, Application Commands ('Permissions', 'Application Command Permissions Object', 'Using Default
Permissions'). They bind commands alone: nothing in the docs applies them to buttons, selects and forms (inferred).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sandbox.local_discord.errors import invalid_form
from sandbox.local_discord.schemas.checks import an_object, boolean, examine, list_of, one_of, snowflake
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Json

ROLE, USER, CHANNEL = 1, 2, 3
MOST_ENTRIES = 100

_entry = an_object(
    {"id": snowflake, "type": one_of(ROLE, USER, CHANNEL), "permission": boolean}, ["id", "type", "permission"]
)
_entries = list_of(_entry, 0, MOST_ENTRIES)


def all_channels_id(guild_id: int) -> int:
    """Return the id that stands for all channels; that of @everyone is the server's own."""
    return guild_id - 1


def read_entries(sent: Any) -> list[Json]:
    """Return the entries with their ids as text. Raises 400/50035 for a wrong shape and more than 100."""
    found = examine(sent, _entries)
    if found.problems or found.unknown_keys:
        raise invalid_form(found.problems)
    return [{"id": str(each["id"]), "type": each["type"], "permission": each["permission"]} for each in sent]


def may_use(
    own: Sequence[Json] | None,
    shared: Sequence[Json],
    *,
    guild_id: int,
    user_id: int,
    role_ids: Collection[int],
    channel_ids: Iterable[int] | None,
    held: int,
    needed: int | None,
) -> bool:
    """Return whether a member may use a command in a channel.

    *own*: the command's entries, None without any; *shared*: those of the whole app, asked where *own* says nothing.
    *role_ids*: without @everyone's, which is the guild's. *channel_ids*: the channel, and a thread's parent; None:
    wherever it is allowed. *held*: the member's permissions; *needed*: the command's `default_member_permissions`, None
    without.

    Administrators may use everything. An allow of the command itself goes before *needed*, one of the whole app does
    not (Discord docs: Change Log, 2022-11-17, flowchart of command permissions).
    """
    if held & p.ADMINISTRATOR:
        return True
    lists = [_by_target(own or ()), _by_target(shared)]
    places = [] if channel_ids is None else [*channel_ids, all_channels_id(guild_id)]
    if _first(entries.get((CHANNEL, place)) for entries in lists for place in places) is False:
        return False
    by_command, by_app = (_of_member(entries, guild_id, user_id, role_ids) for entries in lists)
    if by_command is not None:
        return by_command
    return by_app is not False and (needed is None or (needed != 0 and not needed & ~held))


def _by_target(entries: Iterable[Json]) -> Mapping[tuple[int, int], bool]:
    return {(each["type"], int(each["id"])): bool(each["permission"]) for each in entries}


def _of_member(
    entries: Mapping[tuple[int, int], bool], guild_id: int, user_id: int, role_ids: Collection[int]
) -> bool | None:
    """Return what the entries say of a member: by their id, else one allowed role, else what @everyone has."""
    roles = [entries[ROLE, role_id] for role_id in role_ids if (ROLE, role_id) in entries]
    return _first([entries.get((USER, user_id)), any(roles) if roles else None, entries.get((ROLE, guild_id))])


def _first(answers: Iterable[bool | None]) -> bool | None:
    return next((answer for answer in answers if answer is not None), None)
