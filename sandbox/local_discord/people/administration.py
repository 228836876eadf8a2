"""What the admins of a guild do in its settings: command permissions, channels, adding and removing the app.

A function raises Refused with a sentence where Discord's client would not let the person act. Sources: Discord docs,
Application Commands ('Permissions'), Permissions ('Bitwise Permission Flags'), Application ('Installation Context').
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sandbox.local_discord.errors import DiscordError
from sandbox.local_discord.people.command_checks import Refused, may_use_command
from sandbox.local_discord.rules.command_permissions import CHANNEL, ROLE, USER, all_channels_id, read_entries
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import CommandPermissionsChanged
from sandbox.local_discord.state.model import Channel, ChannelKind, Guild, Json, Person
from sandbox.local_discord.state.state import State

_CHANNEL_NAME = re.compile(r"[a-z0-9_-]{1,100}")


def find_guild(state: State, name_or_id: str | int) -> Guild:
    wanted = str(name_or_id)
    for guild in state.guilds.values():
        if wanted in (guild.name, str(guild.id)):
            return guild
    raise Refused("There is no such server.")


def entry(state: State, guild: Guild, kind: str, name: str, allowed: bool) -> Json:
    """Return an entry of command permissions for a role, user or channel by name; "*" means all channels."""
    if kind == "role":
        found = {role.name: role.id for role in guild.roles}.get(name)
    elif kind == "user":
        found = state.people[name].id if name in state.people else None
    elif name == "*":
        found = all_channels_id(guild.id)
    else:
        found = state.channels[name].id if name in state.channels else None
    if found is None:
        raise Refused(f"There is no {kind} called {name}.")
    return {"id": str(found), "type": {"role": ROLE, "user": USER}.get(kind, CHANNEL), "permission": allowed}


def set_command_permissions(state: State, person: Person, guild: Guild, target: str | None, sent: Any) -> None:
    """Replace the entries of a command (by name or id), or with None those of the whole app; no entries: the default.

    Needs Manage Server and Manage Roles, and that the person may run the command.
    """
    _need(state, person, guild, p.MANAGE_GUILD | p.MANAGE_ROLES, "change the permissions of commands")
    if not guild.installed:
        raise Refused("The app is not installed in this server.")
    target_id = state.application_id
    if target is not None:
        command = _command(state, guild, target)
        if not may_use_command(state, command, person, guild, state.guild_permissions(person.id, guild), None):
            raise Refused("You may not use this command yourself.")
        target_id = int(command["id"])
    try:
        entries = read_entries(sent)
    except DiscordError as error:
        raise Refused("Up to 100 roles, people and channels can be allowed or denied.") from error
    _check_entries(state, guild, entries)
    if entries:
        state.command_permissions[guild.id, target_id] = entries
    else:
        state.command_permissions.pop((guild.id, target_id), None)
    state.tell(CommandPermissionsChanged(guild.id, target_id))


def _command(state: State, guild: Guild, target: str) -> Json:
    for command in [*state.commands.get(guild.id, []), *state.commands[None]]:
        if target in (command["id"], command["name"]):
            return command
    raise Refused("There is no such command in this server.")


def _check_entries(state: State, guild: Guild, entries: Sequence[Json]) -> None:
    channels = {channel.id for channel in state.channels.values() if channel.guild_id == guild.id}
    known = {
        ROLE: {role.id for role in guild.roles},
        USER: set(guild.members),
        CHANNEL: channels | {all_channels_id(guild.id)},
    }
    if any(int(entry["id"]) not in known[entry["type"]] for entry in entries):
        raise Refused("Only roles, members and channels of this server can be allowed or denied.")
    if len({(entry["type"], entry["id"]) for entry in entries}) < len(entries):
        raise Refused("Each of them can be listed once only.")


def make_channel(state: State, person: Person, guild: Guild, name: str, *, nsfw: bool = False) -> Channel:
    """Make a text channel. Names are unique here, because tests and the page's address name channels by them."""
    _need(state, person, guild, p.MANAGE_CHANNELS, "make channels")
    if not _CHANNEL_NAME.fullmatch(name) or name.isdigit() or name == "dm":
        raise Refused("A channel's name has small letters, digits and dashes.")
    if name in state.channels:
        raise Refused("There is a channel of that name already.")
    channel = Channel(state.ids.next_id(), name, ChannelKind.TEXT, guild.id, nsfw=nsfw)
    state.save_channel(channel)
    return channel


def set_age_restricted(state: State, person: Person, channel: Channel, nsfw: bool) -> None:
    """Mark a channel as age-restricted, or take the mark away; threads have that of their channel."""
    guild = state.guild_of(channel)
    if guild is None or channel.is_thread:
        raise Refused("Only a server's channel can be age-restricted; its threads follow it.")
    _need(state, person, guild, p.MANAGE_CHANNELS, "change channels")
    state.save_channel(replace(channel, nsfw=nsfw))


def remove_app(state: State, person: Person, guild: Guild) -> None:
    _need(state, person, guild, p.MANAGE_GUILD, "remove apps")
    if not guild.installed:
        raise Refused("The app is not installed in this server.")
    state.remove_app(guild.id)


def add_app(state: State, person: Person, guild: Guild) -> None:
    _need(state, person, guild, p.MANAGE_GUILD, "add apps")
    if guild.has_bot:
        raise Refused("The app is installed in this server already.")
    state.add_app(guild.id)


def _need(state: State, person: Person, guild: Guild, needed: int, what: str) -> None:
    if needed & ~state.guild_permissions(person.id, guild):
        raise Refused(f"You may not {what} in {guild.name}.")
