"""Login with faults: tried less and less often, until Discord accepts the bot or refuses its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import pytest

from bot import EXTENSIONS, ImagineBot, open_resources
from discord_api.errors import NotLoggedIn, asking
from discord_api.login import log_in
from services.build import build_services
from settings import Settings
from tests.doubles import ManualClock
from tests.integration.discord_rest import DiscordRest, a_discord

ME = "GET /users/@me"


@dataclass
class Login:
    rest: DiscordRest
    client: discord.Client
    clock: ManualClock
    going: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.rest.calls.clear()
        self.going = asyncio.create_task(log_in(self.client, "token.of.the-bot", self.clock))

    async def login_calls(self) -> int:
        """Let everything run that needs no time to pass, and return how many login calls came."""
        for _ in range(15):
            await asyncio.sleep(0.005)
        return sum(call.path == "/users/@me" for call in self.rest.calls)


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    async with a_discord() as (rest, _):
        client = discord.Client(intents=discord.Intents.none())
        yield Login(rest, client, ManualClock())
        await client.close()


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 403, "code": 40333}, {"status": 500, "drop": True}])
async def test_a_login_that_fails_is_tried_less_and_less_often(login: Login, fault: dict[str, int]) -> None:
    login.rest.fault(ME, times=99, **fault)  # type: ignore[arg-type]
    login.begin()
    tries = await login.login_calls()
    each = tries  # aiohttp sends a GET that got no answer once more
    for wait in (10, 20, 40, 80, 160, 300, 300):
        login.clock.advance(wait - 1)
        assert await login.login_calls() == tries
        login.clock.advance(1)
        tries += each
        assert await login.login_calls() == tries
    login.rest.faults.clear()
    login.clock.advance(300)
    assert login.going is not None
    await asyncio.wait_for(login.going, 60)
    assert login.client.user is not None


async def test_after_a_ban_the_login_waits_as_long_as_discord_says(login: Login) -> None:
    login.rest.fault(ME, 429, headers={"Retry-After": "120"})
    login.begin()
    assert await login.login_calls() == 1
    login.clock.advance(119)
    assert await login.login_calls() == 1
    login.clock.advance(1)
    assert login.going is not None
    await asyncio.wait_for(login.going, 60)


async def test_a_refused_token_is_not_tried_again(login: Login) -> None:
    login.rest.fault(ME, 401, 0, times=9)
    login.begin()
    assert login.going is not None
    with pytest.raises(discord.LoginFailure):
        await asyncio.wait_for(login.going, 60)
    assert await login.login_calls() == 1


@pytest.mark.parametrize("path", [ME, "GET /oauth2/applications/@me"])
@pytest.mark.parametrize("body", [{"name": "imagine"}, {"id": "abc", "username": "imagine"}, []])
async def test_an_answer_without_ids_is_asked_for_again(login: Login, path: str, body: Any) -> None:
    login.rest.fault(path, 200, body=body)
    login.begin()
    await login.login_calls()
    login.clock.advance(10)
    assert login.going is not None
    await asyncio.wait_for(login.going, 60)


async def test_setup_hook_makes_no_call(tmp_path: Path) -> None:
    settings = Settings(
        discord_token="token",
        qwen_api_key="sk-key",
        database_url=f"sqlite:///{tmp_path}/bot.sqlite3",
    )
    async with AsyncExitStack() as stack:
        bot = ImagineBot()
        build_services(settings, await open_resources(settings, stack), bot)
        with pytest.raises(NotLoggedIn), asking(bot):
            pass
        await bot.setup_hook()  # it has no HTTP session, so any call would be a fault
        with asking(bot):
            pass
        assert set(bot.extensions) == set(EXTENSIONS)
