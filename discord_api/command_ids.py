"""The ids that Discord gave the bot's commands, kept in memory. command_sync stores them when a list is sent."""

from __future__ import annotations

from collections.abc import Mapping

import discord

from discord_api.command_sync import Load, load_command_ids, load_guild_command_ids, name_of

_SLASH = name_of(discord.AppCommandType.chat_input, "")


class CommandIds:
    """One for a process. *load*: loads a value of the key-value store."""

    def __init__(self, client: discord.Client, load: Load, api_url: str) -> None:
        self._client = client
        self._load = load
        self._api_url = api_url
        self._global: Mapping[str, int] = {}
        self._by_guild: Mapping[int, Mapping[str, int]] = {}

    async def load(self) -> None:
        """Take over what is stored. Raises DatabaseLost; then what was known stays."""
        of, api_url = self._client.application_id, self._api_url
        everywhere = await load_command_ids(of, load=self._load, api_url=api_url)
        self._by_guild = await load_guild_command_ids(of, load=self._load, api_url=api_url)
        self._global = everywhere

    async def find(self, type: discord.AppCommandType, name: str) -> int | None:
        """Return the id of a command that all places have; None while no process has sent the list. Raises
        DatabaseLost."""
        if name_of(type, name) not in self._global:
            await self.load()
        return self._global.get(name_of(type, name))

    def slash_commands(self, guild_id: int | None) -> Mapping[str, int]:
        """Return the known ids of the slash commands in a server or, without *guild_id*, elsewhere, by name."""
        known = {**self._global, **self._by_guild.get(guild_id or 0, {})}
        return {name.removeprefix(_SLASH): number for name, number in known.items() if name.startswith(_SLASH)}
