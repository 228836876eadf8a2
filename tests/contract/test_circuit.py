"""The circuit over two processes on one database: it opens, lets one probe through and closes for both at once.

Real: rows, ledger, service, worker. Stand-ins: the clock, the image API, the delivery.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from generations.circuit import StopReason
from generations.errors import Stopped
from generations.model import State
from generations.worker.submit import IMAGES_BACK
from limits.tables import outbox
from qwen.errors import AccountEmpty
from store.database import Database
from tests.doubles import FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService
from tests.worker.conftest import JONAS, MIRA, WorkerHarness

EMPTY = AccountEmpty(http_status=402)
PROBE_SECONDS = 66.0


@pytest.fixture
def two(database: Database, other_database: Database) -> tuple[WorkerHarness, WorkerHarness]:
    """Return two processes that share rows, a clock and the image API."""
    clock = ManualClock()
    service, image_store = ScriptedService(clock), FakeImageStore()

    def process(opened: Database, first: int) -> WorkerHarness:
        harness = WorkerHarness(opened, clock, service, image_store, FakeDelivery(), FakeOperator(), shared=True)
        for _ in range(first):
            harness.new_id()
        return harness

    return process(database, 0), process(other_database, 1000)


async def reason_for_refusing(harness: WorkerHarness, user_id: int) -> StopReason | None:
    try:
        await harness.imagine(user_id=user_id)
    except Stopped as stopped:
        return stopped.reason
    return None


async def test_what_one_process_finds_out_stops_the_other_at_once(two: tuple[WorkerHarness, WorkerHarness]) -> None:
    one, other = two
    await one.imagine(user_id=MIRA)
    one.service.on_create = [EMPTY]
    await one.worker.step()
    assert await reason_for_refusing(other, JONAS) is StopReason.ACCOUNT_EMPTY
    assert await other.money(JONAS) == (50, 0)


async def test_a_post_that_was_under_way_before_closes_nothing_although_it_is_taken(
    two: tuple[WorkerHarness, WorkerHarness],
) -> None:
    one, other = two
    taken = await one.imagine(user_id=MIRA)

    async def find_out() -> None:
        await other.imagine(user_id=JONAS)
        one.service.on_create = [EMPTY]
        await other.worker.step()

    one.service.during_create = find_out
    await one.worker.step()
    assert await one.states(taken) == [State.RUNNING]
    assert [await reason_for_refusing(each, JONAS) for each in two] == [StopReason.ACCOUNT_EMPTY] * 2
    assert (one.operator.matters, other.operator.matters) == ([], ["account_empty"])


async def test_of_the_requests_of_two_processes_at_once_one_is_the_probe(
    two: tuple[WorkerHarness, WorkerHarness],
) -> None:
    one, other = two
    await one.imagine(user_id=MIRA)
    one.service.on_create = [EMPTY]
    await one.worker.step()
    one.clock.advance(PROBE_SECONDS)
    asked = [reason_for_refusing((one, other)[number % 2], 600 + number) for number in range(20)]
    reasons = await asyncio.gather(*asked)
    assert sorted(map(str, reasons)) == ["None"] + ["account_empty"] * 19
    await asyncio.gather(one.worker.step(), other.worker.step())
    assert len(one.service.posts) == 2


async def test_two_processes_post_one_probe_and_its_success_lets_both_go_on(
    two: tuple[WorkerHarness, WorkerHarness],
) -> None:
    one, other = two
    await one.imagine(user_id=MIRA)
    one.service.on_create = [EMPTY]
    one.max_in_flight = 1
    one.restart()
    waiting = [await one.imagine(user_id=600 + number) for number in range(6)]
    await one.worker.step()
    one.max_in_flight = 20
    one.restart()
    one.clock.advance(PROBE_SECONDS)
    one.service.during_create = lambda: step_while_probing(one, other)
    await asyncio.gather(one.worker.step(), other.worker.step())
    assert len(one.service.posts) == 2
    assert sorted(one.operator.matters + other.operator.matters) == ["account_empty", "images_back"]
    texts = await one.database.read(lambda tx: list(tx.scalars(select(outbox.c.text).order_by(outbox.c.number))))
    assert sorted(texts) == sorted(one.operator.changes + other.operator.changes) and texts[1] == IMAGES_BACK
    assert await reason_for_refusing(other, JONAS) is None
    await asyncio.gather(one.worker.step(), other.worker.step())
    states = [await one.states(each) for each in waiting]
    assert states.count([State.RUNNING]) > 1


async def step_while_probing(one: WorkerHarness, other: WorkerHarness) -> None:
    """Let both processes work while the probe is under way, and refuse everybody who asks."""
    before = len(one.service.posts)
    await one.worker.step()
    await other.worker.step()
    assert await reason_for_refusing(other, JONAS) is StopReason.ACCOUNT_EMPTY
    assert len(one.service.posts) == before
