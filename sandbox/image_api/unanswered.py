"""Requests that are never answered: they stay open until the client gives up or the server ends."""

from __future__ import annotations

import asyncio

from aiohttp import web

CHECK_SECONDS = 0.25  # aiohttp does not tell a handler that its client has gone


class UnansweredRequests:
    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def keep(self, request: web.Request, answer: web.Response) -> web.Response:
        """Keep a request open, then abort its connection. Return *answer*, which aiohttp can no longer send."""
        while not self._ended.is_set() and request.transport is not None and not request.transport.is_closing():
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                continue
        if request.transport is not None:
            request.transport.abort()
        return answer

    def end(self) -> None:
        """Abort every connection that is kept open."""
        self._ended.set()
