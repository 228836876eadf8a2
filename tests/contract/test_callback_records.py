"""The rows of expected callbacks: false claims, the poll that follows a call, and when a callback is forgotten."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select, update

from generations import records
from generations.model import Image, State
from generations.records.tables import callbacks, generations, images
from store.transactions import Transaction
from tests.contract.harness import MIRA, NOON_MS, Harness


async def claimed_tasks(harness: Harness, *expected: Image) -> list[str | None]:
    found = [await harness.database.run(records.load_callback, image) for image in expected]
    return [callback.claimed_task_id for callback in found if callback is not None]


async def test_a_false_claim_is_deleted_from_its_image_alone_and_a_newer_claim_stays(harness: Harness) -> None:
    first, second = (await harness.ask(1, count=2)).images
    for image in (first, second):
        await harness.database.run(records.expect_callback, image, image.image_id)
        callback = await harness.database.run(records.load_callback, image)
        assert callback is not None
        await harness.database.run(records.note_callback, replace(callback, claimed_task_id="task-a"))
    await harness.database.run(records.drop_claim, first, "task-b")
    assert await claimed_tasks(harness, first, second) == ["task-a", "task-a"]
    await harness.database.run(records.drop_claim, first, "task-a")
    assert await claimed_tasks(harness, first, second) == [None, "task-a"]


async def due_seconds(harness: Harness, generation_id: int) -> tuple[float | None, ...]:
    """Return when the generation is due, then each of its images, in seconds from noon."""
    due = select(generations.c.due_at_ms).where(generations.c.id == generation_id)
    moments = [
        await harness.database.run(Transaction.scalar, due),
        *(image.due_at_ms for image in (await harness.load(generation_id)).images),
    ]
    return tuple(None if at_ms is None else (at_ms - NOON_MS) / 1000 for at_ms in moments)


async def test_an_image_brought_forward_brings_its_own_generation_forward_and_nothing_else(harness: Harness) -> None:
    await harness.ask(1, count=2, answered=False)
    await harness.ask(2, answered=False)
    assert await harness.database.run(records.bring_forward, await harness.image(1, 1), NOON_MS + 5000)
    assert await due_seconds(harness, 1) == (5, 20, 5)
    assert await due_seconds(harness, 2) == (20, 20)
    assert not await harness.database.run(records.bring_forward, await harness.image(1, 1), NOON_MS + 5000)
    assert not await harness.database.run(records.bring_forward, await harness.image(1, 1), NOON_MS + 6000)
    assert await due_seconds(harness, 1) == (5, 20, 5)


async def test_a_generation_that_is_due_sooner_than_an_image_brought_forward_stays_so(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    earlier = update(generations).values(due_at_ms=NOON_MS + 1000)
    await harness.database.run(Transaction.execute, earlier)
    assert await harness.database.run(records.bring_forward, await harness.image(1), NOON_MS + 5000)
    assert await due_seconds(harness, 1) == (1, 5)


async def test_an_image_that_was_not_due_at_all_is_brought_forward(harness: Harness) -> None:
    await harness.ask(1)
    for table in (images, generations):
        await harness.database.run(Transaction.execute, update(table).values(due_at_ms=None))
    assert await harness.database.run(records.bring_forward, await harness.image(1), NOON_MS + 5000)
    assert await due_seconds(harness, 1) == (5, 5)


async def test_a_callback_is_forgotten_once_its_image_has_ended_or_was_given_up_long_ago(harness: Harness) -> None:
    asked: dict[int, list[tuple[State, int]]] = {  # by generation: state and time of the submit of each image
        1: [(State.REQUESTED, 0)],
        2: [(State.SUBMITTING, 0)],
        3: [(State.RUNNING, 0)],
        4: [(State.EXPIRED, NOON_MS), (State.EXPIRED, NOON_MS - 1)],
        5: [(State.UNKNOWN, NOON_MS - 1), (State.UNKNOWN, NOON_MS)],
        6: [(State.SUCCEEDED, NOON_MS), (State.RUNNING, NOON_MS)],
    }

    def write(tx: Transaction, image: Image, state: State, submitted_at_ms: int) -> None:
        records.expect_callback(tx, image, image.image_id)
        here = (images.c.generation_id == image.generation_id) & (images.c.position == image.position)
        tx.execute(update(images).where(here).values(state=state.value, submitted_at_ms=submitted_at_ms))

    for generation_id, rows in asked.items():
        generation = await harness.ask(generation_id, MIRA + generation_id, count=len(rows))
        for image, row in zip(generation.images, rows, strict=True):
            await harness.database.run(write, image, *row)
    await harness.database.run(records.forget_callbacks, NOON_MS)
    kept = await harness.database.run(lambda tx: set(tx.scalars(select(callbacks.c.token_hash))))
    assert kept == {"1-0", "2-0", "3-0", "4-0", "5-1", "6-1"}
