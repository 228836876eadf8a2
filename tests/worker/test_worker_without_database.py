"""The database is lost between two steps: nothing that only this process knows is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from generations.model import Progress, State
from generations.records.tables import generations
from generations.worker.loop import WELL_SECONDS
from generations.worker.stored_schedule import StoredSchedule
from store.database import Database, Transaction
from store.errors import DatabaseBroken, DatabaseLost
from tests.doubles import DatabaseInFront
from tests.worker.conftest import Workshop


class Flaky(DatabaseInFront):
    """The same database, whose next *failures* transactions find no connection."""

    def __init__(self, database: Database, failures: int = 0) -> None:
        super().__init__(database)
        self.failures = failures

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        if self.failures > 0:
            self.failures -= 1
            raise DatabaseLost("the connection to the database broke")
        async with self._database.transaction() as tx:
            yield tx


class Sluggish(DatabaseInFront):
    """The same database, whose next transaction waits *before* it begins, and *after* its end, in seconds."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop.database)
        self._clock = workshop.clock
        self.before, self.after = 0.0, 0.0

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        before, after, self.before, self.after = self.before, self.after, 0.0, 0.0
        self._clock.advance(before)
        async with self._database.transaction() as tx:
            yield tx
        self._clock.advance(after)


async def step_while_time_passes(workshop: Workshop) -> None:
    stepping = asyncio.create_task(workshop.worker.step())
    while not stepping.done():
        await asyncio.sleep(0.01)
        workshop.clock.advance(0.25)
    await stepping


async def test_a_task_is_written_down_as_soon_as_the_database_is_back(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    flaky = Flaky(workshop.database)
    workshop.context.database = flaky

    async def break_connection() -> None:
        flaky.failures = 4

    workshop.service.during_create = break_connection
    await step_while_time_passes(workshop)
    (image,) = (await workshop.load(generation_id)).images
    assert image.state is State.RUNNING
    assert image.task_id is not None
    assert len(workshop.service.posts) == 1


async def test_a_database_that_stays_away_leaves_an_unknown_outcome_and_no_second_post(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    flaky = Flaky(workshop.database)
    workshop.context.database = flaky

    async def break_connection() -> None:
        flaky.failures = 1000

    workshop.service.during_create = break_connection
    await step_while_time_passes(workshop)
    workshop.restart()
    await workshop.pass_time(30)
    assert await workshop.states(generation_id) == [State.UNKNOWN]
    assert await workshop.money() == (50, 0)
    assert len(workshop.service.posts) == 1


async def test_a_claim_that_waited_for_its_transaction_still_has_its_whole_lease(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    sluggish = workshop.database = Sluggish(workshop)
    workshop.restart()
    left: list[int] = []

    async def read_lease() -> None:
        async with workshop.database.transaction() as tx:
            row = await tx.execute(select(generations.c.lease_until_ms).where(generations.c.id == generation_id))
        left.append(row.scalar_one() - workshop.clock.now_ms())

    workshop.service.during_create = read_lease
    sluggish.before = 8.0
    await workshop.worker.step()
    assert left == [10_000]


async def test_a_claim_whose_lease_was_half_used_up_by_its_commit_is_left_to_run_out(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    sluggish = workshop.database = Sluggish(workshop)
    workshop.restart()
    sluggish.after = 6.0
    assert await workshop.worker.step() == 0
    assert workshop.service.posts == []
    await workshop.pass_time(30)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.service.posts) == 1


async def test_what_was_learned_is_not_overwritten_before_it_was_loaded(workshop: Workshop) -> None:
    flaky = Flaky(workshop.database)
    kept = StoredSchedule(flaky, workshop.context.schedule)
    await kept.load()
    await kept.save()
    flaky.failures = 1
    other = StoredSchedule(flaky, workshop.context.schedule)
    with pytest.raises(DatabaseLost):
        await other.load()
    flaky.failures = 1  # a save would fail; none is tried
    await other.save()
    assert flaky.failures == 1


async def test_without_a_database_the_first_card_has_no_progress(workshop: Workshop) -> None:
    await workshop.imagine(count=3)
    await workshop.worker.step()
    generation = await workshop.load(await workshop.imagine())
    workshop.database = Flaky(workshop.database, failures=1)
    workshop.restart()
    assert await workshop.worker.publisher.first_progress(generation) == Progress()
    assert (await workshop.worker.publisher.first_progress(generation)).line is not None


class Broken(DatabaseInFront):
    """A database whose file can't be used any more."""

    tries = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        self.tries += 1
        raise DatabaseBroken("imagine.db is damaged")
        yield


class Breakable(Flaky):
    """The same database, until it *is_broken* for good."""

    is_broken = False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        if self.is_broken:
            raise DatabaseBroken("imagine.db is damaged")
        async with super().transaction() as tx:
            yield tx


async def test_a_broken_database_ends_the_loop_and_alerts_the_owner_once(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.database = broken = Broken(workshop.database)
    workshop.restart()
    with pytest.raises(DatabaseBroken):
        await asyncio.wait_for(workshop.worker.run(), 60)
    assert workshop.bell.matters == ["database_broken"]
    assert broken.tries == 1
    await workshop.worker.drain()
    assert [record.message for record in caplog.records if record.exc_info] == []


async def test_a_database_that_breaks_in_the_middle_of_a_step_fails_that_step_quietly(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    breakable = workshop.database = Breakable(workshop.database)
    workshop.restart()
    await workshop.imagine()

    async def break_file() -> None:
        breakable.is_broken = True

    workshop.service.during_create = break_file
    await step_while_time_passes(workshop)
    assert len(workshop.service.posts) == 1
    assert [record.message for record in caplog.records if record.exc_info] == []
    assert "imagine.db is damaged" in caplog.text


async def test_a_stop_while_the_database_is_away_ends_as_any_other(workshop: Workshop) -> None:
    flaky = workshop.database = Flaky(workshop.database)
    workshop.restart()
    running = asyncio.create_task(workshop.worker.run())
    while not workshop.worker.is_well():  # noqa: ASYNC110 - it gives no signal
        await asyncio.sleep(0.01)
    flaky.failures = 1000
    await workshop.worker.drain()
    await asyncio.wait_for(running, 60)


async def test_the_worker_is_not_well_while_the_database_is_away(workshop: Workshop) -> None:
    flaky = workshop.database = Flaky(workshop.database)
    workshop.restart()
    running = asyncio.create_task(workshop.worker.run())

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                workshop.worker.nudge()
                await asyncio.sleep(0.01)

    await until(workshop.worker.is_well)
    flaky.failures = 1000
    await until(lambda: flaky.failures < 999)  # the round that was under way is over
    workshop.clock.advance(WELL_SECONDS - 1)
    assert workshop.worker.is_well()
    workshop.clock.advance(1)
    await until(lambda: flaky.failures < 995)
    assert not workshop.worker.is_well()
    flaky.failures = 0
    await until(workshop.worker.is_well)
    await workshop.worker.drain()
    await running
