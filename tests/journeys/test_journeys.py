"""Six people use every command, button, form and kind of channel in a real Chromium, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.runner import open_scene, run_side_by_side

pytestmark = pytest.mark.asyncio


async def test_six_people_use_everything(tmp_path: Path) -> None:
    async with open_scene(tmp_path, "plain") as scene:
        await run_side_by_side(scene)
