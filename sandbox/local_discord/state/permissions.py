"""Permission bits, and how overwrites change them (Discord docs: Permissions)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CREATE_INSTANT_INVITE = 1 << 0
KICK_MEMBERS = 1 << 1
ADMINISTRATOR = 1 << 3
MANAGE_CHANNELS = 1 << 4
MANAGE_GUILD = 1 << 5
ADD_REACTIONS = 1 << 6
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
MENTION_EVERYONE = 1 << 17
USE_EXTERNAL_EMOJIS = 1 << 18
CONNECT = 1 << 20
CHANGE_NICKNAME = 1 << 26
MANAGE_ROLES = 1 << 28
USE_APPLICATION_COMMANDS = 1 << 31
MANAGE_THREADS = 1 << 34
SEND_MESSAGES_IN_THREADS = 1 << 38
USE_EXTERNAL_APPS = 1 << 50

EVERYTHING = (1 << 51) - 1

EVERYONE = (
    CREATE_INSTANT_INVITE
    | ADD_REACTIONS
    | VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | USE_EXTERNAL_EMOJIS
    | CONNECT
    | CHANGE_NICKNAME
    | USE_APPLICATION_COMMANDS
    | SEND_MESSAGES_IN_THREADS
    | USE_EXTERNAL_APPS
)
MODERATOR = MANAGE_MESSAGES | MANAGE_THREADS | KICK_MEMBERS | MENTION_EVERYONE
ADMIN = MODERATOR | MANAGE_GUILD | MANAGE_ROLES | MANAGE_CHANNELS
PRIVATE_CHANNEL = ATTACH_FILES | EMBED_LINKS | MENTION_EVERYONE
DIRECT_MESSAGE = PRIVATE_CHANNEL | USE_EXTERNAL_EMOJIS
"""`app_permissions` among people, and in a DM with the bot (Discord docs: Receiving and Responding, 'Interaction
Structure').
"""
COMMANDS_ONLY = ATTACH_FILES | EMBED_LINKS | MENTION_EVERYONE | USE_EXTERNAL_EMOJIS
"""The most that `app_permissions` hold in a server whose members have the app's commands without its bot user (Discord
docs: Change Log, 2024-06-27).
"""


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What one role or member is allowed or denied in one channel; `kind` 0 is a role, 1 a member."""

    target_id: int
    kind: int
    allow: int
    deny: int


def effective_permissions(
    base: int, overwrites: Iterable[Overwrite], *, everyone_id: int, role_ids: frozenset[int], member_id: int
) -> int:
    """Return the permissions in a channel: apply everyone's overwrite, then the roles' together, then the member's."""
    if base & ADMINISTRATOR:
        return EVERYTHING
    held = base
    overwrites = list(overwrites)
    for overwrite in overwrites:
        if overwrite.kind == 0 and overwrite.target_id == everyone_id:
            held = (held & ~overwrite.deny) | overwrite.allow
    allow = deny = 0
    for overwrite in overwrites:
        if overwrite.kind == 0 and overwrite.target_id in role_ids and overwrite.target_id != everyone_id:
            allow |= overwrite.allow
            deny |= overwrite.deny
    held = (held & ~deny) | allow
    for overwrite in overwrites:
        if overwrite.kind == 1 and overwrite.target_id == member_id:
            held = (held & ~overwrite.deny) | overwrite.allow
    return held if held & VIEW_CHANNEL else 0
