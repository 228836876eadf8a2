"""The claim of a generation with several images due: which write gives it back, and what a cancel in between does."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from generations import records
from generations.errors import MovedOn
from generations.model import Image, State
from generations.records.tables import generations
from generations.worker.claim import Claim
from store.transactions import Transaction
from tests.doubles import RUNNING_TASK
from tests.worker.conftest import MIRA, WorkerHarness
from tests.worker.test_worker_statements import counting


async def begin_claim(harness: WorkerHarness) -> Claim:
    """Claim a generation with three images, of which two run and one waits; the running ones are due."""
    harness.max_per_user = 2
    harness.restart()
    generation_id = await harness.imagine(count=3)
    await harness.worker.step()
    assert await harness.states(generation_id) == [State.RUNNING, State.RUNNING, State.REQUESTED]
    harness.clock.advance(60)
    now_ms = harness.clock.now_ms()
    (generation,) = await harness.database.run(
        records.claim_due, lease_holder="one", now_ms=now_ms, lease_until_ms=now_ms + 10_000, limit=5
    )
    return Claim(harness.database, generation, unfinished=2)


async def is_claimed(harness: WorkerHarness) -> bool:
    holder = await harness.database.run(Transaction.scalar, select(generations.c.lease_holder))
    return holder is not None


def save(tx: Transaction, image: Image, due_at_ms: int) -> tuple[Image, str]:
    saved = records.update_image(tx, image, fence=None, polls=image.polls + 1, due_at_ms=due_at_ms)
    return saved, f"saved {image.position}"


def overtake(tx: Transaction, image: Image) -> tuple[Image, str]:
    raise MovedOn(image.image_id, image.state)


async def test_the_last_of_several_steps_gives_the_claim_back_in_its_own_write(harness: WorkerHarness) -> None:
    claim = await begin_claim(harness)
    first, second, _ = claim.generation.images
    due_at_ms = harness.clock.now_ms() + 5000
    assert await claim.finish(save, second, due_at_ms) == "saved 1"
    assert await is_claimed(harness)
    async with counting(harness.database) as counted:
        assert await claim.finish(save, first, due_at_ms) == "saved 0"
        closed = await claim.close(publishes=False)
    assert counted.transactions == 1
    assert closed.released and not await is_claimed(harness)
    assert closed.generation == await harness.load(claim.generation.id)


async def test_after_a_failed_step_no_other_gives_the_claim_back_and_it_is_closed_apart(
    harness: WorkerHarness,
) -> None:
    claim = await begin_claim(harness)
    first, second, _ = claim.generation.images
    with pytest.raises(MovedOn):
        await claim.finish(overtake, first)
    await claim.finish(save, second, harness.clock.now_ms() + 5000)
    assert await is_claimed(harness)
    closed = await claim.close(publishes=False)
    assert closed.released and not await is_claimed(harness)
    assert closed.generation == await harness.load(claim.generation.id)
    assert [image.polls for image in closed.generation.images] == [0, 1, 0]


async def test_a_claim_is_kept_where_something_is_to_be_published(harness: WorkerHarness) -> None:
    claim = await begin_claim(harness)
    closed = await claim.close(publishes=True)
    assert not closed.released and await is_claimed(harness)
    assert closed.generation == claim.generation


async def test_a_cancel_between_two_writes_of_a_claim_is_seen_and_not_given_back(harness: WorkerHarness) -> None:
    claim = await begin_claim(harness)
    first, second, _ = claim.generation.images
    due_at_ms = harness.clock.now_ms() + 5000
    await claim.finish(save, first, due_at_ms)
    await harness.generations.cancel(claim.generation.id, user_id=MIRA, may_manage=False)
    await claim.finish(save, second, due_at_ms)
    closed = await claim.close(publishes=False)
    assert not closed.released and await is_claimed(harness)
    assert closed.generation == await harness.load(claim.generation.id)
    assert closed.generation.images[2].state is State.CANCELLED


async def test_a_cancel_between_two_polls_of_one_claim_is_published_with_it(harness: WorkerHarness) -> None:
    harness.max_per_user = 2
    harness.restart()
    generation_id = await harness.imagine(count=3)
    await harness.worker.step()
    harness.service.on_poll = [RUNNING_TASK, RUNNING_TASK]

    async def cancel_after_the_other_poll() -> None:
        async with asyncio.timeout(60):
            while not any(image.polls for image in (await harness.load(generation_id)).images):  # noqa: ASYNC110 - a write gives no signal
                await asyncio.sleep(0)
        await harness.generations.cancel(generation_id, user_id=MIRA, may_manage=False)

    harness.service.during_poll = cancel_after_the_other_poll
    harness.clock.advance(12)
    await harness.worker.step()
    assert harness.delivery.last_states() == [State.RUNNING, State.RUNNING, State.CANCELLED]
    assert not (await harness.load(generation_id)).is_unpublished
