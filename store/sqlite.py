"""Run transactions on a SQLite file: one thread with a connection that writes, and one with a connection that reads.

Works that wait together are committed together, each in a savepoint, so that a slow disk is waited for once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from store.errors import DatabaseLost
from store.sqlite_connection import SqliteConnection
from store.sqlite_file import SqliteFile
from store.transactions import Result, Transaction

BUSY_TIMEOUT_SECONDS = 30  # how long a writer waits for another process' write
BATCH_SECONDS = 0.02  # works that begin later are committed on their own, so that the first ones don't wait for long
BATCH_MAX = 64


@dataclass(eq=False, slots=True)
class _Job(Generic[Result]):
    """A work, and a future of the loop that waits for it: done once the outcome is here."""

    work: Callable[[Connection], Result]
    background: bool = False
    bare: bool = False  # outside a transaction
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    done: asyncio.Future[None] = field(init=False)
    result: Any = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.done = self.loop.create_future()

    def run(self, connection: Connection) -> bool:
        """Run the work, and keep what it returns or raises. False: it raised."""
        try:
            self.result = self.work(connection)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the work gets it
            self.error = error
            # A result in a local variable, not read to its end, would keep its lock as long as the error is kept.
            traceback.clear_frames(error.__traceback__)
            return False
        return True

    async def outcome(self) -> Result:
        """Wait for the work. Return what it returned, or raise what it raised."""
        await self.done
        if self.error is not None:
            raise self.error
        return self.result


class SqliteTransactions:
    """store.transactions.Transactions over one file. Threads are started with the first work."""

    def __init__(self, url: URL, file: SqliteFile, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._writer = _Thread(partial(_open_writer, url, file), partial(_run_batch, monotonic), "database")
        self._reader = _Thread(partial(_open_reader, url, file), _run_one, "database reader")

    async def write(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        return await self._writer.hand_over(_Job(work, background))

    async def read(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        return await self._reader.hand_over(_Job(work, background))

    async def without_transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Run *work* on the writer's connection outside of a transaction, waiting for no lock of another process."""
        return await self._writer.hand_over(_Job(work, bare=True))

    async def close(self) -> None:
        await self._reader.stop()
        await self._writer.stop()  # last: it empties the log


class _Session:
    """One connection that stays open, and its transactions one after another. Used by one thread.

    SQLAlchemy sees one transaction that never ends; BEGIN, COMMIT and ROLLBACK are sent as statements. To take the
    connection from its pool each time would cost more than a small transaction does. *begin*: the statement; *check*:
    called before it, raises DatabaseBroken when the file is no longer the one that was opened.
    """

    def __init__(self, engine: Engine, begin: str, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check
        self._begin = begin
        self._open: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection, opened if it is not. Raises DBAPIError and DatabaseBroken."""
        self._check()
        if self._open is None:
            opened = SqliteConnection(self._engine)
            opened.begin()  # no statement: see _set_rules
            self._open = opened
        return self._open

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Begin, and commit at the end of the block, or roll back when it raises. Raises as `connection` does."""
        connection = self.connection
        try:
            _send(connection, self._begin)
            yield connection
            _send(connection, "COMMIT")
        except BaseException:  # also an interruption: nothing that is not committed may stay
            self._roll_back(connection)
            raise

    def _roll_back(self, connection: Connection) -> None:
        """Undo what is not committed; where that fails, close the connection, so that the next one is a fresh one."""
        try:
            _driver_of(connection).rollback()  # sends nothing where SQLite has done so by itself
        except (sqlite3.Error, SQLAlchemyError):
            self._open = None
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None
        self._engine.dispose()


def _driver_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _send(connection: Connection, statement: str) -> None:
    """Execute *statement*, which returns no rows, by the driver alone. Raises OperationalError as SQLAlchemy does."""
    try:
        _driver_of(connection).execute(statement)
    except sqlite3.Error as error:
        raise OperationalError(statement, None, error) from error


class _Thread:
    """A thread with one connection, and the works that wait for it: people's before background work."""

    def __init__(
        self, open_session: Callable[[], _Session], run: Callable[[_Session, _Thread], list[_Job[Any]]], name: str
    ) -> None:
        self._open_session = open_session
        self._run = run
        self._name = name
        self._changed = threading.Condition()
        self._waiting: tuple[deque[_Job[Any]], deque[_Job[Any]]] = deque(), deque()  # people's, background
        self._stopping = False
        self._thread: threading.Thread | None = None

    async def hand_over(self, job: _Job[Result]) -> Result:
        """Have the thread run *job*, and return its result. A caller that is cancelled does not stop it."""
        with self._changed:
            self._waiting[job.background].append(job)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        return await job.outcome()

    def next_job(self, *, bare: bool = False, people_only: bool = False) -> _Job[Any] | None:
        """Take the next job, if one waits and is *bare* or not as asked. Called by the thread."""
        with self._changed:
            for waiting in self._waiting[:1] if people_only else self._waiting:
                if waiting:
                    return waiting.popleft() if waiting[0].bare is bare else None
        return None

    def all_jobs(self) -> list[_Job[Any]]:
        """Take every job that waits."""
        with self._changed:
            taken = [job for waiting in self._waiting for job in waiting]
            for waiting in self._waiting:
                waiting.clear()
        return taken

    async def stop(self) -> None:
        """Finish the waiting jobs and end the thread. A later job starts another one."""
        with self._changed:
            thread = self._thread
            self._stopping = thread is not None
            self._changed.notify()
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _work(self) -> None:
        session = self._open_session()
        try:
            while self._is_needed():
                _deliver(self._run(session, self))
        finally:
            session.close()

    def _is_needed(self) -> bool:
        """Wait for the next job. False: the thread is to end."""
        with self._changed:
            while not any(self._waiting):
                if self._stopping:
                    self._thread, self._stopping = None, False
                    return False
                self._changed.wait()
        return True


def _run_batch(monotonic: Callable[[], float], session: _Session, thread: _Thread) -> list[_Job[Any]]:
    """Run the works that wait in one transaction, each in a savepoint. Return those that have an outcome.

    A person's work waits for no background work behind it: only for the commit.
    """
    bare = thread.next_job(bare=True)
    if bare is not None:
        _run_bare(session, bare)
        return [bare]
    batch = list[_Job[Any]]()
    until = monotonic() + BATCH_SECONDS
    try:
        with session.transaction() as connection:
            driver = _driver_of(connection)
            while len(batch) < BATCH_MAX and (not batch or monotonic() < until):
                job = thread.next_job(people_only=any(not begun.background for begun in batch))
                if job is None:
                    break
                batch.append(job)
                _run_in_savepoint(connection, driver, job)
    except BaseException as error:  # noqa: BLE001 - whoever waits for the work gets it
        # Nothing of this batch is committed, or that is not known. When the transaction could not even begin, those
        # that wait have waited as long as it did.
        batch = batch or thread.all_jobs()
        for job in batch:
            job.error = job.error or error
    return batch


def _run_in_savepoint(connection: Connection, driver: Any, job: _Job[Any]) -> None:
    """Run one work of a batch; undo what it did when it raises. Raises DatabaseLost when the whole batch is undone."""
    try:
        driver.execute("SAVEPOINT work")
        if not job.run(connection):
            driver.execute("ROLLBACK TO work")
        driver.execute("RELEASE work")
    except sqlite3.Error as error:
        # Mostly there is no savepoint any more: after some errors of a work SQLite has rolled back the transaction
        # (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
        raise DatabaseLost(f"the transaction was rolled back: {error}") from (job.error or error)


def _run_one(session: _Session, thread: _Thread) -> list[_Job[Any]]:
    """Run the next work that only reads."""
    job = thread.next_job()
    if job is None:
        return []
    try:
        with session.transaction() as connection:
            job.run(connection)
    except BaseException as error:  # noqa: BLE001 - whoever waits for the work gets it
        job.error = error
    return [job]


def _run_bare(session: _Session, job: _Job[Any]) -> None:
    try:
        with _waiting_for_nobody(session.connection) as connection:
            job.run(connection)
    except BaseException as error:  # noqa: BLE001 - whoever waits for the work gets it
        job.error = error


@contextmanager
def _waiting_for_nobody(connection: Connection) -> Generator[Connection]:
    _send(connection, "PRAGMA busy_timeout = 0")
    try:
        yield connection
    finally:
        _send(connection, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")


def _deliver(jobs: Iterable[_Job[Any]]) -> None:
    """Hand outcomes to the loops that wait for them: one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            loop.call_soon_threadsafe(_set_done, its_jobs)


def _set_done(jobs: Iterable[_Job[Any]]) -> None:
    for job in jobs:
        if not job.done.cancelled():
            job.done.set_result(None)


def _open_writer(url: URL, file: SqliteFile) -> _Session:
    """Return a session that takes the write lock at each start: a transaction that has read can't wait for it."""
    engine = _open_engine(url)
    event.listen(engine, "connect", partial(_set_rules, ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON")))
    event.listen(engine, "connect", file.log_opened)
    event.listen(engine, "close", file.log_closes)
    event.listen(engine, "close_detached", file.log_closes)
    return _Session(engine, "BEGIN IMMEDIATE", file.check)


def _open_reader(url: URL, file: SqliteFile) -> _Session:
    engine = _open_engine(url)
    event.listen(engine, "connect", partial(_set_rules, ("query_only=ON",)))
    return _Session(engine, "BEGIN", file.check)


def _open_engine(url: URL) -> Engine:
    return create_engine(
        url, pool_size=1, max_overflow=0, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}
    )


def _set_rules(rules: Iterable[str], connection: Any, _record: object) -> None:
    """Set the pragmas of a new connection.

    WAL survives a kill, synchronous=FULL a power cut too (SQLite docs: PRAGMA synchronous). secure_delete writes zeros
    over what is deleted; the log holds it until truncate_wal().
    """
    connection.isolation_level = None  # the driver sends no BEGIN; _Session does
    cursor = connection.cursor()
    for rule in ("journal_mode=WAL", *rules):
        cursor.execute(f"PRAGMA {rule}")
    cursor.execute("PRAGMA schema_version")  # the first read opens -wal, whose identity is noted next
    cursor.fetchall()
    cursor.close()
