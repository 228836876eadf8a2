"""The bot that the tests of a module share, since starting a process takes time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.running_bot import RunningBot, open_bot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBot]:
    """A bot whose people have more credits than any test needs."""
    folder = tmp_path_factory.mktemp("bot")
    async with open_bot(folder, CREDITS_PER_PERIOD="1000", MAX_IMAGES_PER_USER="20") as opened:
        yield opened
