"""A request that is never answered: kept open until the client gives up or the server ends. Knows nothing else."""

from __future__ import annotations

import asyncio

from aiohttp import web

LISTEN_SECONDS = 0.25  # aiohttp does not tell a handler that its client has gone, so it has to look


class Silence:
    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        """Wait until nobody is there to hear; only then return `answer`, for aiohttp to throw away."""
        while not self._ended.is_set() and request.transport is not None and not request.transport.is_closing():
            try:
                async with asyncio.timeout(LISTEN_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                continue
        if request.transport is not None:
            request.transport.abort()
        return answer

    def end(self) -> None:
        """Cut every silent connection."""
        self._ended.set()
