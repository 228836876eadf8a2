"""REST routes of command permissions: what the admins of a guild allowed and denied, for the bot to read.

Source: Discord docs, Application Commands ('Get Guild Application Command Permissions' and the two after it).
"""

from __future__ import annotations

from sandbox.local_discord import errors
from sandbox.local_discord.payloads.command_permissions import permissions_json
from sandbox.local_discord.rest.routing import Answer, Call, Route
from sandbox.local_discord.state.state import State

_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"


class CommandPermissionRoutes:
    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        one = f"{_COMMANDS}/{{command_id}}/permissions"
        return [
            Route("GET", f"{_COMMANDS}/permissions", self._list),
            Route("GET", one, self._get),
            Route("PUT", one, self._put),
        ]

    def _guild_id(self, call: Call) -> int:
        """Return the guild of the path. Raises 404/10002 for another application, 403/50001 for a guild without it."""
        if call.id("application_id") != self._state.application_id:
            raise errors.unknown_thing(10002, "Application")
        guild = self._state.guilds.get(call.id("guild_id"))
        if guild is None or not guild.installed:
            raise errors.missing_access()
        return guild.id

    def _list(self, call: Call) -> Answer:
        wanted = self._guild_id(call)
        keys = [key for key in self._state.command_permissions if key[0] == wanted]
        return Answer(200, [permissions_json(self._state, *key) for key in keys])

    def _get(self, call: Call) -> Answer:
        """Return the entries of a command or the application. Raises 404/10066 when it has none (discord.py 2.7.1,
        `AppCommand.fetch_permissions`: "unchanged from the default"), 404/10063 for no such command.
        """
        guild_id, target_id = self._guild_id(call), call.id("command_id")
        if (guild_id, target_id) in self._state.command_permissions:
            return Answer(200, permissions_json(self._state, guild_id, target_id))
        commands = [*self._state.commands[None], *self._state.commands.get(guild_id, [])]
        if target_id not in {self._state.application_id, *(int(command["id"]) for command in commands)}:
            raise errors.unknown_thing(10063, "application command")
        raise errors.unknown_thing(10066, "application command permissions")

    def _put(self, call: Call) -> Answer:
        """Refuse: command permissions can only be changed with a person's Bearer token (Discord docs: Application
        Commands, 'Permissions')."""
        raise errors.not_for_bots()
