"""SIGTERM to the real bot: what is in flight ends or is left to the next start, and no lost answer is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import READY_SECONDS, open_bot
from tests.e2e.scenarios import BotDatabase, SharedBot

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER_SECONDS = 3600.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedBot]:
    folder = tmp_path_factory.mktemp("stop")
    async with open_bot(folder) as bot:
        bot.box.discord.gateway.identify_spacing_ms = 0
        yield SharedBot(bot, BotDatabase(folder / "bot.sqlite3"))


async def test_sigterm_finishes_what_is_in_flight_and_the_next_start_goes_on(shared: SharedBot) -> None:
    bot = shared.bot
    asked, _ = await shared.painting("mira")
    await bot.box.bot.stop()
    assert any("stopped" in line for line in bot.box.bot.log)
    await bot.box.bot.start()
    await bot.box.bot.wait_ready(READY_SECONDS)
    await bot.card("mira", asked)
    await shared.state(asked, "delivered")
    bot.assert_rules_kept(posts=1)


async def test_a_stop_while_nothing_answers_ends_within_the_deadline(shared: SharedBot) -> None:
    bot = shared.bot
    asked = await shared.ask("mira", mood=Mood.STUCK)
    await bot.card_saying("mira", asked, "Painting")
    calls = len(bot.box.discord.requests)
    bot.box.discord.faults.rest("*", ".", delay_seconds=NEVER_SECONDS, times=None)
    shared.task_of(asked).kept_mood = Mood.NORMAL
    await shared.state(asked, "succeeded")
    await asyncio.sleep(1)  # the upload has begun and gets no answer
    await bot.box.bot.stop(timeout_seconds=NEVER_SECONDS)  # unit/test_draining.py keeps the deadline of 25 s
    assert bot.box.bot.log[-1] == "[sandbox] ended with exit code 0"
    assert any("stopping: 1 steps cut off" in line for line in bot.box.bot.log)
    assert len(bot.box.discord.requests) >= calls
