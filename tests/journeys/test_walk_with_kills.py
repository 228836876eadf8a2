"""The same walk, with the bot killed and started again between every two steps of everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.side_by_side import Books
from tests.e2e.trial import READY_SECONDS
from tests.journeys.driving import open_scene, tell_in_step
from tests.journeys.scene import until

pytestmark = pytest.mark.asyncio


async def test_four_people_walk_through_everything_over_many_kills(tmp_path: Path) -> None:
    books = Books(tmp_path / "bot.sqlite3")
    async with open_scene(tmp_path, "kills") as scene:

        async def kill() -> None:
            """kill -9, but not in the middle of a POST: what then happens to it nobody can know, and cards say so."""
            await until(lambda: books.count("submitting") == 0)
            await scene.box.bot.kill()
            await scene.box.bot.start()
            await scene.box.bot.wait_ready(READY_SECONDS)

        assert await tell_in_step(scene, kill) >= 15
        assert scene.box.bot.restarts >= 15
