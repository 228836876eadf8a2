"""The budget of polls holds over all processes of a database, whichever of them polls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from generations.poll_schedule import POLL_SECONDS
from generations.worker.stored_limits import PARTS, SharedPolls
from generations.worker.throttle import POLLS_AT_ONCE_MIN, STALE_TURN_SECONDS, PollBudget
from store.database import Database
from tests.doubles import ManualClock

TASKS = 200
A_SECOND = round(TASKS / POLL_SECONDS)


def processes(clock: ManualClock, *databases: Database, tasks: int = TASKS) -> list[SharedPolls]:
    return [SharedPolls(database, PollBudget(tasks), clock) for database in databases]


async def take_all(polls: SharedPolls) -> int:
    taken = 0
    while await polls.take():
        taken += 1
    return taken


@pytest.mark.parametrize("busy", [1, 2])
async def test_one_process_or_two_make_as_many_polls_as_the_budget_allows(
    database: Database, other_database: Database, busy: int
) -> None:
    clock = ManualClock()
    both = processes(clock, database, other_database)
    taken = 0
    for _ in range(100):
        taken += sum([await take_all(polls) for polls in both[:busy]])
        clock.advance(0.1)
    assert 10 * A_SECOND <= taken <= 11 * A_SECOND + 1, "ten seconds, and one second's worth at once"


async def test_after_a_quiet_hour_one_seconds_worth_comes_at_once(database: Database) -> None:
    clock = ManualClock()
    (polls,) = processes(clock, database)
    for _ in range(2):
        clock.advance(3600.0)
        assert await take_all(polls) == A_SECOND


async def test_a_small_budget_lets_a_few_polls_come_at_once(database: Database) -> None:
    (polls,) = processes(ManualClock(), database, tasks=1)
    assert await take_all(polls) == POLLS_AT_ONCE_MIN


async def test_polls_that_come_together_share_a_transaction_and_what_is_not_needed_lapses(
    database: Database, other_database: Database
) -> None:
    clock = ManualClock()
    one, other = processes(clock, database, other_database)
    part = A_SECOND // PARTS
    assert all(await asyncio.gather(*(one.take() for _ in range(part))))
    assert await one.take(), "the first of another part"
    assert await take_all(other) == A_SECOND - 2 * part
    clock.advance(STALE_TURN_SECONDS)
    assert await take_all(other) == A_SECOND
    assert not await one.take(), "the rest of its part has lapsed"


async def test_a_process_that_found_no_budget_asks_again_once_there_is_some(database: Database) -> None:
    clock, transactions = ManualClock(), list[int]()

    class Counted:
        async def run(self, *work: Any) -> Any:
            transactions.append(1)
            return await database.run(*work)

    counted: Any = Counted()
    (polls,) = processes(clock, counted)
    await take_all(polls)
    until_empty = len(transactions)
    assert await take_all(polls) == 0
    assert len(transactions) == until_empty, "the database is not asked in between"
    clock.advance(1.5 / A_SECOND)
    assert await take_all(polls) == 1
    clock.advance(0.4 / A_SECOND)
    assert not await polls.take()
    clock.advance(0.2 / A_SECOND)
    assert await polls.take()


async def test_a_clock_that_was_set_back_by_a_day_delays_no_poll(database: Database) -> None:
    clock = ManualClock()
    (polls,) = processes(clock, database)
    await take_all(polls)
    clock.jump(-86_400.0)
    clock.advance(1.0)
    assert await take_all(polls) >= 1
    clock.advance(1.0)
    assert await take_all(polls) >= A_SECOND - 1
