"""POST or PUT /callbacks/<token>, by the image API.

Anybody may call it, so everything has a limit: requests at once, requests a second, bytes, seconds; connections are
limited by web.server. Must not know rows, tasks or Discord. A token never reaches the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from aiohttp import web

from generations.callbacks import PATH
from generations.clock import Clock
from generations.records import Callback
from observability.repeats import REPEATS
from web.limits import BODY_MAX_BYTES, CallBudget, WebLimits
from web.responses import build_response

DRAIN_SECONDS = 1.0  # to send the responses in flight, and again to handle their callbacks

log = logging.getLogger("qwen_imagine.web")


class CallbackReceiver(Protocol):
    """What a call is handed to: generations.callbacks.Callbacks, or what stands in for it."""

    async def recognise(self, token: str) -> Callback | None:
        """Return the expected callback with this token; None if none is expected."""
        ...

    async def handle(self, callback: Callback, body: bytes) -> None:
        """Handle one call."""
        ...


class CallbackRoutes:
    """The two routes as `app`, to be served within *limits*."""

    def __init__(self, callbacks: CallbackReceiver, clock: Clock, limits: WebLimits | None = None) -> None:
        self.limits = limits or WebLimits()
        self._callbacks = callbacks
        self._clock = clock
        self._budget = CallBudget()
        self._at_once = 0
        self._handling: set[asyncio.Task[None]] = set()
        self.app = web.Application(client_max_size=BODY_MAX_BYTES)
        for method in (
            "POST",
            "PUT",
        ):  # the API's document does not name the method; services of the same kind use either
            self.app.router.add_route(method, f"{PATH}{{token}}", self._handle_call)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until every callback that got its response is handled, for *seconds* at most."""
        if self._handling:
            _, late = await asyncio.wait(self._handling, timeout=seconds)
            if late:
                log.warning("stopping: %d callbacks cut off; their images are polled in their turn", len(late))

    async def _handle_call(self, request: web.Request) -> web.Response:
        if self._at_once >= self.limits.callbacks_at_once or not self._budget.spend(self._clock.monotonic()):
            return build_response(429, {"Retry-After": "1"})
        self._at_once += 1
        try:
            return await self._receive(request)
        finally:
            self._at_once -= 1

    async def _receive(self, request: web.Request) -> web.Response:
        """Read the body before the token is checked: only the last response depends on whether the token is known."""
        if (request.content_length or 0) > BODY_MAX_BYTES:
            return build_response(413)
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                body = await request.read()
        except TimeoutError:
            return build_response(408)
        except web.HTTPRequestEntityTooLarge:
            return build_response(413)
        callback = await self._callbacks.recognise(request.match_info["token"])
        if callback is None:
            return build_response(404)
        self._handle(callback, body)
        return build_response(204)

    def _handle(self, callback: Callback, body: bytes) -> None:
        """Handle the callback in a task: the caller gets its response before the database is written."""
        task = asyncio.create_task(self._callbacks.handle(callback, body), name="callback")
        self._handling.add(task)
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            message = "a callback could not be handled (%s); the image is polled in its turn"
            log.error(message, type(error).__name__, extra=REPEATS)
