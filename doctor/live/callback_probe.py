"""Receive the callbacks of this run's images, on the port that PUBLIC_URL leads to. Knows no rows and no tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from generations.callbacks import PATH, TOKEN_BYTES, encode_token, hash_token
from generations.clock import Clock
from generations.records import Callback
from web.callback_routes import CallbackRoutes
from web.server import PortUnavailable, Routes, listen_host, open_web


@dataclass(slots=True)
class ExpectedCall:
    """One address, and what came to it: (monotonic seconds, body)."""

    url: str = field(repr=False)
    token: str = field(repr=False)
    calls: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    came: asyncio.Event = field(default_factory=asyncio.Event)


class CallbackProbe:
    """web.callback_routes.CallbackReceiver for addresses under *public_url*."""

    def __init__(self, clock: Clock, public_url: str, token_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._public_url = public_url
        self._token_bytes = token_bytes
        self._expected: list[ExpectedCall] = []

    def expect(self) -> ExpectedCall:
        """Make an address that nobody can guess."""
        token = encode_token(self._token_bytes(TOKEN_BYTES))
        self._expected.append(ExpectedCall(f"{self._public_url}{PATH}{token}", token))
        return self._expected[-1]

    async def recognise(self, token: str) -> Callback | None:
        """Return the callback with this token, its number as its position; None for a token of no address."""
        hashes = [hash_token(each.token) for each in self._expected]
        found = hash_token(token)
        return Callback(0, hashes.index(found), found) if found in hashes else None

    async def handle(self, callback: Callback, body: bytes) -> None:
        """Note a call."""
        expected = self._expected[callback.position]
        expected.calls.append((self._clock.monotonic(), body))
        expected.came.set()


@contextlib.asynccontextmanager
async def open_probe(
    clock: Clock, public_url: str, port: int, token_bytes: Callable[[int], bytes], *, port_is_given: bool
) -> AsyncGenerator[CallbackProbe | str]:
    """Listen for callbacks. Yields a sentence instead where that is impossible: the bot itself may listen there."""
    probe = CallbackProbe(clock, public_url, token_bytes)
    routes = Routes(CallbackRoutes(probe, clock), health=None)
    async with contextlib.AsyncExitStack() as stack:
        try:
            host = listen_host(public_url, port_is_given=port_is_given)
            await stack.enter_async_context(open_web(routes, host=host, port=port))
        except PortUnavailable as error:
            yield str(error)
            return
        yield probe
