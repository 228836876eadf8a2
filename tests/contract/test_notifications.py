"""Work that is due now is announced to the other processes, which hear it on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio
from sqlalchemy import text

from generations import records
from generations.callbacks import Callbacks
from generations.errors import NotCancellable
from generations.model import Request, State
from images.image_memory import ImageMemory
from processes.wakeups import WORK, keep_listening
from services.resources import Resources
from services.use_cases import UseCases, build_request_limits, build_use_cases
from store.database import Database
from store.errors import DatabaseLost
from store.notifications import PING_SECONDS, listen, notify
from store.transactions import Transaction
from tests.contract.conftest import OpenedTwice
from tests.contract.harness import MIRA, NOON_MS, Harness, origin
from tests.databases import SqliteMaker, delete_all_rows
from tests.doubles import (
    FakeDelivery,
    FakeImageStore,
    FakeOperator,
    ManualClock,
    ScriptedService,
    make_settings,
    requester_of,
)

LISTENING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


async def test_a_confirmed_card_is_announced_once_and_a_request_without_one_is_not(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    assert harness.announced == []
    for _ in range(2):
        await harness.generations.confirm_card(1, 9001)
    assert harness.announced == [NOON_MS]


async def test_a_cancel_is_announced_and_one_that_came_too_late_is_not(harness: Harness) -> None:
    await harness.ask(1)
    harness.announced.clear()
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    assert harness.announced == [NOON_MS]
    await harness.ask(2)
    await harness.move(await harness.image(2), State.SUBMITTING)
    harness.announced.clear()
    with pytest.raises(NotCancellable):
        await harness.generations.cancel(2, user_id=MIRA, may_manage=False)
    assert harness.announced == []


async def test_a_callback_that_brings_a_poll_forward_is_announced_and_the_same_one_again_is_not(
    harness: Harness,
) -> None:
    announced = list[int]()
    callbacks = Callbacks(
        harness.database,
        harness.clock,
        public_url="https://imagine.example.com",
        nudge=lambda: None,
        announce=lambda _: announced.append(1),
    )
    await harness.ask(1)
    image = await harness.move(await harness.image(1), State.SUBMITTING)
    running = replace(image, task_id="task-1")
    await harness.database.run(
        records.move, image, State.RUNNING, fence=None, task_id=running.task_id, due_at_ms=NOON_MS + 60_000
    )
    await harness.database.run(records.expect_callback, image, "hash")
    callback = await harness.database.run(records.load_callback, image)
    assert callback is not None
    for _ in range(2):
        await callbacks.handle(callback, b"{}")
    assert announced == [1]


async def test_nothing_is_heard_on_sqlite(sqlite_maker: SqliteMaker) -> None:
    address = await sqlite_maker.create()
    async with asyncio.timeout(60):
        await keep_listening(address, ManualClock(), lambda: None)


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@dataclass
class Ear:
    """A process that listens, on a clock that the test moves."""

    times: int = 0
    clock: ManualClock = field(default_factory=ManualClock)

    def heard(self) -> None:
        self.times += 1

    async def until(self, times: int) -> None:
        async with asyncio.timeout(60):
            while self.times < times:  # noqa: ASYNC110 - a notification wakes nobody here
                await asyncio.sleep(0.001)


@pytest_asyncio.fixture(loop_scope="session")
async def postgresql(postgresql_opened_twice: OpenedTwice) -> Database:
    await postgresql_opened_twice.database.run(delete_all_rows)
    return postgresql_opened_twice.database


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[Ear]:
    """Listen until the block ends."""
    ear = Ear()
    task = asyncio.create_task(keep_listening(address, ear.clock, ear.heard))
    try:
        await ear.until(1)
        yield ear
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.postgres
async def test_a_notification_is_heard_once_its_transaction_is_committed(
    postgresql: Database, postgresql_opened_twice: OpenedTwice
) -> None:
    def notify_and_fail(tx: Transaction) -> None:
        notify(tx, WORK)
        raise RuntimeError

    async with listening(postgresql_opened_twice.address) as ear:
        with pytest.raises(RuntimeError):
            await postgresql.run(notify_and_fail)
        await postgresql.run(notify, "another channel")
        await postgresql.run(notify, WORK)
        await ear.until(2)
        await postgresql.run(notify, WORK)
        await ear.until(3)
        assert ear.times == 3


@pytest.mark.postgres
async def test_a_listener_whose_session_ended_listens_again_and_looks_at_once_for_what_it_missed(
    postgresql: Database, postgresql_opened_twice: OpenedTwice
) -> None:
    async with listening(postgresql_opened_twice.address) as ear:
        await postgresql.run(Transaction.execute, text(LISTENING.replace("pid", "pg_terminate_backend(pid)")))
        await postgresql.run(notify, WORK)
        async with asyncio.timeout(60):
            while ear.times < 2:
                ear.clock.advance(PING_SECONDS)
                await asyncio.sleep(0.01)
        await postgresql.run(notify, WORK)
        await ear.until(3)


@pytest.mark.postgres
async def test_a_listener_leaves_no_session_behind(postgresql: Database, postgresql_opened_twice: OpenedTwice) -> None:
    async with listening(postgresql_opened_twice.address):
        assert len(await sessions(postgresql)) == 1
    async with asyncio.timeout(60):
        while await sessions(postgresql):  # noqa: ASYNC110 - an ended session tells nobody
            await asyncio.sleep(0.01)


async def sessions(database: Database) -> list[int]:
    return await database.run(lambda tx: list(tx.scalars(text(LISTENING))))


async def test_a_server_that_is_gone_is_a_lost_database_for_a_listener(tmp_path: object) -> None:
    with pytest.raises(DatabaseLost):
        await listen(f"postgresql://postgres@/x?host={tmp_path}", WORK, lambda: None, sleep=asyncio.sleep)


def use_cases_of(database: Database, clock: ManualClock) -> UseCases:
    resources = Resources(
        database,
        shared=True,
        service=ScriptedService(clock),
        store=FakeImageStore(),
        clock=clock,
        rng=random.Random(7),
        owner="this",
    )
    settings = make_settings()
    limits = build_request_limits(settings, database)
    return build_use_cases(settings, resources, ImageMemory(), limits, FakeDelivery(), FakeOperator(), None)


@pytest.mark.postgres
async def test_a_process_announces_work_only_when_it_can_not_take_it_on_itself(
    postgresql: Database, postgresql_opened_twice: OpenedTwice
) -> None:
    use_cases = use_cases_of(postgresql, ManualClock())
    async with listening(postgresql_opened_twice.address) as ear:
        for generation_id in (1, 2, 3):
            asked = origin(generation_id)
            await use_cases.generations.request(Request("a lighthouse", seed=5), asked, requester_of(asked))
        await use_cases.generations.confirm_card(1, 9001)
        await use_cases.worker.drain()
        await use_cases.generations.confirm_card(2, 9002)
        await ear.until(2)
        await use_cases.generations.confirm_card(3, 9003)
        await ear.until(3)
        assert ear.times == 3, "the first one was not announced"
