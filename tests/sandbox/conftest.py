"""Fixtures of the sandbox's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.discord_bench import PAINT, Bench, open_bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A local Discord with one command registered and no bot."""
    async with open_bench() as opened:
        await opened.register(PAINT)
        yield opened
