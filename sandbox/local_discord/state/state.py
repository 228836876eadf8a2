"""Everything that the local Discord holds now, and who may see and do what in it."""

from __future__ import annotations

import base64
import random
from dataclasses import replace

from sandbox.clock import Clock
from sandbox.local_discord.errors import unknown_thing
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import Change, ChannelSaved, GuildAdded, GuildLeft, Listener
from sandbox.local_discord.state.model import Channel, ChannelKind, Guild, Interaction, Json, Lie, Message, Person, Role
from sandbox.local_discord.state.seed_data import APP_NAME, APPLICATION_ID, build_seed_data
from sandbox.local_discord.state.snowflakes import Snowflakes

DEFAULT_ATTACHMENT_SIZE_LIMIT = 10 * 1024 * 1024
"""Bytes of one file without Nitro or boosts (Discord docs: Reference, 'Uploading Files')."""


class State:
    def __init__(self, clock: Clock, rng: random.Random) -> None:
        seed = build_seed_data()
        self.clock = clock
        self.rng = rng
        self.ids = Snowflakes(clock)
        self.application_id = APPLICATION_ID
        self.token = _make_token(APPLICATION_ID, rng)
        self.people = seed.people
        self.people_by_id = {person.id: person for person in seed.people.values()}
        self.guilds = seed.guilds
        self.channels = seed.channels
        self.channels_by_id = {channel.id: channel for channel in seed.channels.values()}
        self.messages: dict[int, Message] = {}
        self._messages_by_channel: dict[int, dict[int, Message]] = {}
        self.interactions: dict[int, Interaction] = {}
        self.interactions_by_token: dict[str, Interaction] = {}
        self.commands: dict[int | None, list[Json]] = {None: []}
        self.command_permissions: dict[tuple[int, int], list[Json]] = {}
        """By guild id, and the id of a command or of the application."""
        self.unavailable_guilds: set[int] = set()
        self.portal: Json = {}  # fields of the application as they were changed in the developer portal
        self.team: dict[int, str] = {}  # ids of people and their roles; empty: the application has one owner
        self.minors: set[int] = set()
        self.age_restricted_dms: set[int] = set()  # who enabled age-restricted commands in direct messages
        self.entitlements: list[Json] = []
        self.closed_dms: set[int] = set()
        self.archived_threads: set[int] = set()
        self.dismissed: set[tuple[int, int]] = set()
        self.attachment_size_limit = DEFAULT_ATTACHMENT_SIZE_LIMIT
        self.new_dm_limit: tuple[int, int] | None = None  # count and seconds; Discord publishes no numbers
        self.dms_opened_at_ms: list[int] = []
        self.lies: set[Lie] = set()
        self._listeners: list[Listener] = []
        for message in seed.messages:
            self.add_message(message)

    def reset_token(self) -> None:
        self.token = _make_token(self.application_id, self.rng)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def channel(self, channel_id: int) -> Channel:
        """Return a channel. Raises 404/10003 for one that does not exist."""
        found = self.channels_by_id.get(channel_id)
        if found is None:
            raise unknown_thing(10003, "Channel")
        return found

    def guild_of(self, channel: Channel) -> Guild | None:
        return None if channel.guild_id is None else self.guilds[channel.guild_id]

    def save_channel(self, channel: Channel) -> None:
        """Keep a channel that is new or changed, and tell."""
        created = channel.id not in self.channels_by_id
        self.channels[channel.name] = self.channels_by_id[channel.id] = channel
        self.tell(ChannelSaved(channel, created))

    def remove_app(self, guild_id: int) -> None:
        """Take the app with its bot user, role, guild commands and their permissions out of a guild."""
        guild = self.guilds[guild_id]
        mine = guild.members.pop(self.application_id, frozenset())
        roles = tuple(role for role in guild.roles if role.id not in mine)
        self.guilds[guild_id] = replace(guild, installed=False, has_bot=False, roles=roles)
        self.commands.pop(guild_id, None)
        for key in [key for key in self.command_permissions if key[0] == guild_id]:
            del self.command_permissions[key]
        self.unavailable_guilds.discard(guild_id)
        self.tell(GuildLeft(guild_id, unavailable=False))

    def add_app(self, guild_id: int) -> None:
        """Add the app and its bot user to a guild, with a role of its own."""
        guild, role = self.guilds[guild_id], Role(self.ids.next_id(), APP_NAME, p.EVERYONE)
        guild.members[self.application_id] = frozenset({role.id})
        self.guilds[guild_id] = replace(guild, installed=True, has_bot=True, roles=(*guild.roles, role))
        self.tell(GuildAdded(guild_id, after_outage=False))

    def set_outage(self, guild_id: int, unavailable: bool) -> None:
        """Begin or end an outage of a guild: the bot is told so, and is still in it."""
        if unavailable and self.guilds[guild_id].has_bot:
            self.unavailable_guilds.add(guild_id)
            self.tell(GuildLeft(guild_id, unavailable=True))
        elif guild_id in self.unavailable_guilds:
            self.unavailable_guilds.discard(guild_id)
            self.tell(GuildAdded(guild_id, after_outage=True))

    def is_age_restricted(self, channel: Channel) -> bool:
        """Return whether a channel, or the parent of a thread, is age-restricted."""
        if channel.is_thread and channel.parent_id is not None:
            return self.channel(channel.parent_id).nsfw
        return channel.nsfw

    def person(self, name_or_id: str | int) -> Person | None:
        found = self.people.get(str(name_or_id))
        if found is None and str(name_or_id).isdigit():
            found = self.people_by_id.get(int(name_or_id))
        return found

    def messages_in(self, channel_id: int) -> list[Message]:
        """Return the messages of a channel, oldest first."""
        return list(self._messages_by_channel.get(channel_id, {}).values())

    def last_message_id(self, channel_id: int) -> int | None:
        return next(reversed(self._messages_by_channel.get(channel_id, {})), None)

    def message_count(self, channel_id: int) -> int:
        return len(self._messages_by_channel.get(channel_id, {}))

    def add_message(self, message: Message) -> None:
        self.messages[message.id] = message
        self._messages_by_channel.setdefault(message.channel_id, {})[message.id] = message

    def remove_message(self, message: Message) -> None:
        self.messages.pop(message.id, None)
        self._messages_by_channel.get(message.channel_id, {}).pop(message.id, None)

    def permissions(self, user_id: int, channel: Channel) -> int:
        """Return the permissions of a person or the bot in a channel; 0 where they are no member.

        A private thread is seen by its members and by who has MANAGE_THREADS (Discord docs: Threads, 'Permissions').
        """
        guild = self.guild_of(channel)
        if guild is None:
            insiders = channel.member_ids or (channel.recipient_id, self.application_id)
            inside = user_id in insiders
            return (p.DIRECT_MESSAGE | p.VIEW_CHANNEL | p.SEND_MESSAGES | p.READ_MESSAGE_HISTORY) if inside else 0
        if user_id == guild.owner_id:
            return p.EVERYTHING
        held = guild.members.get(user_id)
        if held is None:
            return 0
        may = self._granted(guild, channel, held, user_id)
        outside = channel.kind is ChannelKind.PRIVATE_THREAD and user_id not in channel.member_ids
        outside = outside and not (user_id == self.application_id and Lie.OPEN_PRIVATE_THREADS in self.lies)
        return 0 if outside and not may & p.MANAGE_THREADS else may

    def guild_permissions(self, user_id: int, guild: Guild) -> int:
        """Return what a member's roles allow in the whole guild; 0 for who is no member."""
        held = guild.members.get(user_id)
        if user_id == guild.owner_id:
            return p.EVERYTHING
        return 0 if held is None else _of_roles(guild, held)

    def _granted(self, guild: Guild, channel: Channel, held: frozenset[int], user_id: int) -> int:
        """Return what the roles *held* and the channel's overwrites (a thread's are its parent's) allow."""
        base = _of_roles(guild, held)
        overwrites = channel.overwrites
        if channel.is_thread and channel.parent_id is not None:
            overwrites = self.channel(channel.parent_id).overwrites
        may = p.effective_permissions(base, overwrites, everyone_id=guild.id, role_ids=held, member_id=user_id)
        # Discord docs: Message, "Get Channel Messages": a voice channel's text needs CONNECT as well.
        return 0 if channel.kind is ChannelKind.VOICE and not may & p.CONNECT else may

    def app_permissions(self, person_id: int, channel: Channel) -> int:
        """Return what the app may do in answer to this person; where it is not installed, what the person may do.

        In a private thread they are those of its channel, also where the bot is no member (assumed: Discord's docs do
        not say, and this tells a bot least). Without the bot user: what everyone may do, within COMMANDS_ONLY.
        """
        guild = self.guild_of(channel)
        if guild is None:
            return p.PRIVATE_CHANNEL if channel.member_ids else p.DIRECT_MESSAGE
        if not guild.installed:
            return self.permissions(person_id, channel)
        if not guild.has_bot:
            return self._granted(guild, channel, frozenset(), 0) & p.COMMANDS_ONLY
        return self._granted(guild, channel, guild.members[self.application_id], self.application_id)

    def must_be_private(self, person_id: int, channel: Channel) -> bool:
        """Return whether an app that only this person installed may answer only in private (Discord docs: Permissions,
        'USE_EXTERNAL_APPS'; Application, 'Installation Context').
        """
        held = self.permissions(person_id, channel)
        return channel.guild_id is not None and not (held & p.USE_EXTERNAL_APPS and held & p.SEND_MESSAGES)

    def may_see(self, person: Person, channel: Channel) -> bool:
        return bool(self.permissions(person.id, channel) & p.VIEW_CHANNEL)

    def may_read(self, person: Person, message: Message) -> bool:
        """Return whether a person sees a message: their channel, not another person's ephemeral one, not dismissed."""
        if message.only_for not in (None, person.id) or (message.id, person.id) in self.dismissed:
            return False
        return self.may_see(person, self.channel(message.channel_id))


def _of_roles(guild: Guild, held: frozenset[int]) -> int:
    """Return what everyone's role and those of *held* allow (Discord docs: Permissions, 'Permission Hierarchy')."""
    base = 0
    for role in guild.roles:
        if role.id == guild.id or role.id in held:
            base |= role.permissions
    return p.EVERYTHING if base & p.ADMINISTRATOR else base


def _make_token(application_id: int, rng: random.Random) -> str:
    """Return a bot token with the three parts of a real one: id, time, signature."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    return f"{encode(str(application_id).encode())}.{encode(rng.randbytes(4))}.{encode(rng.randbytes(28))}"
