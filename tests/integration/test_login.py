"""Logging in on a bad day: asked less and less often, until Discord lets the bot in or refuses its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import pytest
from pydantic import SecretStr

from bot import EXTENSIONS, ImagineBot, open_resources
from discord_api.login import log_in
from services import build_services
from settings import Settings
from tests.doubles import ManualClock
from tests.integration.discord_rest import DiscordRest, a_discord

ME = "GET /users/@me"


@dataclass
class Door:
    rest: DiscordRest
    client: discord.Client
    clock: ManualClock
    going: asyncio.Task[None] | None = None

    def knock(self) -> None:
        self.rest.calls.clear()
        self.going = asyncio.create_task(log_in(self.client, "token.of.the-bot", self.clock))

    async def knocked(self) -> int:
        """How often it was asked, after all has happened that needs no time to pass."""
        for _ in range(15):
            await asyncio.sleep(0.005)
        return sum(call.path == "/users/@me" for call in self.rest.calls)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with a_discord() as (rest, _):
        client = discord.Client(intents=discord.Intents.none())
        yield Door(rest, client, ManualClock())
        await client.close()


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 403, "code": 40333}, {"status": 500, "drop": True}])
async def test_a_closed_door_is_tried_less_and_less_often(door: Door, fault: dict[str, int]) -> None:
    door.rest.fault(ME, times=99, **fault)  # type: ignore[arg-type]
    door.knock()
    tries = await door.knocked()
    each = tries  # aiohttp sends a GET that got no answer once more
    for wait in (10, 20, 40, 80, 160, 300, 300):
        door.clock.advance(wait - 1)
        assert await door.knocked() == tries
        door.clock.advance(1)
        tries += each
        assert await door.knocked() == tries
    door.rest.faults.clear()
    door.clock.advance(300)
    assert door.going is not None
    await asyncio.wait_for(door.going, 5)
    assert door.client.user is not None


async def test_a_ban_is_waited_out_for_as_long_as_it_says(door: Door) -> None:
    door.rest.fault(ME, 429, headers={"Retry-After": "120"})
    door.knock()
    assert await door.knocked() == 1
    door.clock.advance(119)
    assert await door.knocked() == 1
    door.clock.advance(1)
    assert door.going is not None
    await asyncio.wait_for(door.going, 5)


async def test_a_refused_token_is_not_tried_again(door: Door) -> None:
    door.rest.fault(ME, 401, 0, times=9)
    door.knock()
    assert door.going is not None
    with pytest.raises(discord.LoginFailure):
        await asyncio.wait_for(door.going, 5)
    assert await door.knocked() == 1


@pytest.mark.parametrize("path", [ME, "GET /oauth2/applications/@me"])
@pytest.mark.parametrize("body", [{"name": "imagine"}, {"id": "abc", "username": "imagine"}, []])
async def test_an_answer_without_ids_is_asked_for_again(door: Door, path: str, body: Any) -> None:
    door.rest.fault(path, 200, body=body)
    door.knock()
    await door.knocked()
    door.clock.advance(10)
    assert door.going is not None
    await asyncio.wait_for(door.going, 5)


async def test_what_each_login_ends_with_asks_discord_nothing_so_it_can_only_succeed_once(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        discord_token=SecretStr("token"),
        qwen_api_key=SecretStr("sk-key"),
        database_url=f"sqlite:///{tmp_path}/bot.sqlite3",
    )
    async with AsyncExitStack() as stack:
        bot = ImagineBot()
        build_services(settings, await open_resources(settings, stack), bot)
        await bot.setup_hook()  # it has no HTTP session, so any call would be a fault
        assert set(bot.extensions) == set(EXTENSIONS)
