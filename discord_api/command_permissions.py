"""Decide whether a member of a server may use a command, by what the server's admins allowed and denied. Pure.

The rules are those of the flowchart in Discord's docs (Change Log, 2022-11-17, "Upcoming Application Command Permission
Changes", in force since February 2023): first the channel, then the member, each by what is set for the command and,
where that says nothing, for the application, then `default_member_permissions`. Of several roles one that is allowed is
enough. What is set for a member and the command goes before `default_member_permissions`. Application Commands,
"Application Command Permissions Object", adds that a thread follows its channel and that "members with the
Administrator permission can use all commands"; Permissions, that USE_APPLICATION_COMMANDS is needed for any command.

Discord checks this for commands. That it does not for buttons and forms is an inference: its docs apply command
permissions to commands alone, and bots have had to check them for buttons themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from limits.model import Requester

ADMINISTRATOR = 1 << 3  # Discord docs: Permissions, "Bitwise Permission Flags"; so is the next
USE_APPLICATION_COMMANDS = 1 << 31


class TargetType(IntEnum):
    """Discord docs: Application Commands, "Application Command Permission Type"."""

    ROLE = 1
    USER = 2
    CHANNEL = 3


@dataclass(frozen=True, slots=True)
class Overwrites:
    """What is allowed (True) and denied (False) for one command or for the application, by id."""

    roles: Mapping[int, bool]
    users: Mapping[int, bool]
    channels: Mapping[int, bool]


NONE_SET = Overwrites({}, {}, {})
GuildPermissions = Mapping[int, Overwrites]  # of one guild, by the id of the command or of the application


def parse_guild_permissions(answer: object) -> GuildPermissions:
    """Parse the answer of "Get Guild Application Command Permissions". Raises ValueError, TypeError and LookupError for
    another shape; skips targets of a type that is not known."""
    return {int(part["id"]): parse_overwrites(part["permissions"]) for part in _list(answer)}


def parse_overwrites(permissions: object) -> Overwrites:
    """Parse the list of permissions of one command. Raises what parse_guild_permissions raises."""
    found: dict[int, dict[int, bool]] = {kind: {} for kind in TargetType}
    for each in _list(permissions):
        if not isinstance(each["permission"], bool):
            raise ValueError("a permission is neither true nor false")
        found.get(int(each["type"]), {})[int(each["id"])] = each["permission"]
    return Overwrites(found[TargetType.ROLE], found[TargetType.USER], found[TargetType.CHANNEL])


def _list(part: object) -> list[Any]:
    if not isinstance(part, list):
        raise TypeError("not a list")
    return cast("list[Any]", part)


def may_use(
    requester: Requester,
    held: int,
    permissions: GuildPermissions,
    *,
    command_id: int | None,
    application_id: int,
    default_member_permissions: int | None,
) -> bool:
    """Whether *requester* may use the command where they ask for it; everybody may in direct messages.

    *held*: the member's permission bits in that channel. *command_id* None: not known; then what is set for the
    application decides. *default_member_permissions*: of the command, None where it has none; 0 is for administrators
    alone.
    """
    guild_id = requester.guild_id
    if guild_id is None or held & ADMINISTRATOR:
        return True
    if not held & USE_APPLICATION_COMMANDS:
        return False
    own = NONE_SET if command_id is None else permissions.get(command_id, NONE_SET)
    shared = permissions.get(application_id, NONE_SET)
    if _first(_of_channel(each, requester, guild_id) for each in (own, shared)) is False:
        return False
    member = _of_member(own, requester, guild_id)
    if member is not None:
        return member
    if _of_member(shared, requester, guild_id) is False:
        return False
    needed = default_member_permissions
    return needed is None or (needed != 0 and held & needed == needed)


def _of_channel(overwrites: Overwrites, requester: Requester, guild_id: int) -> bool | None:
    """Return what is set for the place; a thread's channel stands for it, and the guild's id - 1 for all channels."""
    places = (requester.channel_id, requester.parent_channel_id, guild_id - 1)
    return _first(overwrites.channels.get(place) for place in places if place is not None)


def _of_member(overwrites: Overwrites, requester: Requester, guild_id: int) -> bool | None:
    """Return what is set for the member: by name, by a role, or for everybody (the guild's id)."""
    roles = [overwrites.roles[role] for role in requester.role_ids - {guild_id} if role in overwrites.roles]
    by_role = any(roles) if roles else None
    return _first((overwrites.users.get(requester.user_id), by_role, overwrites.roles.get(guild_id)))


def _first(answers: Iterable[bool | None]) -> bool | None:
    return next((answer for answer in answers if answer is not None), None)
