"""A walk in a real Chromium through every command, button, form and place, by four people side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.driving import open_scene, tell_freely

pytestmark = pytest.mark.asyncio


async def test_four_people_walk_through_everything(tmp_path: Path) -> None:
    async with open_scene(tmp_path, "plain") as scene:
        await tell_freely(scene)
