"""The optional HTTP server: POST or PUT /callbacks/<token> for the image API, GET /healthz for monitoring.

Anybody may call it, so everything has a limit: connections, requests at once, requests a second, bytes, seconds.
Must not know rows, tasks or Discord. A token never reaches the log.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from generations.callbacks import PATH, Callbacks
from generations.clock import Clock
from generations.records import Callback
from observability.repeats import REPEATS
from qwen.public_url import is_loopback

BODY_MAX_BYTES = 64 * 1024
CALLS_PER_SECOND = 50.0  # twice the images that one bot can post in a second (Discord docs: Rate Limits)
CALLS_IN_A_BURST = 100
DRAIN_SECONDS = 1.0  # to send the responses in flight, and again to handle their callbacks
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - see listen_host

log = logging.getLogger("qwen_imagine.web")


class PortUnavailable(Exception):
    """The port can't be listened on. The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """How much of this process unknown callers may use."""

    body_seconds: float = 5.0
    connection_seconds: float = 15.0  # one request a connection; then it is cut off
    connections: int = 256
    connections_per_second: float = 200.0  # more are closed at once
    connections_in_a_burst: int = 400
    requests_at_once: int = 64


@dataclass(slots=True)
class CallBudget:
    """A token bucket: how many calls are taken a second. Pure; times are monotonic seconds."""

    per_second: float = CALLS_PER_SECOND
    burst: float = CALLS_IN_A_BURST
    left: float = CALLS_IN_A_BURST
    at: float = -math.inf

    def spend(self, now: float) -> bool:
        """Take one call out of the budget. Return False if it is empty."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class WebServer:
    """The two routes: `app`, to be served within `limits`."""

    def __init__(
        self, callbacks: Callbacks, clock: Clock, is_well: Callable[[], bool], limits: WebLimits | None = None
    ) -> None:
        self.limits = limits or WebLimits()
        self._callbacks = callbacks
        self._clock = clock
        self._is_well = is_well
        self._budget = CallBudget()
        self._at_once = 0
        self._handling: set[asyncio.Task[None]] = set()
        self.app = web.Application(client_max_size=BODY_MAX_BYTES)
        for method in (
            "POST",
            "PUT",
        ):  # the API's document does not name the method; services of the same kind use either
            self.app.router.add_route(method, f"{PATH}{{token}}", self._handle_call)
        self.app.router.add_get("/healthz", self._healthz)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until every callback that got its response is handled, for *seconds* at most."""
        if self._handling:
            _, late = await asyncio.wait(self._handling, timeout=seconds)
            if late:
                log.warning("stopping: %d callbacks cut off; their images are polled in their turn", len(late))

    async def _handle_call(self, request: web.Request) -> web.Response:
        if self._at_once >= self.limits.requests_at_once or not self._budget.spend(self._clock.monotonic()):
            return _response(429, {"Retry-After": "1"})
        self._at_once += 1
        try:
            return await self._receive(request)
        finally:
            self._at_once -= 1

    async def _receive(self, request: web.Request) -> web.Response:
        """Read the body before the token is checked: only the last response depends on whether the token is known."""
        if (request.content_length or 0) > BODY_MAX_BYTES:
            return _response(413)
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                body = await request.read()
        except TimeoutError:
            return _response(408)
        except web.HTTPRequestEntityTooLarge:
            return _response(413)
        callback = await self._callbacks.recognise(request.match_info["token"])
        if callback is None:
            return _response(404)
        self._handle(callback, body)
        return _response(204)

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

    async def _healthz(self, _: web.Request) -> web.Response:
        well = self._is_well()
        return _response(
            200 if well else 503, text="well\n" if well else "the worker's loop or the database is stuck\n"
        )


@asynccontextmanager
async def open_web(server: WebServer, *, host: str, port: int) -> AsyncGenerator[int, None]:
    """Listen until the block ends. Yield the port (for port 0: the one that was found). Raises PortUnavailable."""
    runner = web.AppRunner(
        server.app,
        access_log=None,
        logger=_quiet_logger(),
        auto_decompress=False,  # a body has a few hundred bytes
        keepalive_timeout=server.limits.connection_seconds,
        lingering_time=1.0,
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        listening = await _listen(_limited(runner, server.limits), host, port)
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()
        await server.drain()


def listen_host(public_url: str, *, port_is_given: bool) -> str:
    """Return the address to listen on: this machine only, for a proxy; everywhere, if the platform sets the port.

    *port_is_given*: PORT is set in the environment itself (Heroku, Cloud Run, a container), not in .env.
    """
    return EVERYWHERE if port_is_given and not is_loopback(public_url) else LOOPBACK


async def _listen(connect: Callable[[], asyncio.Protocol], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(connect, host, port)
    except OSError as error:
        raise PortUnavailable(_sentence(error, port)) from None


def _limited(runner: web.AppRunner, limits: WebLimits) -> Callable[[], asyncio.Protocol]:
    """Return a protocol factory that refuses connections above *limits* and cuts each one off after its time."""
    serve = runner.server
    assert serve is not None  # noqa: S101 - set up by runner.setup(); this is for pyright
    loop = asyncio.get_running_loop()
    burst = limits.connections_in_a_burst
    budget = CallBudget(limits.connections_per_second, burst, burst)

    def connect() -> asyncio.Protocol:
        if len(serve.connections) >= limits.connections or not budget.spend(loop.time()):
            return _Refusal()
        handler = serve()
        loop.call_later(limits.connection_seconds, _cut, handler)
        return handler

    return connect


def _cut(handler: web.RequestHandler) -> None:
    if handler.transport is not None:
        handler.transport.abort()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - always so in a server; this is for pyright
        transport.abort()


class _KindOnlyFilter(logging.Filter):
    """Keeps only the kind of a fault: aiohttp logs what a caller sent, tokens included."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "no exception"
        record.msg, record.args, record.exc_info, record.exc_text = "a request failed (%s)", (kind,), None, None
        record.repeats = True  # callers can cause any number: see observability/repeats.py
        return True


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("qwen_imagine.web.requests")
    if not logger.filters:
        logger.addFilter(_KindOnlyFilter())
    return logger


def _response(status: int, headers: dict[str, str] | None = None, *, text: str | None = None) -> web.Response:
    """Build a response that closes its connection."""
    response = web.Response(status=status, headers={"Cache-Control": "no-store", **(headers or {})}, text=text)
    response.force_close()
    return response


def _sentence(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"PORT {port} is taken by another program: choose another one."
    return f"PORT {port} can't be listened on: {error.strerror}."
