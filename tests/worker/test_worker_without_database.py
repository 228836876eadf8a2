"""The connection to the database breaks at the worst moments: nothing that only this process knows is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from generations.kept_pace import KeptPace
from generations.model import State
from store.database import Database, Transaction
from store.errors import DatabaseLost
from tests.worker.conftest import Workshop


class Flaky(Database):
    """The same database, whose next *failures* transactions find no connection."""

    def __init__(self, database: Database, failures: int = 0) -> None:
        self._database = database
        self.failures = failures

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        if self.failures > 0:
            self.failures -= 1
            raise DatabaseLost("the connection to the database broke")
        async with self._database.transaction() as tx:
            yield tx


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


async def test_what_was_learned_is_not_overwritten_before_it_was_loaded(workshop: Workshop) -> None:
    flaky = Flaky(workshop.database)
    kept = KeptPace(flaky, workshop.context.pace)
    await kept.load()
    await kept.save()
    flaky.failures = 1
    other = KeptPace(flaky, workshop.context.pace)
    with pytest.raises(DatabaseLost):
        await other.load()
    flaky.failures = 1  # a save would fail; none is tried
    await other.save()
    assert flaky.failures == 1
