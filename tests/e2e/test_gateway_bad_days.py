"""Faults of the gateway and at the start with the real bot: the process lives on, and images are still delivered."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.bot_process import BotState
from sandbox.world import Sandbox
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS, open_bot
from tests.e2e.scenarios import PAID, BotDatabase, SharedBot

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedBot]:
    folder = tmp_path_factory.mktemp("gateway")
    async with open_bot(folder, CREDITS_PER_PERIOD="1000") as bot:
        bot.box.discord.gateway.identify_spacing_ms = 0
        yield SharedBot(bot, BotDatabase(folder / "bot.sqlite3"))


async def test_a_gateway_that_drops_answers_503_and_closes_before_hello_costs_no_image_and_no_process(
    shared: SharedBot,
) -> None:
    box, bot = shared.bot.box, shared.bot
    pid, upgrades = box.bot.pid, box.discord.gateway.upgrades
    asked, first = await shared.painting("mira")
    box.discord.faults.gateway_restart(refused=2, closed_before_hello=1)
    await shared.until(lambda: not box.discord.gateway.connected)
    card = await bot.card("mira", asked)
    assert card["id"] == first["id"]
    await shared.until(lambda: box.discord.gateway.connected)
    assert box.discord.gateway.upgrades - upgrades == 4
    assert "credits" in await bot.credits("mira")
    assert (box.bot.pid, box.bot.restarts, box.bot.state) == (pid, 0, BotState.RUNNING)
    assert shared.rows.entries(asked) == PAID
    reports = [line for line in box.bot.log if "gateway ended" in line]
    assert any("HTTP 503" in line and "gateway.py:" in line for line in reports)
    assert any("code 1006" in line and "gateway.py:" in line for line in reports)


async def test_an_image_is_delivered_while_the_gateway_is_away(shared: SharedBot) -> None:
    box = shared.bot.box
    asked, _ = await shared.painting("jonas")
    box.discord.faults.gateway_restart(refused=10_000, closed_before_hello=0)
    await shared.bot.card("jonas", asked)
    assert not box.discord.gateway.connected, "nothing but REST brought it"
    box.discord.gateway.refuse_upgrades(0)
    await shared.until(lambda: box.discord.gateway.connected)
    assert "credits" in await shared.bot.credits("jonas")


async def test_events_that_cannot_be_read_cost_no_connection(shared: SharedBot) -> None:
    box = shared.bot.box
    pid, upgrades = box.bot.pid, box.discord.gateway.upgrades
    asked, _ = await shared.painting("sam")
    for body in (None, {}, {"id": "x", "token": "a-canary-in-an-event"}):
        box.discord.faults.gateway_send("INTERACTION_CREATE", body)
    assert "credits" in await shared.bot.credits("sam")
    await shared.bot.card("sam", asked)
    assert (box.bot.pid, box.bot.restarts, box.discord.gateway.upgrades) == (pid, 0, upgrades)
    dropped = [line for line in box.bot.log if "INTERACTION_CREATE can't be read and is dropped" in line]
    assert len(dropped) == 3 and all(".py:" in line for line in dropped)
    assert not any("canary" in line for line in box.bot.log)


async def test_a_command_from_a_channel_of_an_unknown_type_gets_its_image_there(shared: SharedBot) -> None:
    box = shared.bot.box
    box.discord.faults.gateway_channel_type(777)
    asked, first = await shared.painting("mira", "sketches")
    card = await shared.bot.card("mira", asked)
    box.discord.faults.gateway_channel_type(None)
    assert card["id"] == first["id"]
    assert shared.rows.channel(asked) == box.discord.channels["sketches"].id


async def test_at_the_end_no_rule_of_discord_was_broken(shared: SharedBot) -> None:
    shared.rows.assert_balanced()
    shared.bot.assert_rules_kept(posts=4)
    assert shared.own_faults() == []


async def test_a_refused_command_list_and_a_gateway_that_cannot_be_asked_for_end_no_start(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path, seconds_per_image=IMAGE_SECONDS) as box:
        faults = box.discord.faults
        faults.rest("PUT", "/commands$", status=400, code=50035, message="Invalid Form Body: a canary", times=None)
        faults.rest("GET", "/gateway/bot", drop="before", times=3)
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        refused = [line for line in box.bot.log if "command list could not be brought up to date" in line]
        assert len(refused) == 1 and "50035" in refused[0] and "HTTP 400" in refused[0] and ".py:" in refused[0]
        assert not any("Traceback" in line or "ExtensionAlreadyLoaded" in line for line in box.bot.log)
        assert box.bot.restarts == 0
        assert [str(violation) for violation in box.discord.violations] == []


async def test_the_bots_files_are_readable_by_their_owner_alone(shared: SharedBot) -> None:
    files = list(shared.rows.path.parent.glob("bot.sqlite3*"))
    assert len(files) >= 1
    assert [stat.S_IMODE(os.stat(path).st_mode) & 0o077 for path in files] == [0] * len(files)
