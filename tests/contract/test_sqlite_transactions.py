"""The threads that run transactions on a SQLite file: shared commits, order, reads, and callers that go away."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from store.database import Database, open_database
from store.errors import DatabaseBroken, DatabaseLost
from store.key_values import load_value, load_values, save_value
from store.sqlite import BATCH_MAX, BATCH_SECONDS, SqliteTransactions
from store.sqlite_file import SqliteFile
from store.tables import key_values
from store.transactions import Transaction
from tests.databases import SqliteMaker


@dataclass
class Opened:
    """A database of one test. Its clock, by which works are taken into one commit, stands still."""

    path: Path
    database: Database
    clock: list[float]


@pytest_asyncio.fixture(loop_scope="session")
async def opened(sqlite_maker: SqliteMaker) -> AsyncIterator[Opened]:
    address = await sqlite_maker.create()
    path, clock = Path(address.removeprefix("sqlite:///")), [0.0]
    file = SqliteFile(path)
    transactions = SqliteTransactions(make_url(address), file, lambda: clock[0])
    async with Database(transactions, file=file) as database:
        yield Opened(path, database, clock)


@pytest.fixture
def database(opened: Opened) -> Database:
    return opened.database


class Held:
    """A work that stands still in its thread until it may go on."""

    def __init__(self) -> None:
        self._begun, self._may_go_on = threading.Event(), threading.Event()

    def stand_still(self) -> None:
        self._begun.set()
        assert self._may_go_on.wait(60)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 60)

    def go_on(self) -> None:
        self._may_go_on.set()


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the write lock as another process, which makes works wait together."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def hand_over(*works: Coroutine[Any, Any, object]) -> list[asyncio.Task[object]]:
    """Begin to wait for *works*, in this order."""
    waiting = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    return waiting


async def test_a_connection_has_the_pragmas_for_power_cuts_foreign_keys_and_deletion(database: Database) -> None:
    def rules(tx: Transaction) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [tx.scalar(text(f"PRAGMA {name}")) for name in names]

    assert await database.run(rules) == ["wal", 2, 1, 1]


# -- callers that go away ----------------------------------------------------------------------------------------------


async def test_a_cancelled_caller_stops_no_work_and_leaves_no_lock(opened: Opened) -> None:
    """A transaction that was stopped halfway, in a SELECT, kept the write lock until the garbage collector came by.

    So a work is run to its end and committed, also one that waits still, and nothing is locked then.
    """
    held = Held()

    def save_slowly(tx: Transaction) -> None:
        save_value(tx, "before", "1")
        held.stand_still()
        save_value(tx, "after", "2")

    running = asyncio.create_task(opened.database.run(save_slowly))
    await held.begun()
    (waiting,) = await hand_over(opened.database.run(save_value, "waiting", "3"))
    for task in (running, waiting):
        task.cancel()
    await asyncio.wait([running, waiting])
    assert running.cancelled() and waiting.cancelled()
    held.go_on()
    async with asyncio.timeout(60):
        assert await opened.database.run(load_values, "") == {"before": "1", "after": "2", "waiting": "3"}
    with locked(opened.path):
        pass


async def test_a_result_that_an_error_left_open_keeps_no_old_rows_in_view(database: Database) -> None:
    """An error keeps the local variables of its frames, and SQLite reads on from the state of an open result."""

    def read_one_and_fail(tx: Transaction) -> None:
        result = tx.execute(select(key_values))
        result.fetchone()
        raise RuntimeError("half way")

    def save_many(tx: Transaction) -> None:
        for number in range(99):
            save_value(tx, f"key {number}", "x" * 500)

    await database.run(save_many)
    errors = list[RuntimeError]()
    for way in (database.run, database.read):
        with pytest.raises(RuntimeError, match="half way") as caught:
            await way(read_one_and_fail)
        errors.append(caught.value)  # kept, as by a log
    await database.run(save_value, "key 0", "new")
    assert await database.read(load_value, "key 0") == "new"
    assert await database.truncate_wal()


def test_a_work_whose_loop_has_ended_is_finished_and_the_next_loop_is_served(sqlite_maker: SqliteMaker) -> None:
    database, held = open_database(asyncio.run(sqlite_maker.create())), Held()

    def save_slowly(tx: Transaction) -> None:
        held.stand_still()
        save_value(tx, "word", "1")

    async def leave() -> None:
        await hand_over(database.run(save_slowly))
        await held.begun()

    async def come_back() -> str | None:
        async with asyncio.timeout(60), database:
            return await database.run(load_value, "word")

    asyncio.run(leave())
    held.go_on()
    assert asyncio.run(come_back()) == "1"


ENDS = """
import asyncio, sys, threading
from store.database import open_database
from store.key_values import load_value

def wait_for_ever(_):
    begun.set()
    threading.Event().wait()

async def main():
    database = open_database(sys.argv[1])
    await database.run(load_value, "word")
    await database.read(load_value, "word")
    waiting = asyncio.create_task(database.run(wait_for_ever))
    await asyncio.to_thread(begun.wait)

begun = threading.Event()
asyncio.run(main())
"""


def test_a_database_that_nobody_closed_does_not_keep_its_process_from_ending(sqlite_maker: SqliteMaker) -> None:
    command = [sys.executable, "-c", ENDS, asyncio.run(sqlite_maker.create())]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], timeout=120, check=False).returncode == 0


# -- close -------------------------------------------------------------------------------------------------------------


async def test_close_waits_for_what_was_begun(database: Database) -> None:
    held, ended = Held(), list[str]()

    def save_slowly(tx: Transaction) -> None:
        held.stand_still()
        save_value(tx, "word", "1")
        ended.append("work")

    working = asyncio.create_task(database.run(save_slowly))
    await held.begun()
    closing = asyncio.create_task(database.close())
    closing.add_done_callback(lambda _: ended.append("close"))
    await asyncio.wait([closing], timeout=0.1)
    held.go_on()
    async with asyncio.timeout(60):
        await asyncio.gather(working, closing)
        assert ended == ["work", "close"]
        assert await database.run(load_value, "word") == "1", "opened again"


async def test_after_a_close_that_was_cancelled_works_are_run(database: Database) -> None:
    others, held = set(threading.enumerate()), Held()
    working = asyncio.create_task(database.run(lambda _: held.stand_still()))
    await held.begun()
    (thread,) = {one for one in threading.enumerate() if one.name == "database"} - others
    (closing,) = await hand_over(database.close())
    await asyncio.wait([closing], timeout=0.1)
    closing.cancel()
    held.go_on()
    async with asyncio.timeout(60):
        await working
        await asyncio.to_thread(thread.join)
        assert await database.run(load_value, "word") is None


# -- shared commits ----------------------------------------------------------------------------------------------------


def trace(into: list[str]) -> Callable[[Transaction], None]:
    """Return a work after which the connection notes each statement *into* a list."""

    def begin_to_trace(tx: Transaction) -> None:
        driver: sqlite3.Connection | None = tx.connection.dbapi_connection  # pyright: ignore[reportAssignmentType]
        assert driver is not None
        driver.set_trace_callback(into.append)

    return begin_to_trace


async def test_works_that_wait_together_share_a_commit_and_one_that_raises_is_undone_alone(opened: Opened) -> None:
    statements = list[str]()
    await opened.database.run(trace(statements))
    statements.clear()

    def save_and_fail(tx: Transaction) -> None:
        save_value(tx, "second", "2")
        raise RuntimeError("half way")

    with locked(opened.path):
        first, second, third = await hand_over(
            opened.database.run(save_value, "first", "1"),
            opened.database.run(save_and_fail),
            opened.database.run(save_value, "third", "3"),
        )
    await asyncio.gather(first, third)
    with pytest.raises(RuntimeError, match="half way"):
        await second
    assert (statements.count("BEGIN IMMEDIATE"), statements.count("COMMIT")) == (1, 1)
    assert await opened.database.run(load_values, "") == {"first": "1", "third": "3"}


async def test_a_commit_takes_no_work_that_begins_too_late_and_no_more_than_its_maximum(opened: Opened) -> None:
    statements = list[str]()
    await opened.database.run(trace(statements))
    statements.clear()

    def take_long(_: Transaction) -> None:
        opened.clock[0] += BATCH_SECONDS

    works = [take_long, *[lambda tx: load_value(tx, "word")] * (BATCH_MAX + 1)]
    with locked(opened.path):
        waiting = await hand_over(*(opened.database.run(work) for work in works))
    await asyncio.gather(*waiting)
    commits = " ".join(statements).split("BEGIN IMMEDIATE")[1:]
    assert [commit.count("SAVEPOINT work") for commit in commits] == [1, BATCH_MAX, 1]


@pytest.mark.parametrize("outcome", ["passes it on", "raises another", "hides it"])
async def test_after_an_error_that_undoes_the_transaction_all_works_of_its_commit_are_lost(
    opened: Opened, outcome: str
) -> None:
    """SQLite docs: Response To Errors Within A Transaction."""
    database, seen = opened.database, list[bool]()

    def limit_pages(tx: Transaction, more: int) -> None:
        pages = tx.scalar(text("PRAGMA page_count")) or 0
        tx.execute(text(f"PRAGMA max_page_count = {pages + more}"))

    def save_too_much(tx: Transaction) -> None:
        driver: sqlite3.Connection | None = tx.connection.dbapi_connection  # pyright: ignore[reportAssignmentType]
        assert driver is not None
        try:
            save_value(tx, "long", "x" * 1_000_000)
        except DBAPIError:
            seen.append(driver.in_transaction)
            if outcome == "raises another":
                raise RuntimeError("another") from None
            if outcome == "passes it on":
                raise

    await database.run(limit_pages, 0)
    with locked(opened.path):
        first, second, third = await hand_over(
            database.run(save_value, "first", "1"),
            database.run(save_too_much),
            database.run(save_value, "third", "3"),  # of the next commit
        )
    with pytest.raises(DatabaseLost) as caught:
        await first
    assert not isinstance(caught.value, DatabaseBroken)
    with pytest.raises(RuntimeError if outcome == "raises another" else DatabaseLost) as caught:
        await second
    assert outcome != "passes it on" or str(caught.value).endswith(": database or disk is full (SQLITE_FULL)")
    await third
    assert seen == [False], "SQLite has rolled back the transaction"
    assert await database.run(load_values, "") == {"third": "3"}
    await database.run(limit_pages, 1000)
    await database.run(save_value, "long", "x" * 1_000_000)


def of_sqlite(code: int) -> DBAPIError:
    """Return what SQLAlchemy raises for an extended result code (sqlite.org/rescode.html)."""
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return DBAPIError("a statement", None, error)


async def test_each_temporary_error_is_a_lost_database(database: Database) -> None:
    def fail(_: Transaction, code: int) -> None:
        raise of_sqlite(code)

    for code in (
        *(sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED_SHAREDCACHE),
        *(sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMMAP),
        *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL),
    ):
        with pytest.raises(DatabaseLost) as caught:
            await database.run(fail, code)
        assert not isinstance(caught.value, DatabaseBroken)


async def test_a_file_that_another_process_locks_for_too_long_is_lost_to_all_that_wait(opened: Opened) -> None:
    await opened.database.run(Transaction.execute, text("PRAGMA busy_timeout = 0"))
    with locked(opened.path):
        waiting = await hand_over(*(opened.database.run(load_value, "word") for _ in range(3)))
        for each in waiting:
            with pytest.raises(DatabaseLost):
                await each
    assert await opened.database.run(load_value, "word") is None


async def test_works_of_people_go_before_background_works_that_wait_already(opened: Opened) -> None:
    order, background = list[str](), opened.database.in_background()
    with locked(opened.path):
        waiting = await hand_over(
            background.run(lambda _: order.append("background 1")),
            background.run(lambda _: order.append("background 2")),
            opened.database.run(lambda _: order.append("person")),
        )
    await asyncio.gather(*waiting)
    assert order == ["person", "background 1", "background 2"]


async def test_a_persons_work_is_committed_before_background_work_that_waits_behind_it(opened: Opened) -> None:
    held, background = Held(), opened.database.in_background()
    with locked(opened.path):
        person, later = await hand_over(
            opened.database.run(save_value, "person", "1"), background.run(lambda _: held.stand_still())
        )
    async with asyncio.timeout(60):
        await person
        await held.begun()
    assert not later.done()
    assert await opened.database.read(load_value, "person") == "1"
    held.go_on()
    await later


# -- reads -------------------------------------------------------------------------------------------------------------


async def test_a_read_holds_up_no_write_and_sees_one_state(database: Database) -> None:
    await database.run(save_value, "word", "1")
    held = Held()

    def read_twice(tx: Transaction) -> list[str | None]:
        first = load_value(tx, "word")
        held.stand_still()
        return [first, load_value(tx, "word")]

    reading = asyncio.create_task(database.read(read_twice))
    await held.begun()
    async with asyncio.timeout(60):
        await database.run(save_value, "word", "2")
    held.go_on()
    assert await reading == ["1", "1"]
    assert await database.read(load_value, "word") == "2"


async def test_a_read_that_tries_to_write_is_refused_and_the_file_is_used_on(database: Database) -> None:
    with pytest.raises(DBAPIError, match="readonly"):
        await database.read(save_value, "word", "1")
    assert await database.read(load_value, "word") is None
    await database.run(save_value, "word", "1")
