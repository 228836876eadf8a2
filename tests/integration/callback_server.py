"""The HTTP side over real rows, with one image in flight and the address of its callback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from generations import records
from generations.callbacks import Callbacks
from generations.clock import SystemClock
from generations.model import State
from observability.health import ProcessFacts
from observability.metrics import Reading
from observability.prometheus import PrometheusMetrics
from store.database import Database
from tests.contract.harness import Harness, MovableClock, make_harness
from web.callback_routes import CallbackRoutes
from web.health_routes import HealthRoutes
from web.limits import WebLimits
from web.server import Routes, open_web

TASK = "n43abc123def456qwenimg"
HEALTHY = ProcessFacts(0.5, shard_ids=(0,), silent_seconds={0: 1.0})


class Monotonic(SystemClock):
    """The rows' wall clock, and a monotonic clock for the budget of calls that only a test moves."""

    def __init__(self, world_clock: MovableClock) -> None:
        self._world_clock = world_clock
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return self._world_clock.now_ms()

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class CallbackServer:
    """The HTTP side, its rows, and the callback address (*url*) of the one image in flight."""

    world: Harness
    callbacks: Callbacks
    session: aiohttp.ClientSession
    port: int
    url: str
    clock: Monotonic
    side: CallbackRoutes
    nudges: list[int]
    facts: ProcessFacts = HEALTHY

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(self, url: str = "", **request: object) -> int:
        async with self.session.post(url or self.url, **request) as answer:  # type: ignore[arg-type]
            assert await answer.read() in (b"",) or answer.status >= 400
            return answer.status

    async def due_in_ms(self) -> int | None:
        """In how many milliseconds the image is due."""
        await self.side.drain()
        due_at_ms = (await self.world.image(1)).due_at_ms
        return None if due_at_ms is None else due_at_ms - self.clock.now_ms()


def health_of(facts: Callable[[], ProcessFacts], token: str = "") -> HealthRoutes:
    """Build the routes of health, with one gauge in /metrics."""

    async def gauges() -> list[Reading]:
        return [Reading("line_images", 3)]

    return HealthRoutes(facts, PrometheusMetrics(), gauges, token=token)


@asynccontextmanager
async def open_callback_server(database: Database, limits: WebLimits) -> AsyncIterator[CallbackServer]:
    """Serve on a free port of 127.0.0.1, with one image in flight."""
    world = make_harness(database)
    clock, nudges = Monotonic(world.clock), list[int]()
    callbacks = Callbacks(database, clock, public_url="http://127.0.0.1", nudge=lambda: nudges.append(1))
    await world.ask(1)
    await world.admit()
    (claimed,) = await world.claim()
    address = callbacks.new_address()
    image = await database.run(
        records.move, claimed.images[0], State.SUBMITTING, fence=claimed.fence, submitted_at_ms=clock.now_ms()
    )
    await database.run(records.expect_callback, image, address.token_hash)
    due_at_ms = clock.now_ms() + 20_000
    await database.run(records.move, image, State.RUNNING, fence=claimed.fence, task_id=TASK, due_at_ms=due_at_ms)
    await database.run(records.release_claim, 1, claimed.fence)
    side = CallbackRoutes(callbacks, clock, limits)
    routes = Routes(side, health_of(lambda: server.facts), limits)
    async with open_web(routes, host="127.0.0.1", port=0) as port, _session() as session:
        url = address.url.replace("http://127.0.0.1/", f"http://127.0.0.1:{port}/")
        server = CallbackServer(world, callbacks, session, port, url, clock, side, nudges)
        yield server


def _session() -> aiohttp.ClientSession:
    """A session with a new connection for each call, since the server closes idle ones quickly."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


async def send_raw(port: int, *said: bytes, pause: float = 0.0) -> bytes:
    """Send bytes to the port, and return all that it answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in said:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
