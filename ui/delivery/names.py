"""Ask Discord with the bot's own token what servers and some members are called there: events of commands name only who
typed them, and the bot keeps no list of servers or members."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import discord

from discord_api.errors import NO_ANSWER, asking
from generations.clock import Clock, done_within

NAMES_SECONDS = 3.0  # for all names of one chart


class Names:
    """Names that Discord does not tell in time are missing."""

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def of_guild(self, guild_id: int, member_ids: Collection[int]) -> tuple[str, dict[int, str]]:
        """Return a server's name, or "", and the names of its members by their ids. Never raises."""
        http = self._client.http
        members = {each: _member(http, guild_id, each) for each in member_ids}
        found = await self._ask({guild_id: _guild(http, guild_id), **members})
        return found.pop(guild_id, ""), found

    async def of_guilds(self, guild_ids: Collection[int]) -> dict[int, str]:
        """Return the names of servers by their ids; those that the bot user is not in are missing. Never raises."""
        return await self._ask({each: _guild(self._client.http, each) for each in guild_ids})

    async def _ask(self, calls: Mapping[int, Callable[[], Awaitable[Any]]]) -> dict[int, str]:
        found = dict[int, str]()
        naming = asyncio.gather(*(self._note(found, about, call) for about, call in calls.items()))
        if not await done_within(naming, NAMES_SECONDS, self._clock):
            naming.cancel()
            await asyncio.wait({naming})
        return found

    async def _note(self, found: dict[int, str], about: int, call: Callable[[], Awaitable[Any]]) -> None:
        with contextlib.suppress(discord.HTTPException, *NO_ANSWER), asking(self._client):
            found[about] = _name(await call())


def _guild(http: Any, guild_id: int) -> Callable[[], Awaitable[Any]]:
    return lambda: http.get_guild(guild_id, with_counts=False)


def _member(http: Any, guild_id: int, user_id: int) -> Callable[[], Awaitable[Any]]:
    return lambda: http.get_member(guild_id, user_id)


def _name(data: Any) -> str:
    """Return a guild's name, or what a member is called in it (Discord docs: Guild Member, User)."""
    user: Any = data.get("user") or {}
    return str(data.get("name") or data.get("nick") or user.get("global_name") or user["username"])
