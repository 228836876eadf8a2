"""What holds over all processes that share the rows: pauses after a 429, maintenance, and who takes work on."""

from __future__ import annotations

import asyncio

import pytest

from generations.poll_schedule import POLL_SECONDS
from generations.worker.context import MAINTENANCE_LEASE_SECONDS
from generations.worker.loop import MAINTENANCE_SECONDS, MAX_STEPS
from generations.worker.stored_limits import SHARE_SECONDS, StoredLimits
from qwen.errors import RateLimited
from store.database import Database
from tests.doubles import RUNNING_TASK, FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService
from tests.worker.conftest import WorkerHarness


@pytest.fixture
def two(empty_sqlite: Database) -> list[WorkerHarness]:
    """Return two processes on one database and one clock."""
    clock = ManualClock()
    service, image_store = ScriptedService(clock), FakeImageStore()
    return [
        WorkerHarness(
            empty_sqlite, clock, service, image_store, FakeDelivery(), FakeOperator(), shared=True,
            numbers=iter(range(first, first + 1000)),  # type: ignore[arg-type]
        )
        for first in (0, 1000)
    ]  # fmt: skip


def limits_of(harness: WorkerHarness, *, shared: bool = True) -> StoredLimits:
    return StoredLimits(harness.database, harness.context.throttle, harness.clock, shared=shared)


def waits(harness: WorkerHarness) -> tuple[float, float]:
    """How long this process' polls and POSTs wait."""
    throttle, now = harness.context.throttle, harness.clock.monotonic()
    return throttle.wait_seconds(now), throttle.post_wait_seconds(now)


@pytest.mark.parametrize("refused", ["a poll", "a POST"])
async def test_a_pause_after_a_429_holds_in_every_process_within_a_second(
    two: list[WorkerHarness], refused: str
) -> None:
    one, other = two
    limits = limits_of(other)
    answers = one.service.on_poll if refused == "a poll" else one.service.on_create
    answers.append(RateLimited(http_status=429, retry_after_seconds=40.0))
    await one.imagine()
    if refused == "a poll":
        await one.worker.step()
        one.clock.advance(60)
    await limits.load()
    await one.worker.step()
    assert max(waits(one)) == 40.0
    one.clock.advance(SHARE_SECONDS - 0.1)
    await limits.load()
    assert waits(other) == (0.0, 0.0)
    one.clock.advance(0.1)
    await limits.load()
    assert waits(other) == waits(one) == (39.0 if refused == "a poll" else 0.0, 39.0)


async def test_a_longer_pause_of_another_process_is_not_shortened(two: list[WorkerHarness]) -> None:
    for harness, seconds in zip(two, (50.0, 10.0), strict=True):
        harness.service.on_create = [RateLimited(http_status=429, retry_after_seconds=seconds)]
        await harness.imagine(user_id=round(seconds))
        await harness.worker.step()
    two[0].restart()
    await limits_of(two[0]).load()
    assert waits(two[0]) == waits(two[1]) == (0.0, 50.0)


async def test_a_process_that_is_alone_reads_the_limits_once(two: list[WorkerHarness]) -> None:
    one, other = two
    limits = limits_of(other, shared=False)
    await limits.load()
    one.service.on_create = [RateLimited(http_status=429, retry_after_seconds=40.0)]
    await one.imagine()
    await one.worker.step()
    one.clock.advance(SHARE_SECONDS)
    await limits.load()
    assert waits(other) == (0.0, 0.0)


async def test_a_task_that_finds_no_budget_is_polled_about_an_interval_later(two: list[WorkerHarness]) -> None:
    one, other = two
    one.service.on_poll = [RUNNING_TASK] * 100
    await one.imagine()
    await one.worker.step()
    one.clock.advance(60)
    shared_polls = other.context.shared_polls
    assert shared_polls is not None
    while await shared_polls.take():
        pass
    asked_at = one.clock.monotonic()
    await one.worker.step()
    assert one.service.polls == {}
    while not one.service.polls:
        one.clock.advance(0.1)
        await one.worker.step()
    assert 0.5 * POLL_SECONDS <= one.clock.monotonic() - asked_at <= 1.5 * POLL_SECONDS + 0.1


class Maintenance:
    def __init__(self, harness: WorkerHarness) -> None:
        self.times = 0
        harness.context.maintenance = (self.run,)

    async def run(self) -> None:
        self.times += 1


async def test_one_process_at_a_time_does_the_maintenance_and_another_one_once_that_is_gone(
    two: list[WorkerHarness],
) -> None:
    first, second = (Maintenance(harness) for harness in two)

    async def maintain() -> tuple[int, int]:
        for harness in two:
            await harness.context.run_maintenance()
        return first.times, second.times

    assert await maintain() == (1, 0)
    two[0].clock.advance(MAINTENANCE_SECONDS)
    assert await maintain() == (2, 0)
    two[0].clock.advance(MAINTENANCE_LEASE_SECONDS - 0.1)
    await two[1].context.run_maintenance()
    assert second.times == 0
    two[0].clock.advance(0.1)
    await two[1].context.run_maintenance()
    assert second.times == 1
    assert await maintain() == (2, 2), "the first one wakes, and finds that another one does it"


async def test_a_process_that_drains_leaves_the_maintenance_to_another_one(two: list[WorkerHarness]) -> None:
    second = Maintenance(two[1])
    await two[0].context.run_maintenance()
    await two[1].worker.drain()
    await two[1].context.run_maintenance()
    assert second.times == 0, "who does not do it can't give it away"
    await two[0].worker.drain()
    await two[1].context.run_maintenance()
    assert second.times == 1


async def test_a_process_is_free_until_its_steps_are_full_or_it_drains(harness: WorkerHarness) -> None:
    assert harness.worker.is_free()
    assert harness.worker.steps() == 0
    held = asyncio.Event()
    waiting = [asyncio.create_task(held.wait()) for _ in range(MAX_STEPS)]
    harness.worker._running.update(waiting)  # type: ignore[arg-type]
    assert not harness.worker.is_free()
    assert harness.worker.steps() == MAX_STEPS
    harness.worker._running.clear()
    held.set()
    await asyncio.gather(*waiting)
    await harness.worker.drain()
    assert not harness.worker.is_free()
