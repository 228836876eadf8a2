"""How many transactions and statements one image takes on its good way, over SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from generations import records
from generations.model import State
from generations.records import REFRESH_MS
from store.database import Database
from store.transactions import Transaction
from tests.doubles import RUNNING_TASK
from tests.worker.conftest import JONAS, WorkerHarness
from tests.worker.test_worker_pings import FakePings

TRANSACTIONS_MAX = 8
STATEMENTS_MAX = 45


@dataclass
class Counted:
    """What reached the database: how many transactions, and the text of each statement inside them."""

    transactions: int = 0
    statements: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def counting(database: Database) -> AsyncIterator[Counted]:
    """Count what SQLite itself is told to do by this database's two connections."""
    counted = Counted()

    def executed(statement: str) -> None:
        if statement.startswith("BEGIN"):
            counted.transactions += 1
        elif not statement.startswith(("COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "--")):  # --: inside a trigger
            counted.statements.append(statement)

    for call in (database.run, database.read):
        await call(_trace, executed)
    try:
        yield counted
    finally:
        counted.transactions -= 2  # those that end the count
        for call in (database.run, database.read):
            await call(_trace, None)


def _trace(tx: Transaction, executed: Callable[[str], None] | None) -> None:
    driver: Any = tx.connection.dbapi_connection
    driver.set_trace_callback(executed)


async def test_an_image_on_its_good_way_takes_few_transactions_and_statements(harness: WorkerHarness) -> None:
    """With the limits that cost a statement each: requests a minute, and the decision whether to ping."""
    harness.requests_per_minute = 10
    harness.restart()
    harness.context.pings = FakePings()
    await harness.balance()  # the account exists and was refilled today
    async with counting(harness.database) as counted:
        generation_id = await harness.imagine()
        await harness.worker.step()
        harness.clock.advance(60)
        await harness.worker.step()
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert counted.transactions <= TRANSACTIONS_MAX
    assert len(counted.statements) <= STATEMENTS_MAX, counted.statements


async def test_a_round_with_nothing_due_takes_one_statement_however_many_images_are_made_and_wait(
    harness: WorkerHarness,
) -> None:
    harness.max_in_flight = 10
    harness.restart()
    for user_id in range(1, 121):
        await harness.imagine(user_id=user_id)
    for _ in range(4):  # ten are posted, and the places of the others are shown
        await harness.worker.step()
    work = await harness.database.read(records.load_due_work, harness.clock.now_ms())
    assert (work.in_flight, work.waiting, work.is_due) == (10, 110, False)
    async with counting(harness.database) as counted:
        await harness.worker.step()
    assert (counted.transactions, len(counted.statements)) == (1, 1)


async def test_the_places_of_all_waiting_cards_are_worked_out_together(harness: WorkerHarness) -> None:
    harness.max_in_flight = 1
    harness.restart()
    for user_id in range(1, 13):
        await harness.imagine(user_id=user_id)
    await harness.worker.step()  # the first image is admitted and posted
    harness.clock.advance(REFRESH_MS / 1000)
    async with counting(harness.database) as counted:
        await harness.worker.step()
    shown = [progress.line.position for _, progress in harness.delivery.progress if progress.line is not None]
    assert sorted(shown) == list(range(2, 12))  # the first one is admitted at once, since the image before it is made
    whole_line = "SELECT anon_1.generation_id, anon_1.position, anon_1.own_place, anon_1.own_running"
    assert len([statement for statement in counted.statements if statement.startswith(whole_line)]) == 1


async def test_a_line_that_is_longer_than_one_round_shows_is_shown_by_the_next_ones_and_claimed_by_none(
    harness: WorkerHarness,
) -> None:
    harness.max_in_flight = 1
    harness.restart()
    harness.context.places_at_once = 4
    harness.service.on_poll = [RUNNING_TASK]
    for user_id in range(1, 12):
        await harness.imagine(user_id=user_id)
    await harness.worker.step()
    harness.clock.advance(REFRESH_MS / 1000)
    claimed = [await harness.worker.step() for _ in range(3)]
    shown = [progress.line.position for _, progress in harness.delivery.progress if progress.line is not None]
    assert (sorted(shown[-10:]), claimed) == (list(range(1, 11)), [1, 0, 0])  # the one that runs is polled


async def test_the_first_card_shows_a_place_in_line_only_to_who_has_to_wait(harness: WorkerHarness) -> None:
    harness.max_in_flight = 1
    harness.restart()
    first = await harness.accept()
    assert harness.worker.publisher.first_progress(first).line is None
    second = await harness.accept(user_id=JONAS)
    line = harness.worker.publisher.first_progress(second).line
    assert line is not None
    assert line.position == 2
