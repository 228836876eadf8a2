"""The database without threads: one SQLite in memory, shared by all processes of a run, one transaction at a time.

A work runs at one moment of the virtual time. Waiting for the lock, the commit and the way of the answer take time,
can fail, and a process can die there, as it can before each statement.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from store.schema import upgrade
from store.transactions import Result, Transaction
from tests.simulation.loop import LIFE, Life

LOCK_SECONDS = 30.0
PickFault = Callable[[], str | None]  # the fault of the next call; None: no fault


class Died(BaseException):
    """Raised inside a work when its process dies before the next statement. The product must not catch it."""


@dataclass(eq=False, slots=True)
class Turn:
    """A transaction that writes: it waits for the lock, or holds it."""

    life: Life
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Disk:
    """The database, which outlives every process. *pick_fault*: the fault of each lock, read and commit."""

    def __init__(self, rng: random.Random, pick_fault: PickFault) -> None:
        self._connection = _open(_migrated())
        self.sqlite = _driver(self._connection)
        self.holder: Turn | None = None
        self._queues: tuple[deque[Turn], deque[Turn]] = deque(), deque()  # people's, background
        self._rng = rng
        self._pick_fault = pick_fault

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        """Return rows without taking the lock; for the invariants, not for the product."""
        return self.sqlite.execute(sql, parameters).fetchall()

    def set_ping(self, user_id: int, ping: str) -> None:
        """Store the ping setting of a person before the run; empty: none."""
        if ping:
            row = (user_id, "1:1", "png", False, ping)
            sql = "INSERT INTO preferences (user_id, size, format, private, ping) VALUES (?, ?, ?, ?, ?)"
            self.sqlite.execute(sql, row)

    async def arrive(self) -> None:
        """Take the time that a call needs to reach the database. Raises the fault of the call."""
        fault = self._pick_fault()
        await self.take_time(fault)
        if fault in ("locked", "lost"):
            raise _error(fault)

    async def begin(self, turn: Turn, *, background: bool) -> Connection:
        """Wait for the lock and begin a transaction."""
        if self.holder is None:
            self.holder = turn
        else:
            self._queues[background].append(turn)
            try:
                await asyncio.wait_for(turn.granted, LOCK_SECONDS)
            except TimeoutError:
                self.rollback(turn)
                raise _error("locked") from None
        self._connection.begin()
        self.sqlite.execute("BEGIN")
        return self._connection

    async def commit(self, turn: Turn) -> None:
        """Commit, release the lock, and take the time that the answer needs."""
        fault = self._pick_fault()
        await self.take_time(fault)
        if fault == "locked":
            self.rollback(turn)
            raise _error("full")
        self._connection.commit()
        self._release()
        await self.take_time()
        if fault == "lost":
            raise _error("lost")

    def rollback(self, turn: Turn) -> None:
        """Undo what *turn* has not committed, if anything."""
        if self.holder is turn:
            self._connection.rollback()
            self._release()

    def forget(self, life: Life) -> None:
        """Roll back the transaction of a process that ended, as a database does when the connection breaks."""
        if self.holder is not None and self.holder.life is life:
            self.rollback(self.holder)

    @contextmanager
    def committed(self) -> Generator[Connection]:
        """Yield a connection that sees what is committed and refuses writes."""
        # The open transaction's changes are in SQLite's cache (cache_spill=OFF), which serialize() leaves out.
        copied = self.sqlite.in_transaction
        connection = _open(self.sqlite.serialize()) if copied else self._connection
        _driver(connection).execute("PRAGMA query_only=ON")
        try:
            yield connection
        finally:
            connection.rollback()
            _driver(connection).execute("PRAGMA query_only=OFF")
            if copied:
                connection.close()

    def close(self) -> None:
        self._connection.close()

    def _release(self) -> None:
        self.holder = None
        for queue in self._queues:
            while queue:
                turn = queue.popleft()
                if not turn.life.dead and not turn.granted.done():
                    self.holder = turn
                    turn.granted.set_result(None)
                    return

    async def take_time(self, fault: str | None = None) -> None:
        """Take the time of one commit, or of one way to the database or back."""
        await asyncio.sleep(self._rng.uniform(0.5, 8.0) if fault == "slow" else self._rng.uniform(0.0002, 0.004))


class SimulatedTransactions:
    """store.transactions.Transactions of one process on a Disk.

    A process that dies in a transaction leaves nothing of it before the commit, and all of it afterwards; none of its
    tasks goes on.
    """

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk = disk
        self._life = life

    async def write(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        # A task of its own: a caller that is cancelled does not stop it.
        return await asyncio.shield(asyncio.create_task(self._write(work, background)))

    async def read(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        return await asyncio.shield(asyncio.create_task(self._read(work)))

    async def close(self) -> None:
        """Do nothing: a simulated process ends by its death."""

    async def _write(self, work: Callable[[Transaction], Result], background: bool) -> Result:
        await self._disk.arrive()
        turn = Turn(self._life)
        connection = await self._disk.begin(turn, background=background)
        try:
            result = work(connection)
        except Died:
            await _never()
            raise
        except BaseException:
            self._disk.rollback(turn)
            raise
        await self._disk.commit(turn)
        return result

    async def _read(self, work: Callable[[Transaction], Result]) -> Result:
        await self._disk.arrive()
        try:
            with self._disk.committed() as connection:
                result = work(connection)
        except Died:
            await _never()
            raise
        await self._disk.take_time()
        return result


async def _never() -> None:
    """Wait for ever."""
    await asyncio.get_running_loop().create_future()


def _error(kind: str) -> OperationalError:
    """Return the error as SQLAlchemy raises it."""
    code, text = {
        "locked": (sqlite3.SQLITE_BUSY, "database is locked"),
        "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
        "lost": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    }[kind]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return OperationalError(None, None, error)


@cache
def _engine() -> Engine:
    """Return the engine of all runs of this process: each statement is compiled once. A connection is a database."""
    engine = create_engine("sqlite://", poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "before_execute", _take_step)
    return engine


@cache
def _migrated() -> bytes:
    """Return a new database with the newest schema."""
    connection = _open(b"")
    upgrade(connection)
    connection.commit()
    file = _driver(connection).serialize()
    connection.close()
    return file


def _open(file: bytes) -> Connection:
    connection = _engine().connect()
    driver = _driver(connection)
    driver.isolation_level = None  # the driver begins no transaction
    if file:
        driver.deserialize(file)
    driver.execute("PRAGMA foreign_keys=ON")
    driver.execute("PRAGMA cache_spill=OFF")
    return connection


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.dbapi_connection
    return driver


def _take_step(*_: Any) -> None:
    """Count a statement as a step of its process, which may die at it."""
    life = LIFE.get()
    if life is not None and not life.is_over:
        if not life.dead:
            life.take_step()
        if life.dead:
            raise Died
