"""The fixture of this folder: a virtual Discord with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from store.database import open_database
from tests.cogs.scene import Scene, open_scene
from tests.databases import SqliteMaker


@pytest.fixture
async def scene(sqlite_maker: SqliteMaker, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A new scene; @pytest.mark.scene(allowance=…, period=…, max_queue=…) changes its settings."""
    marker = request.node.get_closest_marker("scene")
    address = await sqlite_maker.create()
    async with open_database(address) as database, open_scene(database, **(marker.kwargs if marker else {})) as opened:
        yield opened
    await sqlite_maker.drop(address)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scene(**options): options of the scene fixture")
