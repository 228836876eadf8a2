"""The gauges of /metrics that rows say, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from zoneinfo import ZoneInfo

import pytest

from generations.circuit import Circuit, StopReason
from generations.model import State
from generations.records import claim_due, load_late, save_circuit
from limits.request_limits import RequestLimits
from limits.usage import SpendLimits
from observability.health import ProcessFacts
from observability.metrics import GAUGES
from processes.gauges import ANSWER_SECONDS, FRESH_SECONDS, GaugeReader
from processes.model import Presence, Role
from processes.status import ApiHealth, ThisProcess
from store.database import Database
from store.errors import DatabaseLost
from tests.contract.harness import MIRA, OTTO, Harness
from tests.doubles import DatabaseInFront, ManualClock

FACTS = ProcessFacts(0.5, shard_ids=(4, 5), silent_seconds={4: 2.0})
API = ApiHealth(4, 20, 0.0, 12.5, None)


class Hindered(DatabaseInFront):
    """A database that counts what is read, and is *lost*, or answers nothing until *go* is set."""

    def __init__(self, real: Database) -> None:
        super().__init__(real)
        self.reads = 0
        self.is_lost = False
        self.go = asyncio.Event()
        self.go.set()

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None]:
        self.reads += 1
        if self.is_lost:
            raise DatabaseLost("the connection to the database broke")
        await self.go.wait()
        yield


class Gauges:
    """A reader of gauges over the rows of *harness*, on a clock of its own."""

    def __init__(self, harness: Harness) -> None:
        self.clock = ManualClock(harness.clock.at_ms)
        self.database = Hindered(harness.database)
        self.facts = FACTS
        limits = RequestLimits(harness.database, ZoneInfo("UTC"), SpendLimits(100, 0))
        this = ThisProcess("me", Presence(Role.BOT), lambda: 3, False)
        self.reader = GaugeReader(
            self.database, self.clock, this, limits, api=lambda: API, facts=lambda: self.facts, folder=None
        )

    async def read(self) -> dict[str, float]:
        readings = await self.reader.read()
        assert all(len(each.labels) == len(GAUGES[each.name].labels) for each in readings)
        return {"/".join((each.name, *each.labels)): each.value for each in readings}


@pytest.fixture
def gauges(harness: Harness) -> Gauges:
    return Gauges(harness)


async def test_the_rows_of_all_processes_and_what_this_one_knows_are_shown(harness: Harness, gauges: Gauges) -> None:
    await harness.ask(1, count=2)
    await harness.ask(2, OTTO)
    await harness.admit(max_in_flight=1)
    stopped = Circuit(StopReason.ACCOUNT_EMPTY, 1, harness.clock.at_ms)
    await harness.database.run(save_circuit, stopped)
    gauges.clock.advance(7)
    shown = await gauges.read()
    assert (shown["line_images"], shown["images_in_flight"], shown["credits_held"]) == (2, 1, 15)
    assert shown["oldest_due_seconds"] == 7
    assert (shown["images_stopped/account_empty"], shown["images_stopped/key_refused"]) == (1, 0)
    assert (shown["api_credits_spent/day/held"], shown["api_credits_spent/month/held"]) == (15, 15)
    assert (shown["api_credits_limit/day"], "api_credits_limit/month" in shown) == (100, False)
    assert (shown["database_up"], shown["healthy"], shown["ready"]) == (1, 1, 0)
    assert (shown["shards"], shown["shards_up"], shown["gateway_silent_seconds"]) == (2, 1, 2.0)
    assert (shown["api_pause_seconds/polls"], shown["api_pause_seconds/posts"]) == (0, 12.5)
    assert {name.partition("/")[0] for name in shown} == GAUGES.keys() - {"disk_free_bytes"}


async def test_rows_are_read_once_in_five_seconds_however_often_somebody_asks(gauges: Gauges) -> None:
    await asyncio.gather(*(gauges.read() for _ in range(20)))
    gauges.clock.advance(FRESH_SECONDS - 0.1)
    await gauges.read()
    assert gauges.database.reads == 1
    gauges.clock.advance(0.1)
    await gauges.read()
    assert gauges.database.reads == 2


async def test_without_the_database_the_rest_is_shown(gauges: Gauges) -> None:
    gauges.database.is_lost = True
    shown = await gauges.read()
    assert (shown["database_up"], shown["steps"], "line_images" in shown) == (0, 3, False)
    gauges.database.is_lost = False
    gauges.clock.advance(FRESH_SECONDS)
    assert (await gauges.read())["database_up"] == 1
    gauges.facts = ProcessFacts(20.0, is_database_lost=True)
    assert (await gauges.read())["database_up"] == 0


async def test_a_database_that_hangs_holds_up_no_scrape(gauges: Gauges) -> None:
    gauges.database.go.clear()
    for _ in range(2):
        reading = asyncio.create_task(gauges.read())
        for _ in range(5):
            await asyncio.sleep(0)
        gauges.clock.advance(ANSWER_SECONDS)
        assert (await reading)["database_up"] == 0
    assert gauges.database.reads == 1, "one read at a time"
    gauges.database.go.set()
    assert (await gauges.read())["database_up"] == 1


async def test_work_is_late_once_its_lease_has_run_out(harness: Harness) -> None:
    for generation_id, person in ((1, MIRA), (2, OTTO)):
        await harness.ask(generation_id, person)
    await harness.admit()
    now_ms = harness.clock.at_ms
    await harness.claim(limit=1, lease_ms=10_000)

    async def late(at_ms: int) -> set[int]:
        return await harness.database.run(load_late, at_ms)

    assert (await late(now_ms + 9_999), await late(now_ms + 10_000)) == (set(), {1})
    taken = await harness.database.run(
        claim_due, lease_holder="other", now_ms=now_ms + 10_000, lease_until_ms=now_ms + 20_000, limit=9
    )
    assert {each.id for each in taken} == {1, 2}
    assert await late(now_ms + 10_000) == set()
    assert {image.state for each in taken for image in each.images} == {State.REQUESTED}
