"""The owner hears of the limits of spending by the maintenance of the worker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from settings import Settings
from store.database import Database
from tests.doubles import FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService
from tests.worker.conftest import WorkerHarness


class Limited(WorkerHarness):
    """A process with a limit of 10 API credits a day."""

    def settings(self) -> Settings:
        return replace(super().settings(), spend_limit_day=10)


@pytest.fixture
def limited(empty_sqlite: Database) -> WorkerHarness:
    clock = ManualClock()
    return Limited(empty_sqlite, clock, ScriptedService(clock), FakeImageStore(), FakeDelivery(), FakeOperator())


async def test_the_owner_hears_once_that_the_limit_of_the_day_is_reached(limited: WorkerHarness) -> None:
    await limited.context.run_maintenance()
    assert limited.operator.matters == []
    await limited.imagine(count=2)
    for _ in range(2):
        await limited.context.run_maintenance()
    assert limited.operator.matters == ["spend_limit_day"]
    (said,) = limited.operator.changes
    assert said.startswith("Images have cost, or hold, 10 of the 10 API credits of SPEND_LIMIT_DAY (100 %).")
