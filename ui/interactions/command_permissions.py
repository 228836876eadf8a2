"""Refuse buttons and forms to who may not use the command that they stand for.

A server's admins allow and deny commands to users, roles and channels (Server Settings, Integrations). Discord applies
that to commands, and to buttons and forms it does not (an inference, see discord_api/command_permissions.py). What the
admins set is fetched with the bot's token and kept for FRESH_SECONDS; Discord's event about a change is noted at once.
What is known stays in force while Discord can't be asked; where nothing is known, nobody is refused. Must not know the
database.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import discord
from discord.ext import commands

from discord_api.command_ids import CommandIds
from discord_api.command_permissions import (
    GuildPermissions,
    Overwrites,
    may_use,
    parse_guild_permissions,
    parse_overwrites,
)
from discord_api.errors import NO_ANSWER, asking, described, names_no_cause
from generations.clock import Clock, done_within
from ui.interactions.errors import CommandDenied
from ui.interactions.origin import requester_of
from ui.texts import buttons as texts_buttons

log = logging.getLogger("qwen_imagine.interactions")

GUILDS_MAX = 1000
FRESH_SECONDS = 600.0  # an event may be lost while the gateway is away
RETRY_SECONDS = 60.0  # after Discord could not be asked
ASK_SECONDS = 1.5  # how long a press waits for Discord; a form can't follow after three


@dataclass(frozen=True, slots=True)
class Command:
    """A command that buttons and forms stand for. *title*: as people see it."""

    type: discord.AppCommandType
    name: str
    title: str


IMAGINE = Command(discord.AppCommandType.chat_input, "imagine", "`/imagine`")
MENU = Command(discord.AppCommandType.message, texts_buttons.MENU_NAME, f'"{texts_buttons.MENU_NAME}"')


@dataclass(slots=True)
class _Guild:
    """What is known of one guild. *told*: by events while *loading* is under way, since its answer may be older."""

    permissions: GuildPermissions = field(default_factory=dict[int, Overwrites])
    ask_at: float = 0.0  # monotonic seconds
    loading: asyncio.Task[None] | None = None
    told: dict[int, Overwrites] = field(default_factory=dict[int, Overwrites])


class CommandPermissions:
    """One for a process."""

    def __init__(self, client: commands.AutoShardedBot, clock: Clock, command_ids: CommandIds) -> None:
        self._client = client
        self._clock = clock
        self._command_ids = command_ids
        self._guilds: OrderedDict[int, _Guild] = OrderedDict()  # the one that was used last at the end

    async def check(self, interaction: discord.Interaction[Any], command: Command) -> None:
        """Return within ASK_SECONDS if the person may use *command* here, as in every direct message. Raises
        CommandDenied."""
        requester, application_id = requester_of(interaction), interaction.application_id
        if requester.guild_id is None:
            return
        permissions = await self._find(requester.guild_id, application_id)
        listed = self._client.tree.get_command(command.name, type=command.type)
        needed = None if listed is None else listed.default_permissions
        if not may_use(
            requester,
            interaction.permissions.value,
            permissions,
            command_id=await self._command_ids.find(command.type, command.name) if permissions else None,
            application_id=application_id,
            default_member_permissions=None if needed is None else needed.value,
        ):
            raise CommandDenied(command.title, by_form=interaction.type is discord.InteractionType.modal_submit)

    def note_update(self, event: discord.RawAppCommandPermissionsUpdateEvent) -> None:
        """Note what is set for one command or for the application from now on."""
        guild = self._guild(event.guild.id)
        overwrites = parse_overwrites(
            [{"id": each.id, "type": each.type.value, "permission": each.permission} for each in event.permissions]
        )
        guild.permissions = {**guild.permissions, event.target_id: overwrites}
        if guild.loading is not None:
            guild.told[event.target_id] = overwrites

    def _guild(self, guild_id: int) -> _Guild:
        guild = self._guilds.setdefault(guild_id, _Guild())
        self._guilds.move_to_end(guild_id)
        if len(self._guilds) > GUILDS_MAX:
            self._guilds.popitem(last=False)
        return guild

    async def _find(self, guild_id: int, application_id: int) -> GuildPermissions:
        """Return what is known, and first ask Discord if it is time to. At most one call for a guild at once."""
        guild = self._guild(guild_id)
        if guild.loading is None and self._clock.monotonic() >= guild.ask_at:
            guild.loading = asyncio.create_task(self._load(guild, guild_id, application_id))
        if guild.loading is not None:
            await done_within(guild.loading, ASK_SECONDS, self._clock)
        return guild.permissions

    async def _load(self, guild: _Guild, guild_id: int, application_id: int) -> None:
        """Ask Discord. What was known is kept if it can't be asked."""
        wait = RETRY_SECONDS
        try:
            guild.permissions = {**await self._ask(guild_id, application_id), **guild.told}
            wait = FRESH_SECONDS
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.info("guild %s: its command permissions can't be read: %s", guild_id, described(error))
        finally:
            guild.ask_at = self._clock.monotonic() + wait
            guild.loading = None
            guild.told.clear()

    async def _ask(self, guild_id: int, application_id: int) -> GuildPermissions:
        """Return what the admins set; nothing where Discord has none (404/10066) or the bot is not there (403/50001).
        Raises discord.HTTPException and NO_ANSWER."""
        http = self._client.http
        try:
            with asking(self._client):
                answer: object = await http.get_guild_application_command_permissions(application_id, guild_id)
                return parse_guild_permissions(answer)
        except (discord.NotFound, discord.Forbidden) as error:
            if names_no_cause(error):
                raise
            return {}
