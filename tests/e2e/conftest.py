"""Bots for the end-to-end tests: one that many stories share, since starting a process takes its time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.trial import Trial, open_trial


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trial(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    """A bot with so many credits that no story runs out of them."""
    folder = tmp_path_factory.mktemp("trial")
    async with open_trial(folder, CREDITS_PER_PERIOD="1000", MAX_IMAGES_PER_USER="20") as opened:
        yield opened
