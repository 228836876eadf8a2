"""The processes that share one database: rows, heartbeats, and the clock of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text

from generations.clock import DatabaseClock
from processes import records
from processes.model import Presence, Process, Role
from processes.records import DEAD_MS, load_alive
from processes.service import BEAT_SECONDS, FAULTY_SECONDS, Processes
from processes.shard_coverage import GAP
from store.database import Database, open_database
from store.database_time import load_database_time_ms
from store.errors import PermissionMissing
from store.transactions import Transaction
from tests.databases import PostgresqlMaker
from tests.doubles import START_MS, ManualClock
from version import VERSION


async def listen_to_nothing() -> None:
    pass


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 - a beat gives no signal
            await asyncio.sleep(0.001)


class Gated:
    """A database of which every second transaction waits before *gate*, as for a free connection."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.gate = asyncio.Event()
        self.gate.set()
        self.times = 0

    async def run(self, *work: Any) -> Any:
        self.times += 1
        if self.times % 2 == 0:
            await self.gate.wait()
        return await self.database.run(*work)


@dataclass
class Life:
    """One process, on a clock that the test moves."""

    name: str
    database: Database
    machine: ManualClock = field(default_factory=ManualClock)
    beats: int = 0
    presence: Presence = field(default_factory=Presence)
    due_at_ms: int | None = None

    def __post_init__(self) -> None:
        self.clock = DatabaseClock(self.machine)
        self.processes = Processes(
            self.database,
            self.clock,
            self.name,
            self.presence,
            steps=self.count_steps,
            oldest_due_ms=lambda _: self.due_at_ms,
            listen=listen_to_nothing,
        )

    def count_steps(self) -> int:
        self.beats += 1
        return 7

    async def beat(self) -> list[str]:
        """Beat once. Return the names of those that are alive."""
        await self.processes.beat()
        return [process.name for process in self.processes.alive]


def row(name: str, seen_at_ms: int, started_at_ms: int = 1) -> Process:
    return Process(name, Role.BOT, 6, "0-2", 3, 12, started_at_ms, seen_at_ms)


async def test_a_process_is_alive_until_it_was_not_seen_for_twenty_seconds(database: Database) -> None:
    old, new = row("old", 1000), row("new", 1001, started_at_ms=0)
    for process in (old, new):
        await database.run(records.note_process, process)
    assert await database.read(load_alive, 1000 + DEAD_MS - 1) == (new, old), "the longest running one first"
    assert await database.read(load_alive, 1000 + DEAD_MS) == (new,)
    await database.run(records.delete_dead, 1000 + DEAD_MS)
    assert await database.read(load_alive, 1000) == (new,)
    await database.run(records.note_process, old)
    await database.run(records.delete_process, "new")
    assert await database.read(load_alive, 1000) == (old,)


async def test_a_beat_replaces_the_row_of_its_process_alone(database: Database) -> None:
    await database.run(records.note_process, row("other", 5))
    for seen_at_ms in (1000, 2000):
        await database.run(records.note_process, row("this", seen_at_ms))
    assert await database.read(load_alive, 2000) == (row("other", 5), row("this", 2000))


async def test_a_role_of_a_newer_version_counts_as_a_bot(database: Database) -> None:
    await database.run(records.note_process, row("newer", 1000))
    await database.run(Transaction.execute, text("UPDATE processes SET role = 'conductor'"))
    assert await database.read(load_alive, 1000) == (row("newer", 1000),)


async def test_a_process_of_a_version_that_writes_no_version_is_known(database: Database) -> None:
    await database.run(
        Transaction.execute,
        text(
            "INSERT INTO processes (name, role, shard_count, shard_ids, shards_up, steps, started_at_ms, seen_at_ms)"
            " VALUES ('older', 'bot', 6, '0-2', 3, 12, 1, 1000)"
        ),
    )
    (older,) = await database.read(load_alive, 1000)
    assert older == row("older", 1000)
    assert str(older) == "older (bot, shards 0-2 of 6, 3 up, 12 steps)"


async def test_processes_know_each_other_after_a_beat(database: Database, other_database: Database) -> None:
    one, two = Life("one", database), Life("two", other_database)
    assert await one.beat() == ["one"]
    assert not one.processes.are_others
    two.presence.role, two.presence.shard_count, two.presence.shard_ids = Role.WORKER, 6, "3-5"
    two.presence.shards_up |= {3, 5}
    assert set(await two.beat()) == {"one", "two"}
    assert set(await one.beat()) == {"one", "two"}
    assert one.processes.are_others
    seen = next(process for process in one.processes.alive if process.name == "two")
    assert str(seen) == f"two (worker {VERSION}, shards 3-5 of 6, 2 up, 7 steps)"


async def test_a_process_that_ends_is_gone_at_once(database: Database, other_database: Database) -> None:
    one, two = Life("one", database), Life("two", other_database)
    await two.processes.start()
    assert set(await one.beat()) == {"one", "two"}
    await two.processes.stop()
    assert await one.beat() == ["one"]
    await two.processes.stop()
    assert not one.processes.are_others


async def test_a_beat_that_is_under_way_does_not_bring_an_ended_process_back(database: Database) -> None:
    gated: Any = Gated(database)
    life = Life("one", gated)
    await life.processes.start()
    gated.gate.clear()
    beating = asyncio.create_task(life.processes.beat())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(life.processes.stop())
    await asyncio.wait({stopping}, timeout=0.1)
    gated.gate.set()
    await asyncio.gather(beating, stopping)
    assert await database.read(load_alive, life.clock.now_ms()) == ()


async def test_it_beats_every_five_seconds_until_it_is_stopped(database: Database) -> None:
    life = Life("one", database)
    await life.processes.start()
    for beats in (1, 2):
        await until(lambda: bool(life.machine._sleepers))
        life.machine.advance(BEAT_SECONDS - 0.1)
        await asyncio.sleep(0)
        assert life.beats == beats
        life.machine.advance(0.1)
        await until(lambda expected=beats + 1: life.beats == expected)
    await life.processes.stop()
    await asyncio.sleep(0)
    assert not [sleeper for sleeper in life.machine._sleepers if not sleeper[2].done()]


async def test_who_is_alive_is_logged_when_somebody_came_or_went(
    database: Database, other_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="qwen_imagine.processes")
    one, two = Life("one", database), Life("two", other_database)
    one.presence.shard_ids = "0-5"
    one.due_at_ms = 0
    said = list[str]()

    async def beat_twice() -> None:
        caplog.clear()
        for _ in range(2):
            await one.beat()
        said.extend(record.getMessage() for record in caplog.records)

    await beat_twice()
    await two.beat()
    await beat_twice()
    await other_database.run(records.delete_process, "two")
    await beat_twice()
    oldest = "; the oldest work has been due for "
    mine, theirs = f"one (bot {VERSION}, shards 0-5 of ?, 0 up, 7 steps)", f"two (bot {VERSION}, 7 steps)"
    assert [sorted(line.partition(oldest)[0].removeprefix("alive: ").split("; ")) for line in said] == [
        [mine],
        [mine, theirs],
        [f"process {theirs} is gone"],
        [mine],
    ]
    assert float(said[0].partition(oldest)[2].removesuffix(" s")) > 1e9, "since 1970"


async def test_shards_that_no_process_has_are_warned_of_once_a_restart_would_be_over(
    database: Database, other_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Life("one", database), Life("two", other_database)
    one.presence.shard_count = two.presence.shard_count = 6
    one.presence.shard_ids, two.presence.shard_ids = "0-2", "3-5"

    async def warned_after(seconds: float) -> list[str]:
        caplog.clear()
        one.machine.advance(seconds)
        two.machine.advance(seconds)
        await one.beat()
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    said = f"{GAP.format('3-5', 6)}; see SHARD_COUNT and SHARD_IDS, or SHARD_PROCESS, of each process"
    assert await warned_after(0) == await warned_after(FAULTY_SECONDS - 1) == []
    await two.beat()
    assert await warned_after(1) == [], "the process came back in time"
    await other_database.run(records.delete_process, "two")
    assert await warned_after(5) == await warned_after(FAULTY_SECONDS - 1) == []
    assert await warned_after(1) == await warned_after(5) == [said]


async def test_while_the_database_is_away_a_beat_changes_nothing(tmp_path: Any) -> None:
    async with open_database(f"postgresql://postgres@/nobody?host={tmp_path}") as database:
        life = Life("one", database)
        assert await life.beat() == []
        assert life.beats == 0
        assert life.clock.now_ms() == START_MS
        await life.processes.start()
        await life.processes.stop()


class Forbidden:
    """A database whose every transaction after the first *allowed* ones is forbidden."""

    def __init__(self, database: Database, allowed: int) -> None:
        self.database = database
        self.allowed = allowed
        self.refused = 0

    async def run(self, *work: Any) -> Any:
        if self.allowed:
            self.allowed -= 1
            return await self.database.run(*work)
        self.refused += 1
        raise PermissionMissing("the database refuses what the bot needs: permission denied for table processes")


async def test_a_process_that_may_not_write_its_row_does_not_start(database: Database) -> None:
    forbidden: Any = Forbidden(database, allowed=0)
    with pytest.raises(PermissionMissing):
        await Life("one", forbidden).processes.start()


async def test_a_process_that_may_not_write_its_row_any_more_says_so_and_goes_on_beating(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    forbidden: Any = Forbidden(database, allowed=1)
    life = Life("one", forbidden)
    await life.processes.start()
    for refused in (1, 2):
        await until(lambda: bool(life.machine._sleepers))
        life.machine.advance(BEAT_SECONDS)
        await until(lambda expected=refused: forbidden.refused == expected)
    await life.processes.stop()
    assert "permission denied for table processes; the next heartbeat comes in 5 s" in caplog.text


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
async def test_processes_whose_machines_disagree_by_an_hour_agree_by_the_clock_of_the_database(
    postgresql_maker: PostgresqlMaker,
) -> None:
    address = await postgresql_maker.create()
    async with open_database(address) as database, open_database(address) as other:
        lives = [Life("one", database), Life("two", other)]
        lives[1].machine.jump(3600.0)
        for life in lives:
            await life.beat()
        server_ms = await database.run(load_database_time_ms)
        assert server_ms is not None
        for life in lives:
            assert abs(life.clock.now_ms() - server_ms) < 60_000, "the clocks of the test stand still meanwhile"
        assert set(await lives[0].beat()) == {"one", "two"}
    await postgresql_maker.drop(address)


@pytest.mark.postgres
async def test_a_process_that_was_suspended_is_dead_meanwhile_and_alive_again_after_its_next_beat(
    postgresql_maker: PostgresqlMaker,
) -> None:
    address = await postgresql_maker.create()
    async with open_database(address) as database, open_database(address) as other:
        one, two = Life("one", database), Life("two", other)
        for life in (two, one):
            await life.beat()
        assert set(await one.beat()) == {"one", "two"}
        await database.run(
            Transaction.execute, text(f"UPDATE processes SET seen_at_ms = seen_at_ms - {DEAD_MS} WHERE name = 'two'")
        )
        assert await one.beat() == ["one"]
        assert await database.run(Transaction.scalar, text("SELECT count(*) FROM processes")) == 1
        began_at_ms = next(process.started_at_ms for process in two.processes.alive)
        assert set(await two.beat()) == {"one", "two"}
        assert set(await one.beat()) == {"one", "two"}
        assert next(process for process in one.processes.alive if process.name == "two").started_at_ms == began_at_ms
    await postgresql_maker.drop(address)
