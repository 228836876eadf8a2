"""The database without threads: one SQLite in memory, shared by all processes of a run, one transaction at a time.

SQLAlchemy's own dialect for aiosqlite runs on top of it, so the product's SQL is the same as in production. Only the
wait for the lock and the commit are asynchronous, since only they can fail or be interrupted.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from store.database import Database
from store.schema import upgrade
from tests.simulation.loop import Life, VirtualLoop

LOCK_SECONDS = 30.0
PickFault = Callable[[], str | None]  # the fault of the next call; None: no fault


class Disk:
    """The database, which outlives every process. *pick_fault*: the fault of each lock and commit."""

    def __init__(self, template: bytes, rng: random.Random, pick_fault: PickFault) -> None:
        self.sqlite = sqlite3.connect(":memory:", isolation_level=None)
        if template:
            self.sqlite.deserialize(template)
        self.sqlite.execute("PRAGMA foreign_keys=ON")
        self.holder: Life | None = None
        self._queue: deque[tuple[Life, asyncio.Future[None]]] = deque()
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

    async def begin(self, life: Life) -> None:
        await asyncio.sleep(self._seconds())
        fault = self._pick_fault()
        if fault == "slow":
            await asyncio.sleep(self._rng.uniform(0.5, 8.0))
        elif fault in ("locked", "lost"):
            raise _error(fault)
        if self.holder is not None or self._queue:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append((life, turn))
            try:
                await asyncio.wait_for(turn, LOCK_SECONDS)
            except TimeoutError:
                if self.holder is life:
                    self.release(life)
                raise _error("locked") from None
            except asyncio.CancelledError:
                if self.holder is life:
                    self.release(life)
                raise
        self.holder = life
        self.sqlite.execute("BEGIN")

    async def commit(self, life: Life) -> None:
        await asyncio.sleep(self._seconds())
        if life.dead or self.holder is not life:
            return
        fault = self._pick_fault()
        if fault == "locked":
            self.rollback(life)
            raise _error("full")
        self.sqlite.execute("COMMIT")
        self.release(life)
        await asyncio.sleep(self._seconds())
        if fault == "lost":
            raise _error("lost")

    def rollback(self, life: Life) -> None:
        """Undo what *life* has not committed, if anything."""
        if self.holder is life:
            if self.sqlite.in_transaction:
                self.sqlite.execute("ROLLBACK")
            self.release(life)

    def release(self, life: Life) -> None:
        self.holder = None
        while self._queue:
            next_life, turn = self._queue.popleft()
            if not next_life.dead and not turn.done():
                self.holder = next_life
                turn.set_result(None)
                return

    def forget(self, life: Life) -> None:
        """Roll back the transaction of a process that ended, as a database does when the connection breaks."""
        self._queue = deque(entry for entry in self._queue if entry[0] is not life)
        self.rollback(life)

    def _seconds(self) -> float:
        return self._rng.uniform(0.0002, 0.004)


def _error(kind: str) -> sqlite3.OperationalError:
    """Return the driver's error; SQLAlchemy treats "connection closed" as a broken connection."""
    code, text = {
        "locked": (sqlite3.SQLITE_BUSY, "database is locked"),
        "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
        "lost": (sqlite3.SQLITE_IOERR, "connection closed"),
    }[kind]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class _Cursor:
    """The part of aiosqlite.Cursor that SQLAlchemy uses, run inline."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._cursor = connection.disk.sqlite.cursor()

    async def __aenter__(self) -> _Cursor:
        return self

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._cursor.lastrowid

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> _Cursor:
        if sql == "BEGIN IMMEDIATE":
            await self._connection.disk.begin(self._connection.life)
        else:
            self._connection.check()
            self._cursor.execute(sql, parameters)
        return self

    async def executemany(self, sql: str, rows: Any) -> _Cursor:
        self._connection.check()
        self._cursor.executemany(sql, rows)
        return self

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


class _Connection:
    """The part of aiosqlite.Connection that SQLAlchemy uses."""

    isolation_level = None

    def __init__(self, disk: Disk, life: Life) -> None:
        self.disk = disk
        self.life = life
        self._connection = self  # SQLAlchemy asks this to see whether it is open

    def check(self) -> None:
        if self.life.dead:
            raise sqlite3.OperationalError("connection closed")
        assert self.disk.holder is self.life, "a statement outside any transaction of its process"

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    async def commit(self) -> None:
        await self.disk.commit(self.life)

    async def rollback(self) -> None:
        if not self.life.dead:
            self.disk.rollback(self.life)

    async def close(self) -> None:
        await self.rollback()

    def stop(self) -> None:
        pass


class Databases:
    """Open the product's Database for one process over one disk. All share one dialect and its compiled SQL."""

    def __init__(self) -> None:
        loop = VirtualLoop()
        self._disk = Disk(b"", random.Random(0), lambda: None)
        self._base = create_async_engine("sqlite+aiosqlite:///simulated.db", hide_parameters=True)
        self._dialect: Any = self._base.sync_engine.dialect
        self._compiled: dict[Any, Any] = {}
        self.template = loop.run_until_complete(self._migrated())
        loop.close()

    async def _migrated(self) -> bytes:
        life = Life("migration")
        engine = self._engine(self._disk, life)
        async with engine.begin() as connection:
            await connection.run_sync(self._dialect.initialize)
        async with Database(engine).transaction() as tx:
            await tx.run_sync(upgrade)
        await engine.dispose()
        return self._disk.sqlite.serialize()

    def open(self, disk: Disk, life: Life) -> Database:
        return Database(self._engine(disk, life))

    def _engine(self, disk: Disk, life: Life) -> AsyncEngine:
        from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection

        pool = AsyncAdaptedQueuePool(
            lambda: AsyncAdapt_aiosqlite_connection(self._dialect.dbapi, _Connection(disk, life)),  # type: ignore[arg-type]
            pool_size=1,
            max_overflow=0,
            timeout=LOCK_SECONDS,
            dialect=self._dialect,
        )
        engine = Engine(
            pool,
            self._dialect,
            self._base.url,
            hide_parameters=True,
            execution_options={"compiled_cache": self._compiled},
        )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return AsyncEngine(engine)
