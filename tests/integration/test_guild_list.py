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
from discord_api.guild_removals import DAYS, Absences, parse_absences
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

    async def check(self, *, days: int = 1, name: str = "one") -> None:
        """Check once a day."""
        for _ in range(days):
            await self.process(name).check()
            self.clock.advance(DAY_SECONDS)

    async def absences(self) -> Absences:
        return parse_absences(await self.database.read(load_value, KEY))

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


async def test_the_settings_of_a_server_that_removed_the_bot_are_deleted_after_thirty_days(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qwen_imagine.guilds")
    await scene.check()
    scene.rest.guild_ids = [HERE]
    await scene.check(days=DAYS)
    assert scene.stored == {GONE, HERE}
    await scene.check()
    assert scene.stored == {HERE}
    assert (await scene.absences()).days == {HERE: 0}
    said = f"server {GONE}: it removed the bot long ago; its settings were deleted"
    assert [record.getMessage() for record in caplog.records if record.name == "qwen_imagine.guilds"] == [said]


async def test_a_server_with_the_commands_alone_keeps_its_settings_until_thirty_days_after_it_removed_them(
    scene: Scene,
) -> None:
    scene.rest.guild_ids, scene.rest.commands_only = [HERE], {GONE}
    await scene.check(days=DAYS + 5)
    assert scene.stored == {GONE, HERE}
    scene.rest.commands_only = set()
    await scene.check(days=DAYS)
    assert scene.stored == {GONE, HERE}
    await scene.check()
    assert scene.stored == {HERE}


async def test_settings_go_also_if_the_server_removed_the_bot_before_the_first_list_or_it_was_the_only_one(
    scene: Scene,
) -> None:
    scene.rest.guild_ids = []
    await scene.check(days=DAYS)
    assert scene.stored == {GONE, HERE}
    await scene.check()
    assert scene.stored == set()


@pytest.mark.parametrize(
    "fault", [{"status": 403, "code": 40333}, {"status": 401}, {"status": 404}, {"status": 200, "page": True}]
)
async def test_an_answer_that_says_nothing_of_the_server_begins_the_thirty_days_anew(
    scene: Scene, fault: dict[str, Any]
) -> None:
    scene.rest.guild_ids = [HERE]
    await scene.check(days=DAYS)
    scene.rest.fault(f"GET /applications/.*/guilds/{GONE}/commands", **fault)
    await scene.check(days=DAYS + 1)
    assert scene.stored == {GONE, HERE}
    await scene.check()
    assert scene.stored == {HERE}


async def test_only_of_servers_that_the_list_lacks_the_commands_are_asked_for(scene: Scene) -> None:
    await scene.check()
    scene.rest.guild_ids = [HERE]
    await scene.check()
    asked = [call.path for call in scene.rest.calls if call.path.endswith("/commands")]
    assert asked == [f"/applications/{scene.client.application_id}/guilds/{GONE}/commands"]


async def test_a_list_that_cant_be_read_counts_for_nothing(scene: Scene) -> None:
    await scene.check()
    before = await scene.absences()
    scene.rest.guild_ids = [HERE]
    for fault in ({"status": 403, "code": 40333}, {"status": 200, "body": {}}):
        scene.rest.fault(GUILDS, **fault)  # type: ignore[arg-type]
        try:
            await scene.check()
        except (discord.HTTPException, *NO_ANSWER):
            scene.clock.advance(DAY_SECONDS)
    assert await scene.absences() == before


async def test_after_a_failure_another_process_may_check_at_once(scene: Scene) -> None:
    scene.rest.fault(GUILDS, 403, code=40333)
    with pytest.raises(discord.HTTPException):
        await scene.process("one").check()
    await scene.process("two").check()
    assert (await scene.absences()).days == {GONE: 0, HERE: 0}


async def test_of_several_processes_one_asks_and_only_once_a_day(scene: Scene) -> None:
    scene.rest.gate.clear()
    scene.rest.arrived.clear()
    first = asyncio.create_task(scene.process("one").check())
    await scene.rest.arrived.wait()
    async with asyncio.timeout(60):
        await scene.process("two").check()
    assert scene.calls() == 1
    scene.rest.gate.set()
    await first
    calls = scene.calls()
    await scene.process("two").check()
    assert scene.calls() == calls
    scene.clock.advance(DAY_SECONDS)
    await scene.process("two").check()
    assert scene.calls() > calls


async def test_without_any_settings_discord_is_not_asked(scene: Scene) -> None:
    scene.stored.clear()
    await scene.check(days=3)
    assert scene.calls() == 0


async def test_the_bot_goes_on_checking_after_a_failure(scene: Scene) -> None:
    scene.rest.fault(GUILDS, 403, code=40333)
    running = asyncio.create_task(scene.process("one").run())
    async with asyncio.timeout(60):
        while not await scene.database.read(load_value, KEY):
            scene.clock.advance(TRY_SECONDS)
            await asyncio.sleep(0.01)
    running.cancel()
    assert (await scene.absences()).days == {GONE: 0, HERE: 0}
