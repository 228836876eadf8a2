"""The optional HTTP side: POST or PUT /callbacks/<token> for the image API, GET /healthz for whoever watches.

Everything here may be called by anybody, so everything has a limit: connections, requests at once, requests a second,
bytes, seconds. Knows no rows, no task and no Discord; a token is handed on and never written down.
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
CALLS_PER_SECOND = 50.0  # one token's images are 25 a second at the most (Discord docs: Rate Limits)
CALLS_IN_A_BURST = 100
DRAIN_SECONDS = 1.0  # for answers that are under way, and then for noting them
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - chosen by listen_host, which says when

log = logging.getLogger("qwen_imagine.web")


class PortUnavailable(Exception):
    """The port can't be listened on. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What strangers may take up of this process."""

    body_seconds: float = 5.0
    connection_seconds: float = 15.0  # one request, one answer: whoever is still there is cut off
    connections: int = 256
    connections_per_second: float = 200.0  # what is beyond costs no more than hanging up
    connections_in_a_burst: int = 400
    requests_at_once: int = 64


@dataclass(slots=True)
class CallBudget:
    """How many calls are heard a second; pure, time comes in as monotonic seconds."""

    per_second: float = CALLS_PER_SECOND
    burst: float = CALLS_IN_A_BURST
    left: float = CALLS_IN_A_BURST
    at: float = -math.inf

    def spend(self, now: float) -> bool:
        """Take one call out of the budget; False when it is empty."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class WebSide:
    """The two routes. `app` is what is served, within `limits`."""

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
        for method in ("POST", "PUT"):  # the API's document doesn't say how it calls; sibling services use either
            self.app.router.add_route(method, f"{PATH}{{token}}", self._called)
        self.app.router.add_get("/healthz", self._healthz)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until every call that was answered is noted, for *seconds* at most; a call is a hint and no fact."""
        if self._handling:
            _, late = await asyncio.wait(self._handling, timeout=seconds)
            if late:
                log.warning("stopping: %d callbacks cut off; their images are looked at in their turn", len(late))

    async def _called(self, request: web.Request) -> web.Response:
        if self._at_once >= self.limits.requests_at_once or not self._budget.spend(self._clock.monotonic()):
            return _answer(429, {"Retry-After": "1"})
        self._at_once += 1
        try:
            return await self._answer_call(request)
        finally:
            self._at_once -= 1

    async def _answer_call(self, request: web.Request) -> web.Response:
        """The body is read before the token is looked at: no answer but the last tells whether the token is known."""
        if (request.content_length or 0) > BODY_MAX_BYTES:
            return _answer(413)
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                body = await request.read()
        except TimeoutError:
            return _answer(408)
        except web.HTTPRequestEntityTooLarge:
            return _answer(413)
        callback = await self._callbacks.recognise(request.match_info["token"])
        if callback is None:
            return _answer(404)
        self._handle(callback, body)
        return _answer(204)

    def _handle(self, callback: Callback, body: bytes) -> None:
        """The caller has its answer before anything is written."""
        task = asyncio.create_task(self._callbacks.handle(callback, body), name="callback")
        self._handling.add(task)
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            said = "a callback could not be noted (%s); the image is looked at in its turn"
            log.error(said, type(error).__name__, extra=REPEATS)

    async def _healthz(self, _: web.Request) -> web.Response:
        well = self._is_well()
        return _answer(200 if well else 503, text="well\n" if well else "the worker's loop or the database is stuck\n")


@asynccontextmanager
async def open_web(side: WebSide, *, host: str, port: int) -> AsyncGenerator[int, None]:
    """Listen until the block ends; gives the port (that which was found, for port 0). Raises PortUnavailable."""
    runner = web.AppRunner(
        side.app,
        access_log=None,
        logger=_quiet_logger(),
        auto_decompress=False,  # a body is a hint of a few hundred bytes; nobody needs to pack it
        keepalive_timeout=side.limits.connection_seconds,
        lingering_time=1.0,
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        server = await _listen(_limited(runner, side.limits), host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()
        await side.drain()


def listen_host(public_url: str, *, port_is_given: bool) -> str:
    """Where to listen: on this machine only, for a proxy on it; everywhere, when the platform hands over a port.

    *port_is_given*: PORT stands in the environment itself (Heroku, Cloud Run, a container), not in .env.
    """
    return EVERYWHERE if port_is_given and not is_loopback(public_url) else LOOPBACK


async def _listen(connect: Callable[[], asyncio.Protocol], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(connect, host, port)
    except OSError as error:
        raise PortUnavailable(_sentence(error, port)) from None


def _limited(runner: web.AppRunner, limits: WebLimits) -> Callable[[], asyncio.Protocol]:
    """Connections beyond the limit are closed at once, and none outlives its time, whatever it says or doesn't."""
    serve = runner.server
    assert serve is not None  # noqa: S101 - set up above; this is for the reader and pyright
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
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a server's always is; this is for pyright
        transport.abort()


class _Wordless(logging.Filter):
    """What strangers send ends up in aiohttp's complaints about it, tokens included: only the kind of fault stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "no exception"
        record.msg, record.args, record.exc_info, record.exc_text = "a request failed (%s)", (kind,), None, None
        record.repeats = True  # strangers can make as many as they like: see observability/repeats.py
        return True


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("qwen_imagine.web.requests")
    if not logger.filters:
        logger.addFilter(_Wordless())
    return logger


def _answer(status: int, headers: dict[str, str] | None = None, *, text: str | None = None) -> web.Response:
    """One answer a connection; nobody keeps one open here."""
    answer = web.Response(status=status, headers={"Cache-Control": "no-store", **(headers or {})}, text=text)
    answer.force_close()
    return answer


def _sentence(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"PORT {port} is taken by another program: choose another one."
    return f"PORT {port} can't be listened on: {error.strerror}."
