"""The permissions that the bot uses in a server, and the link that invites it with exactly these."""

from __future__ import annotations

import discord

SCOPES = ("bot", "applications.commands")
NEEDED = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    attach_files=True,
    read_message_history=True,  # for /history, and the reply that mentions somebody
    connect=True,  # for the chats of voice channels
)
# As the developer portal spells those that discord.py names differently.
_PORTAL_NAMES = {"view_channel": "View Channels", "read_messages": "View Channels"}


def invite_link(application_id: int) -> str:
    """Return the link that invites the bot user and its commands with the needed permissions."""
    scopes = "+".join(SCOPES)
    return f"https://discord.com/oauth2/authorize?client_id={application_id}&scope={scopes}&permissions={NEEDED.value}"


def missing_permissions(value: int) -> tuple[str, ...]:
    """Return the names of needed permissions that the bit field *value* lacks. An administrator lacks none."""
    if discord.Permissions(value).administrator:
        return ()
    return _names(NEEDED.value & ~value)


def unneeded_permissions(value: int) -> tuple[str, ...]:
    """Return the names of permissions in the bit field *value* that the bot does not use."""
    return _names(value & ~NEEDED.value)


def _names(value: int) -> tuple[str, ...]:
    names = [name for name, is_on in discord.Permissions(value) if is_on]
    return tuple(_PORTAL_NAMES.get(name, name.replace("_", " ").title()) for name in names)
