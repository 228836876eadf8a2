"""Three processes of the bot on the sandbox's PostgreSQL with six shards, as `make try PROCESSES=3` runs them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.postgresql import open_postgresql
from sandbox.world import CLOCK_FILE, Sandbox
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS, Json, RunningBot, gallery, text

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

DAY_SECONDS = 86_400
PLACES = {0: ("mira", "gallery"), 1: ("jonas", "pier"), 2: ("sam", "slipway")}  # by the process of their shard


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL may open, which is another user where root runs the tests: not one of pytest's."""
    with tempfile.TemporaryDirectory(prefix="qi-processes-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(folder: Path) -> AsyncIterator[RunningBot]:
    async with open_postgresql(folder / "postgresql", folder / CLOCK_FILE) as server:
        settings = {"DATABASE_URL": server.address, "REQUESTS_PER_MINUTE": "0"}
        async with Sandbox(data_dir=folder, bot_settings=settings, seconds_per_image=IMAGE_SECONDS, processes=3) as box:
            await asyncio.gather(*(process.start() for process in box.bots))
            await asyncio.gather(*(process.wait_ready(READY_SECONDS) for process in box.bots))
            yield RunningBot(box)


async def test_a_command_of_every_server_gets_its_image(bot: RunningBot) -> None:
    asked = {person: await bot.imagine(person, place, prompt="a pier") for person, place in PLACES.values()}
    await asyncio.gather(*(bot.card(person, number) for person, number in asked.items()))


def under_way(card: Json | None) -> Json | None:
    """Return the card if its image has been asked for. Before that a kill may leave unknown whether it was."""
    return card if card is not None and ("Painting" in text(card) or gallery(card)) else None


async def test_while_a_process_is_dead_its_servers_get_no_answer_and_its_images_are_made_by_the_others(
    bot: RunningBot,
) -> None:
    box, jonas = bot.box, bot.box.discord.actor("jonas")
    asked = await bot.imagine("jonas", "pier", prompt="a boat that is still under way")
    first = await jonas.wait_for(lambda: under_way(jonas.answer(asked)))
    await box.bots[1].kill()
    unanswered = await bot.imagine("jonas", "pier", prompt="nobody hears this")
    elsewhere = await bot.imagine("mira", "gallery", prompt="somebody hears this")
    assert (await bot.card("jonas", asked))["id"] == first["id"]
    await bot.card("mira", elsewhere)
    await jonas.wait_for(lambda: jonas.error(unanswered))
    await box.bots[1].start()
    await box.bots[1].wait_ready(READY_SECONDS)
    await bot.card("jonas", await bot.imagine("jonas", "pier", prompt="heard again"))


async def test_the_credits_are_refilled_when_the_panels_clock_has_moved_a_day_on(bot: RunningBot) -> None:
    assert "40 of 50 credits" in await bot.credits("mira")
    bot.box.clock.advance(DAY_SECONDS)
    async with asyncio.timeout(READY_SECONDS):
        while "50 of 50 credits" not in await bot.credits("mira"):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.5)


async def test_at_the_end_no_shard_was_started_too_soon_and_no_rule_of_discord_was_broken(bot: RunningBot) -> None:
    gateway = bot.box.discord.gateway
    assert gateway.connected_shards == set(range(6))
    assert (gateway.identifies, gateway.identifies_too_soon) == (8, 0)
    bot.assert_rules_kept(posts=6)
