"""Cut off polls and downloads, so that a stop need not wait for them. A POST is never one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from qwen.errors import QwenError


class Reads:
    """The polls and downloads of one process that are under way."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._are_cut = False

    @asynccontextmanager
    async def until_cut(self, error: QwenError) -> AsyncGenerator[None]:
        """Run a block that reads. It raises *error* once cut() is called, or was called before."""
        limit = asyncio.timeout(0 if self._are_cut else None)
        self._limits.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise error from None
        finally:
            self._limits.discard(limit)

    def cut(self) -> None:
        """End what is under way, and whatever begins later."""
        self._are_cut = True
        while self._limits:
            self._limits.pop().reschedule(0)
