"""The same journeys, with the bot killed and started again after each step. Who had a desk has a phone here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.running_bot import READY_SECONDS
from tests.e2e.scenarios import BotDatabase
from tests.journeys.runner import AT_DESKS, DARK, open_scene, run_in_step
from tests.journeys.scene import until

pytestmark = pytest.mark.asyncio


async def test_six_people_use_everything_while_the_bot_is_killed_after_each_step(tmp_path: Path) -> None:
    rows = BotDatabase(tmp_path / "bot.sqlite3")
    async with open_scene(tmp_path, "kills", DARK.keys() - AT_DESKS) as scene:

        async def kill() -> None:
            """Kill and start the bot, but not during a POST: its outcome would be unknown, and the card says that."""
            await until(lambda: rows.count("submitting") == 0)
            await scene.box.bot.kill()
            await scene.box.bot.start()
            await scene.box.bot.wait_ready(READY_SECONDS)

        assert await run_in_step(scene, kill) >= 12
        assert scene.box.bot.restarts >= 12
