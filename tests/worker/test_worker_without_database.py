"""The database is lost between two steps; what only this process knows is stored later."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial

import pytest
from sqlalchemy import Connection, select

from generations.model import State
from generations.records.tables import generations
from generations.worker.loop import MAINTENANCE_SECONDS
from generations.worker.rounds import TOLD_SECONDS
from generations.worker.stored_schedule import StoredSchedule
from store.database import Database
from store.errors import DatabaseBroken, DatabaseLost, PermissionMissing
from store.transactions import Transaction
from tests.doubles import DatabaseInFront
from tests.worker.conftest import WorkerHarness


class Flaky(DatabaseInFront):
    """A database whose next *failures* transactions find no connection, or fail with *error*."""

    def __init__(self, database: Database, failures: int = 0, error: DatabaseLost | None = None) -> None:
        super().__init__(database)
        self.failures = failures
        self._error = error or DatabaseLost("the connection to the database broke")

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        if self.failures > 0:
            self.failures -= 1
            raise self._error
        yield


class Sluggish(DatabaseInFront):
    """A database whose next transaction waits *before* it begins, and *after* its end, in seconds."""

    def __init__(self, harness: WorkerHarness) -> None:
        super().__init__(harness.database)
        self._clock = harness.clock
        self.before, self.after = 0.0, 0.0

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        before, after, self.before, self.after = self.before, self.after, 0.0, 0.0
        self._clock.advance(before)
        yield
        self._clock.advance(after)


async def step_while_time_passes(harness: WorkerHarness) -> None:
    stepping = asyncio.create_task(harness.worker.step())
    while not stepping.done():
        await asyncio.sleep(0.01)
        harness.clock.advance(0.25)
    await stepping


async def test_a_task_is_stored_as_soon_as_the_database_is_back(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    flaky = harness.database = Flaky(harness.database)
    harness.restart()

    async def break_connection() -> None:
        flaky.failures = 4

    harness.service.during_create = break_connection
    await step_while_time_passes(harness)
    assert flaky.failures == 0
    (image,) = (await harness.load(generation_id)).images
    assert image.state is State.RUNNING
    assert image.task_id is not None
    assert len(harness.service.posts) == 1


async def test_a_database_that_stays_away_leaves_an_unknown_outcome_and_no_second_post(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    flaky = harness.database = Flaky(harness.database)
    harness.restart()

    async def break_connection() -> None:
        flaky.failures = 1000

    harness.service.during_create = break_connection
    await step_while_time_passes(harness)
    flaky.failures = 0
    harness.restart()
    await harness.pass_time(30)
    assert await harness.states(generation_id) == [State.UNKNOWN]
    assert await harness.money() == (50, 0)
    assert len(harness.service.posts) == 1


async def test_a_claim_that_waited_for_its_transaction_still_has_its_whole_lease(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    sluggish = harness.database = Sluggish(harness)
    harness.restart()
    left: list[int] = []

    async def read_lease() -> None:
        lease = select(generations.c.lease_until_ms).where(generations.c.id == generation_id)
        until_ms = await harness.database.run(Connection.scalar, lease)
        left.append((until_ms or 0) - harness.clock.now_ms())

    harness.service.during_create = read_lease
    sluggish.before = 8.0
    await harness.worker.step()
    assert left == [10_000]


async def test_a_claim_whose_lease_was_half_used_up_by_its_commit_is_left_to_run_out(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    sluggish = harness.database = Sluggish(harness)
    harness.restart()
    sluggish.after = 6.0
    assert await harness.worker.step() == 0
    assert harness.service.posts == []
    await harness.pass_time(30)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.service.posts) == 1


async def test_saved_slots_are_not_overwritten_before_they_were_loaded(harness: WorkerHarness) -> None:
    flaky = Flaky(harness.database)
    kept = StoredSchedule(flaky, harness.context.schedule)
    await kept.load()
    await kept.save()
    flaky.failures = 1
    other = StoredSchedule(flaky, harness.context.schedule)
    with pytest.raises(DatabaseLost):
        await other.load()
    flaky.failures = 1  # would make a save fail; none is made
    await other.save()
    assert flaky.failures == 1


class Broken(DatabaseInFront):
    """A database whose file can't be used."""

    tries = 0

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        self.tries += 1
        raise DatabaseBroken("imagine.db is damaged")
        yield


class Breakable(Flaky):
    """A database that fails for good once it *is_broken*."""

    is_broken = False

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        if self.is_broken:
            raise DatabaseBroken("imagine.db is damaged")
        async with super().around():
            yield


async def test_a_broken_database_ends_the_loop_and_alerts_the_owner_once(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.database = broken = Broken(harness.database)
    harness.restart()
    with pytest.raises(DatabaseBroken):
        await asyncio.wait_for(harness.worker.run(), 60)
    assert harness.operator.matters == ["database_broken"]
    assert broken.tries == 1
    await harness.worker.drain()
    assert [record.message for record in caplog.records if record.exc_info] == []


async def test_a_database_that_breaks_during_a_step_fails_that_step_without_a_traceback(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    breakable = harness.database = Breakable(harness.database)
    harness.restart()
    await harness.imagine()

    async def break_file() -> None:
        breakable.is_broken = True

    harness.service.during_create = break_file
    await step_while_time_passes(harness)
    assert len(harness.service.posts) == 1
    assert [record.message for record in caplog.records if record.exc_info] == []
    assert "imagine.db is damaged" in caplog.text


async def test_a_stop_while_the_database_is_away_ends_as_any_other(harness: WorkerHarness) -> None:
    flaky = harness.database = Flaky(harness.database)
    harness.restart()
    running = asyncio.create_task(harness.worker.run())
    while not harness.worker.rounds.count:  # noqa: ASYNC110 - it gives no signal
        await asyncio.sleep(0.01)
    flaky.failures = 1000
    await harness.worker.drain()
    await asyncio.wait_for(running, 60)


async def until_rounds(harness: WorkerHarness, condition: Callable[[], bool]) -> None:
    """Have the loop begin rounds until *condition* holds."""
    async with asyncio.timeout(60):
        while not condition():
            harness.worker.nudge()
            await asyncio.sleep(0.01)


async def test_what_the_databases_user_may_not_do_is_a_sentence_in_the_log_until_it_is_granted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    missing = PermissionMissing("the database refuses what the bot needs: permission denied for table audit")
    flaky = harness.database = Flaky(harness.database, error=missing)
    harness.restart()
    await harness.imagine()

    async def revoke() -> None:
        flaky.failures = 10

    harness.service.during_create = revoke
    running = asyncio.create_task(harness.worker.run())
    await until_rounds(harness, lambda: bool(harness.service.posts))
    await until_rounds(harness, lambda: not flaky.failures)
    ended = harness.worker.rounds.count
    await until_rounds(harness, lambda: harness.worker.rounds.count > ended)
    await harness.worker.drain()
    await running
    assert [record.message for record in caplog.records if record.exc_info] == []
    assert "permission denied for table audit; the next try comes in 1 s" in caplog.text


async def test_rounds_that_fail_are_counted_from_the_last_whole_one_and_the_owner_is_told_after_a_minute(
    harness: WorkerHarness,
) -> None:
    flaky = harness.database = Flaky(harness.database)
    harness.restart()
    rounds = harness.worker.rounds
    running = asyncio.create_task(harness.worker.run())
    until = partial(until_rounds, harness)
    await until(lambda: rounds.count > 0)
    flaky.failures = 1000
    await until(lambda: flaky.failures < 999)  # the round that was under way is over
    harness.clock.advance(TOLD_SECONDS - 1)
    await until(lambda: flaky.failures < 995)
    assert (rounds.age_seconds, rounds.is_database_lost) == (TOLD_SECONDS - 1, True)
    assert harness.operator.matters == []
    harness.clock.advance(1)
    await until(lambda: bool(harness.operator.matters))
    assert {*harness.operator.matters} == {"rounds_fail"}
    flaky.failures, ended = 0, rounds.count
    await until(lambda: rounds.count > ended)
    assert rounds.age_seconds == 0
    assert not rounds.is_database_lost
    await harness.worker.drain()
    await running
    assert harness.worker.is_stopping


class FullDisk(DatabaseInFront):
    """A SQLite database whose transactions fail if they have changed a page of the file, while it *is_full*."""

    def __init__(self, real: Database, other: sqlite3.Connection) -> None:
        super().__init__(real)
        self._other = other
        self.is_full = False
        self.failures = 0

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        before = self._version()
        yield
        if self.is_full and self._version() != before:
            self.failures += 1
            raise DatabaseLost("the disk of the database is full")

    def _version(self) -> int:
        """Return a number that is another one after each commit that changed a page (sqlite.org/pragma.html)."""
        return self._other.execute("PRAGMA data_version").fetchone()[0]


def path_of(tx: Transaction) -> str:
    return tx.exec_driver_sql("PRAGMA database_list").one()[2]


async def test_a_full_disk_is_noticed_while_nothing_is_due_and_until_there_is_room(harness: WorkerHarness) -> None:
    with closing(sqlite3.connect(await harness.database.run(path_of))) as other:
        disk = harness.database = FullDisk(harness.database, other)
        harness.restart()
        rounds = harness.worker.rounds
        running = asyncio.create_task(harness.worker.run())
        until = partial(until_rounds, harness)
        await until(lambda: rounds.count > 1)
        disk.is_full = True
        harness.clock.advance(MAINTENANCE_SECONDS)
        await until(lambda: rounds.is_database_lost)
        ended = rounds.count
        for _ in range(5):
            harness.clock.advance(1)
            before = disk.failures
            await until(lambda: disk.failures > before)  # noqa: B023 - it is called in this turn of the loop
        assert (rounds.count, rounds.is_database_lost) == (ended, True)
        disk.is_full = False
        await until(lambda: rounds.count > ended)
        assert not rounds.is_database_lost
        await harness.worker.drain()
        await running
