"""Listen on one port, and hand each connection to the callbacks or to health by the path of its request.

Anybody may call, so everything has a limit, and those of callbacks and of health are apart: whatever is sent to
/callbacks, or not sent at all, keeps no health check from its answer. Where connections must be cut off, the oldest
are: a health check sends its request at once. A token never reaches the log.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from qwen.public_url import is_loopback
from web.callback_routes import DRAIN_SECONDS, CallbackRoutes
from web.health_routes import HEALTH_PATHS, HealthRoutes
from web.limits import CallBudget, WebLimits

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - see listen_host
_BEGINNINGS = tuple(f"{method} {path}".encode() for method in ("GET", "HEAD") for path in HEALTH_PATHS)


class PortUnavailable(Exception):
    """The port can't be listened on. The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Routes:
    """What is served: callbacks, health, or both. None: that part is not."""

    callbacks: CallbackRoutes | None
    health: HealthRoutes | None
    limits: WebLimits = field(default_factory=WebLimits)

    def names(self) -> list[str]:
        """What is served, for the log."""
        parts = (("health", self.health), ("callbacks", self.callbacks))
        return [name for name, part in parts if part is not None]


def listen_host(public_url: str, *, port_is_given: bool) -> str:
    """Return the address to listen on: this machine only, for a proxy; everywhere, if the platform sets the port.

    *port_is_given*: PORT is set in the environment itself (Heroku, Cloud Run, a container), not in .env.
    """
    return EVERYWHERE if port_is_given and not is_loopback(public_url) else LOOPBACK


@asynccontextmanager
async def open_web(routes: Routes, *, host: str, port: int) -> AsyncGenerator[int, None]:
    """Listen until the block ends. Yield the port (for port 0: the one that was found). Raises PortUnavailable."""
    async with AsyncExitStack() as stack:
        if routes.callbacks is not None:
            stack.push_async_callback(routes.callbacks.drain)
        callbacks, health = [
            None if part is None else await _set_up(part.app, routes.limits, stack)
            for part in (routes.callbacks, routes.health)
        ]
        splitter = _Splitter(callbacks, health, routes.limits)
        try:
            listening = await asyncio.get_running_loop().create_server(lambda: _NewConnection(splitter), host, port)
        except OSError as error:
            raise PortUnavailable(_sentence(error, port)) from None
        stack.callback(splitter.close)
        stack.callback(listening.close)
        yield listening.sockets[0].getsockname()[1]


async def _set_up(app: web.Application, limits: WebLimits, stack: AsyncExitStack) -> web.Server:
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_quiet_logger(),
        auto_decompress=False,  # a body has a few hundred bytes
        keepalive_timeout=limits.connection_seconds,
        lingering_time=1.0,
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    assert runner.server is not None  # noqa: S101 - set up by runner.setup(); this is for pyright
    return runner.server


def is_for_health(heard: bytes) -> bool | None:
    """Whether a request that begins with *heard* is for health; None: that can't be said yet. Pure."""
    if any(heard.startswith(beginning) for beginning in _BEGINNINGS):
        return True
    return None if any(beginning.startswith(heard) for beginning in _BEGINNINGS) else False


class _Splitter:
    """Hand connections on to the two servers, within the limits."""

    def __init__(self, callbacks: web.Server | None, health: web.Server | None, limits: WebLimits) -> None:
        self._callbacks = callbacks
        self._health = health
        self._limits = limits
        burst = limits.callback_connections_in_a_burst
        self._budget = CallBudget(limits.callback_connections_per_second, burst, burst)
        self._unread: dict[asyncio.Transport, None] = {}  # oldest first, as all dicts

    def opened(self, transport: asyncio.Transport) -> None:
        """Note a connection whose path is not known yet."""
        _cut_oldest(self._unread, self._limits.unread_connections)
        self._unread[transport] = None
        asyncio.get_running_loop().call_later(self._limits.connection_seconds, transport.abort)

    def close(self) -> None:
        """Cut off every connection whose path is not known yet."""
        for transport in list(self._unread):
            transport.abort()

    def forget(self, transport: asyncio.Transport) -> None:
        self._unread.pop(transport, None)

    def serve(self, heard: bytes, transport: asyncio.Transport) -> None:
        """Hand the connection on with what was *heard* of it, once its path is known."""
        is_health = is_for_health(heard)
        if is_health is None:
            return
        self.forget(transport)
        server = self._health if self._callbacks is None or (is_health and self._health is not None) else None
        if server is not None:
            _cut_oldest(_transports_of(server), self._limits.health_connections)
        elif self._takes_callback():
            server = self._callbacks
        if server is None:
            transport.abort()
            return
        handler = server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(heard)

    def _takes_callback(self) -> bool:
        open_now = 0 if self._callbacks is None else len(self._callbacks.connections)
        return open_now < self._limits.callback_connections and self._budget.spend(asyncio.get_running_loop().time())


def _transports_of(server: web.Server) -> dict[asyncio.Transport, None]:
    """The open connections of *server*, oldest first."""
    transports = (handler.transport for handler in server.connections)
    return {transport: None for transport in transports if isinstance(transport, asyncio.Transport)}


def _cut_oldest(transports: dict[asyncio.Transport, None], most: int) -> None:
    """Cut off the oldest of *transports* if one more would be above *most*."""
    if len(transports) >= most:
        oldest = next(iter(transports))
        del transports[oldest]
        oldest.abort()


class _NewConnection(asyncio.Protocol):
    """A connection until its path is known."""

    def __init__(self, splitter: _Splitter) -> None:
        self._splitter = splitter
        self._transport: asyncio.Transport | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - always so in a server; this is for pyright
        self._transport = transport
        self._splitter.opened(transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._transport is not None and not self._transport.is_closing():
            self._splitter.serve(self._heard, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._splitter.forget(self._transport)


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


def _sentence(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"PORT {port} is taken by another program: choose another one."
    return f"PORT {port} can't be listened on: {error.strerror}."
