"""The list of the bot's servers, read from a REST server by discord.py: pages, faults, and what is deleted after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import discord
import pytest

from discord_api.errors import NO_ANSWER
from discord_api.guild_list import KEY, PAGE, TRY_SECONDS, GuildList, fetch_guild_ids
from discord_api.guild_removals import DAYS, Looks, parse_looks
from store.database import Database
from store.key_values import load_value
from tests.doubles import ManualClock
from tests.integration.discord_rest import DiscordRest, a_discord

DAY_SECONDS = 86_400
GUILDS = "GET /users/@me/guilds"
GONE, HERE = 2**53 + 1, 8


@dataclass
class Scene:
    """A bot in some servers, and servers with settings."""

    rest: DiscordRest
    client: discord.Client
    database: Database
    clock: ManualClock = field(default_factory=ManualClock)
    stored: set[int] = field(default_factory=lambda: {GONE, HERE})

    def process(self, name: str) -> GuildList:
        return GuildList(
            *(self.client, self.database, self.clock, name),
            with_settings=lambda tx: self.stored,
            delete=lambda tx, guild_id: self.stored.remove(guild_id),
        )

    async def look(self, *, days: int = 1, name: str = "one") -> None:
        """Look once a day."""
        for _ in range(days):
            await self.process(name).look()
            self.clock.advance(DAY_SECONDS)

    async def looks(self) -> Looks:
        return parse_looks(await self.database.read(load_value, KEY))

    def calls(self) -> int:
        return sum(call.path == "/users/@me/guilds" for call in self.rest.calls)


@pytest.fixture
async def scene(empty_sqlite: Database) -> AsyncIterator[Scene]:
    async with a_discord() as (rest, client):
        rest.guild_ids = [GONE, HERE]
        yield Scene(rest, client, empty_sqlite)


async def test_all_pages_are_read_until_an_empty_one(scene: Scene) -> None:
    scene.rest.guild_ids = [2**60 + number for number in range(2 * PAGE + 1)]
    assert await fetch_guild_ids(scene.client) == set(scene.rest.guild_ids)
    assert [call.query["after"] for call in scene.rest.calls if "guilds" in call.path] == [
        *("1", str(2**60 + PAGE - 1), str(2**60 + 2 * PAGE - 1), str(2**60 + 2 * PAGE))
    ]
    scene.rest.guild_ids = []
    assert await fetch_guild_ids(scene.client) == frozenset()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403, "code": 40333},
        {"status": 401},
        {"status": 200, "body": {}},
        {"status": 200, "body": {"message": "no"}},
        {"status": 200, "body": [{"name": "no id"}]},
        {"status": 200, "body": [{"id": None}]},
        {"status": 200, "body": [{"id": "8"}]},
        {"status": 200, "page": True},
    ],
)
async def test_a_page_that_fails_or_cant_be_read_fails_the_whole_list(scene: Scene, fault: dict[str, Any]) -> None:
    scene.rest.guild_ids = [*range(8, 8 + PAGE), 2**60]
    scene.rest.fault(GUILDS, skip=1, **fault)  # the second page
    with pytest.raises((discord.HTTPException, *NO_ANSWER)):
        await fetch_guild_ids(scene.client)


async def test_the_settings_of_a_server_that_removed_the_bot_are_deleted_after_thirty_days(scene: Scene) -> None:
    await scene.look()
    scene.rest.guild_ids = [HERE]
    await scene.look(days=DAYS)
    assert scene.stored == {GONE, HERE}
    await scene.look()
    assert scene.stored == {HERE}
    assert (await scene.looks()).missing == {HERE: 0}


async def test_a_list_that_fails_counts_for_nothing(scene: Scene) -> None:
    await scene.look()
    before = await scene.looks()
    for fault in ({"status": 403, "code": 40333}, {"status": 200, "body": []}, {"status": 200, "body": {}}):
        scene.rest.fault(GUILDS, **fault)  # type: ignore[arg-type]
        try:
            await scene.look()
        except (discord.HTTPException, *NO_ANSWER):
            scene.clock.advance(DAY_SECONDS)
    assert await scene.looks() == before


async def test_after_a_failure_another_process_may_look_at_once(scene: Scene) -> None:
    scene.rest.fault(GUILDS, 403, code=40333)
    with pytest.raises(discord.HTTPException):
        await scene.process("one").look()
    await scene.process("two").look()
    assert (await scene.looks()).missing == {GONE: 0, HERE: 0}


async def test_of_several_processes_one_looks_and_only_once_a_day(scene: Scene) -> None:
    scene.rest.gate.clear()
    scene.rest.arrived.clear()
    first = asyncio.create_task(scene.process("one").look())
    await scene.rest.arrived.wait()
    async with asyncio.timeout(60):
        await scene.process("two").look()
    assert scene.calls() == 1
    scene.rest.gate.set()
    await first
    calls = scene.calls()
    await scene.process("two").look()
    assert scene.calls() == calls
    scene.clock.advance(DAY_SECONDS)
    await scene.process("two").look()
    assert scene.calls() > calls


async def test_without_any_settings_discord_is_not_asked(scene: Scene) -> None:
    scene.stored.clear()
    await scene.look(days=3)
    assert scene.calls() == 0


async def test_the_bot_goes_on_looking_after_a_failure(scene: Scene) -> None:
    scene.rest.fault(GUILDS, 403, code=40333)
    running = asyncio.create_task(scene.process("one").run())
    async with asyncio.timeout(60):
        while not await scene.database.read(load_value, KEY):
            scene.clock.advance(TRY_SECONDS)
            await asyncio.sleep(0.01)
    running.cancel()
    assert (await scene.looks()).missing == {GONE: 0, HERE: 0}
