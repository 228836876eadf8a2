"""A transaction of the simulated database is done as a whole or not at all, wherever its process dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from store.database import Database
from store.errors import DatabaseLost
from store.tables import key_values
from store.transactions import Transaction
from tests.simulation.disk import LOCK_SECONDS, Disk, SimulatedTransactions
from tests.simulation.loop import Life, VirtualLoop

NOTHING: list[str] = []
BOTH = ["1", "2"]


class World:
    """A disk, and processes on it. *faults*: of each call, in turn."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.faults: list[str] = []
        self.disk = Disk(random.Random(0), lambda: self.faults.pop(0) if self.faults else None)
        self.lives: list[Life] = []
        self.executed: list[str] = []  # the keys that were inserted, also those that were rolled back later

    def start(self, life: Life, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        life.on_death = self.disk.forget
        self.lives.append(life)
        return self.loop.spawn(life, work)

    def database(self, life: Life) -> Database:
        return Database(SimulatedTransactions(self.disk, life))

    def store(self, life: Life, *keys: str) -> asyncio.Task[Any]:
        return self.start(life, self.database(life).run(self.insert, keys or BOTH))

    def insert(self, tx: Transaction, keys: Sequence[str]) -> None:
        for key in keys:
            tx.execute(insert(key_values).values(key=key, value=""))
            self.executed.append(key)

    def stored(self) -> list[str]:
        return [key for (key,) in self.disk.ask("SELECT key FROM key_values ORDER BY key")]

    def wait(self, seconds: float = 1.0) -> None:
        self.loop.run_until_complete(self.loop.spawn(None, asyncio.sleep(seconds)))

    def pause_before_the_commit(self, life: Life) -> None:
        while not self.disk.sqlite.in_transaction:
            self.wait(0.0001)
        life.paused = True

    def end(self) -> None:
        for life in self.lives:
            life.is_over = True
            life.run_backlog(self.loop)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.wait()
        self.loop.close()
        self.disk.close()


def load(tx: Transaction) -> list[str]:
    return list(tx.scalars(select(key_values.c.key).order_by(key_values.c.key)))


@contextmanager
def closing_world() -> Generator[World]:
    world = World()
    try:
        yield world
    finally:
        world.end()


@pytest.fixture
def world() -> Iterator[World]:
    with closing_world() as world:
        yield world


def test_a_death_at_any_step_leaves_all_of_a_transaction_or_nothing() -> None:
    left = list[tuple[list[str], list[str]]]()
    for step in range(1, 100):
        life = Life("first", dies_at_step=step)
        with closing_world() as world:
            task = world.store(life)
            world.wait()
            if not life.dead:
                break
            assert not task.done()
            left.append((list(world.executed), world.stored()))
            after = world.store(Life("second"), "3")
            world.wait()
            assert after.done()  # the lock was released
            assert world.stored() == [*left[-1][1], "3"]
    assert all(stored in (NOTHING, BOTH) for _, stored in left)
    assert ([], NOTHING) in left
    assert (["1"], NOTHING) in left
    assert (BOTH, NOTHING) in left
    assert (BOTH, BOTH) in left  # it died between the commit and the answer


def test_a_transaction_ends_although_its_caller_is_cancelled(world: World) -> None:
    task = world.store(Life("only"))
    world.wait(0.0001)
    task.cancel()
    world.wait()
    assert task.cancelled()
    assert world.stored() == BOTH


def test_a_read_sees_what_is_committed_while_another_process_holds_the_lock(world: World) -> None:
    writer, reader = Life("writer"), Life("reader")
    written = world.store(writer)
    world.pause_before_the_commit(writer)
    assert world.stored() == BOTH
    seen = world.start(reader, world.database(reader).read(load))
    world.wait()
    assert seen.result() == NOTHING
    writer.wake(world.loop)
    world.wait()
    assert written.done()
    seen = world.start(reader, world.database(reader).read(load))
    world.wait()
    assert seen.result() == BOTH


def test_a_read_can_not_write(world: World) -> None:
    life = Life("only")
    task = world.start(life, world.database(life).read(world.insert, BOTH))
    world.wait()
    with pytest.raises(OperationalError, match="readonly"):
        task.result()
    assert world.stored() == NOTHING


def test_those_who_wait_for_a_stopped_process_lose_the_database_and_people_go_first(world: World) -> None:
    stopped, other = Life("stopped"), Life("other")
    world.store(stopped)
    world.pause_before_the_commit(stopped)
    lost = world.store(other)
    world.wait(LOCK_SECONDS + 1.0)
    assert isinstance(lost.exception(), DatabaseLost)
    background = world.database(other).in_background()
    world.start(other, background.run(world.insert, ["4"]))
    world.wait(0.1)
    world.store(other, "3")
    world.wait(0.1)
    stopped.wake(world.loop)
    world.wait()
    assert world.executed == [*BOTH, "3", "4"]


@pytest.mark.parametrize(("fault", "stored"), [("locked", NOTHING), ("lost", BOTH)])
def test_a_commit_fails_with_or_without_an_effect(world: World, fault: str, stored: list[str]) -> None:
    world.faults = ["", fault]
    task = world.store(Life("only"))
    world.wait()
    assert isinstance(task.exception(), DatabaseLost)
    assert world.stored() == stored
