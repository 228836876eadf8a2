"""Calls of one short run about the application's own command list: each made once, none of them changes another
command. For `python bot.py doctor --live`; the bot itself sends its list whole (discord_api/command_sync).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from discord_api.live_calls import LiveClient, Tried

USER_INSTALL = 1  # Discord docs: Application, "Application Integration Types"


@dataclass(frozen=True, slots=True)
class CreatedCommand:
    """A command as Discord has made it. *integration_types*, *contexts*: as the answer names them."""

    id: int
    integration_types: tuple[int, ...]
    contexts: tuple[int, ...]


async def load_install_types(client: LiveClient) -> Tried[frozenset[int]]:
    """Fetch which installs are on in the developer portal: 0 for servers, 1 for people."""

    async def fetch() -> frozenset[int]:
        application = cast("dict[str, Any]", await client.http.application_info())
        return frozenset(int(kind) for kind in application.get("integration_types_config") or ())

    return await client.attempt(fetch())


async def create_command(
    client: LiveClient, command: Mapping[str, Any], register: Callable[[Tried[CreatedCommand]], None]
) -> Tried[CreatedCommand]:
    """Create one global command, or overwrite the one of its name (Discord docs: "Create Global Application Command").

    The other commands stay. Counts towards the 200 new commands that Discord allows a day.
    """

    async def create() -> CreatedCommand:
        made = cast("dict[str, Any]", await client.http.upsert_global_command(_id(client), cast("Any", command)))
        types, contexts = made.get("integration_types"), made.get("contexts")
        return CreatedCommand(int(made["id"]), tuple(types or ()), tuple(contexts or ()))

    return await client.attempt(create(), register)


async def find_command(client: LiveClient, name: str) -> Tried[int]:
    """Return the id of the global command with this name; 0: there is none."""

    async def find() -> int:
        commands = cast("list[dict[str, Any]]", await client.http.get_global_commands(_id(client)))
        return next((int(command["id"]) for command in commands if command["name"] == name), 0)

    return await client.attempt(find())


async def delete_command(client: LiveClient, command_id: int) -> Tried[None]:
    """Delete one global command."""
    return await client.attempt(client.http.delete_global_command(_id(client), command_id))


def _id(client: LiveClient) -> int:
    return client.application_id or 0
