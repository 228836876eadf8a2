"""The fixture of this folder: a virtual Discord with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from store.database import Database
from tests.cogs.scene import Scene, open_scene


@pytest.fixture
async def scene(empty_sqlite: Database, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A new scene; @pytest.mark.scene(allowance=…, period=…, max_queue=…) changes its settings."""
    marker = request.node.get_closest_marker("scene")
    async with open_scene(empty_sqlite, **(marker.kwargs if marker else {})) as opened:
        yield opened


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scene(**options): options of the scene fixture")
