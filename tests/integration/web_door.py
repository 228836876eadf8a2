"""The HTTP side over real rows, for its tests: one image is being made, and its address is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from generations import records
from generations.callbacks import Callbacks
from generations.clock import SystemClock
from generations.model import State
from store.database import Database
from tests.contract.harness import Harness, MovableClock, make_harness
from web import WebLimits, WebServer, open_web

TASK = "n43abc123def456qwenimg"


class Monotonic(SystemClock):
    """Rows live by the contract tests' clock; the budget of calls stands still until a test moves it."""

    def __init__(self, world_clock: MovableClock) -> None:
        self._world_clock = world_clock
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return self._world_clock.now_ms()

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Door:
    """The HTTP side over real rows: one image is being made, and its address is known."""

    world: Harness
    callbacks: Callbacks
    session: aiohttp.ClientSession
    port: int
    url: str
    clock: Monotonic
    side: WebServer
    nudges: list[int]
    well: bool = True

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(self, url: str = "", **request: object) -> int:
        async with self.session.post(url or self.url, **request) as answer:  # type: ignore[arg-type]
            assert await answer.read() in (b"",) or answer.status >= 400
            return answer.status

    async def due_in_ms(self) -> int | None:
        """When its image is due, from now."""
        await self.side.drain()
        due_at_ms = (await self.world.image(1)).due_at_ms
        return None if due_at_ms is None else due_at_ms - self.clock.now_ms()


@asynccontextmanager
async def open_door(database: Database, limits: WebLimits) -> AsyncIterator[Door]:
    """Serve on a free port of this machine."""
    world = make_harness(database)
    clock, nudges = Monotonic(world.clock), list[int]()
    callbacks = Callbacks(database, clock, public_url="http://127.0.0.1", nudge=lambda: nudges.append(1))
    await world.ask(1)
    await world.admit()
    (claimed,) = await world.claim()
    address = callbacks.new_address()
    async with database.transaction() as tx:
        image = await records.move(
            tx, claimed.images[0], State.SUBMITTING, fence=claimed.fence, submitted_at_ms=clock.now_ms()
        )
        await records.expect_callback(tx, image, address.token_hash)
        await records.move(
            tx, image, State.RUNNING, fence=claimed.fence, task_id=TASK, due_at_ms=clock.now_ms() + 20_000
        )
        await records.release_claim(tx, 1, claimed.fence)
    side = WebServer(callbacks, clock, lambda: door.well, limits)
    async with open_web(side, host="127.0.0.1", port=0) as port, _session() as session:
        url = address.url.replace("http://127.0.0.1/", f"http://127.0.0.1:{port}/")
        door = Door(world, callbacks, session, port, url, clock, side, nudges)
        yield door


def _session() -> aiohttp.ClientSession:
    """A connection for each call: the door closes idle ones as quickly as a test may be slow."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


async def talk(port: int, *said: bytes, pause: float = 0.0) -> bytes:
    """Say something to the port, byte for byte, and hear all that comes back until it hangs up."""
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
