"""Run transactions on PostgreSQL, over asyncpg. Knows which of its errors mean that the database is lost.

A pooler such as PgBouncer in transaction mode gives each transaction another session. It is noticed by itself: then
nothing is prepared in a session, and limits are set for each transaction.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it has none
from sqlalchemy import event, text
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import URL, Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from store.errors import DatabaseLost, PermissionMissing
from store.transactions import Result, Transaction

LOCK_SECONDS = 20.0  # how long a statement waits for a lock; a suspended process loses its own sooner
PING_SECONDS = 5.0  # a session that was not used for so long is asked whether it is still there
CONNECTIONS = 10  # per process; small hosted plans allow 20 in all
BACKGROUND_CONNECTIONS = CONNECTIONS - 3
FREE_SECONDS = 30.0  # how long a transaction waits for one of them

# Raised when the server ends, shuts down or starts up.
SERVER_GONE: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
# While a connection is opened. Later an InterfaceError may be wrong use.
NO_CONNECTION = (*SERVER_GONE, asyncpg.InterfaceError)
CONNECTION_LOST = (*NO_CONNECTION, asyncpg.PostgresError)  # of one that no SQLAlchemy is around

# Faults of the moment, after which a transaction may succeed (PostgreSQL docs: PostgreSQL Error Codes): no more
# connections, no room on the disk or in memory, a server that became a standby, a conflict of two transactions, a lock
# that was held for too long.
TOO_MANY_CONNECTIONS, READ_ONLY = "53300", "25006"
DISK_FULL, OUT_OF_MEMORY, SERIALIZATION, DEADLOCK, LOCK_NOT_AVAILABLE = "53100", "53200", "40001", "40P01", "55P03"
MOMENTARY = frozenset(
    {TOO_MANY_CONNECTIONS, READ_ONLY, DISK_FULL, OUT_OF_MEMORY, SERIALIZATION, DEADLOCK, LOCK_NOT_AVAILABLE}
)
INSUFFICIENT_PRIVILEGE = "42501"
USELESS_SESSION = frozenset({TOO_MANY_CONNECTIONS, READ_ONLY})  # another session may reach the server that writes

_SET_LIMITS = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :idle, true), set_config('lock_timeout', :lock, true)"
)


class PostgresqlTransactions:
    """store.transactions.Transactions over a pool of connections. Background work leaves some of them free.

    *free_seconds*: how long a transaction waits for a connection before it fails, having done nothing.
    """

    def __init__(self, url: URL, idle_seconds: float, free_seconds: float = FREE_SECONDS) -> None:
        self._url = url
        self._idle_seconds = idle_seconds
        self._free_seconds = free_seconds
        self._opened: AsyncEngine | None = None
        self._engine_lock = asyncio.Lock()
        self._gate = asyncio.Semaphore(BACKGROUND_CONNECTIONS)
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._running = set[asyncio.Task[Any]]()

    async def write(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        try:
            return await self._to_the_end(self._transaction(work, background=background))
        except DBAPIError as error:
            if _sqlstate(error) == INSUFFICIENT_PRIVILEGE and error.orig is not None:
                raise PermissionMissing(f"the database refuses what the bot needs: {error.orig.args[0]}") from error
            if not is_lost(error):
                raise
            name = type((error.orig and error.orig.__cause__) or error.orig).__name__  # asyncpg's: DiskFullError
            raise DatabaseLost(f"the database can't be used at the moment: {name}") from error
        except CONNECTION_LOST as error:
            raise DatabaseLost(f"the database can't be reached: {type(error).__name__}") from error

    async def read(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        return await self.write(work, background=background)

    async def close(self) -> None:
        if self._running:
            await asyncio.wait(self._running)
        if self._opened is not None:
            await self._opened.dispose()

    async def _engine(self) -> AsyncEngine:
        """Return the engine. The first call finds out whether a pooler stands before the server."""
        async with self._engine_lock:
            if self._opened is None:
                connection = await connect(self._url)
                try:
                    pooled = await is_pooled(connection)
                finally:
                    connection.terminate()
                self._opened = _open_engine(self._url, self._idle_seconds, pooled=pooled)
            return self._opened

    async def _transaction(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        engine = self._opened or await self._engine()
        async with self._gate if background else nullcontext(), self._turn(), engine.begin() as connection:
            return await connection.run_sync(work)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Wait until a connection is free, in the order of the calls. In the pool's own queue a later call may be
        first, and whoever has waited longest begins to wait anew (SQLAlchemy 2.1, AsyncAdaptedQueue).

        Raises DatabaseLost after free_seconds, also where the machine was suspended for that long.
        """
        try:
            async with asyncio.timeout(self._free_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise DatabaseLost("no connection to the database became free in time") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _to_the_end(self, transaction: Coroutine[Any, Any, Result]) -> Result:
        """Wait for *transaction*, which is run to its end also when the caller is cancelled."""
        task = asyncio.create_task(transaction, name="transaction")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(_take_error)
        return await asyncio.shield(task)


def _take_error(task: asyncio.Task[Any]) -> None:
    """Mark the error as seen: who was cancelled meanwhile does not wait for it."""
    if not task.cancelled():
        task.exception()


def is_lost(error: DBAPIError) -> bool:
    """Whether *error* means that the database can't be used at the moment."""
    if error.connection_invalidated or _sqlstate(error) in MOMENTARY:
        return True
    # While a connection is opened, SQLAlchemy 2.1 raises that the server has ended it, or is not up yet, as an error
    # of the statement (asyncpg.py, `_handle_exception_no_connection`).
    return error.orig is not None and isinstance(error.orig.__cause__, SERVER_GONE)


def _sqlstate(error: DBAPIError | ExceptionContext | None) -> str | None:
    cause = None if error is None else error.orig if isinstance(error, DBAPIError) else error.original_exception
    return getattr(cause, "sqlstate", None)


async def connect(url: URL) -> Any:
    """Open an asyncpg connection that no pool of ours has. Raises NO_CONNECTION and asyncpg.PostgresError."""
    _, options = PGDialect_asyncpg().create_connect_args(url.difference_update_query(["prepared_statement_cache_size"]))
    driver: Any = asyncpg
    return await driver.connect(**options, statement_cache_size=0)


async def is_pooled(connection: Any) -> bool:
    """Whether a pooler stands between: it tells a process id of its own at the start of a connection."""
    async with connection.transaction():
        return await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid()


def _open_engine(url: URL, idle_seconds: float, *, pooled: bool) -> AsyncEngine:
    """Open the engine. *pooled*: behind a pooler (SQLAlchemy docs: asyncpg, "Prepared Statement Name with PGBouncer").

    asyncpg numbers its prepared statements in each process from 1, so that those of two would meet in one session of
    the pooler. Without its cache it gives them no name, and sends the text of each again whenever it is executed
    (asyncpg 0.32, connection.py, `_get_statement`); what SQLAlchemy keeps of them is the types of their columns.
    """
    options: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0}
    if pooled:
        options["connect_args"] = {"statement_cache_size": 0}
    engine = create_async_engine(url, **options, hide_parameters=True)
    if pooled:
        event.listen(engine.sync_engine, "begin", partial(_set_transaction_limits, idle_seconds))
    else:
        event.listen(engine.sync_engine, "connect", partial(_set_limits, idle_seconds))
    event.listen(engine.sync_engine, "handle_error", _drop_useless_session)
    event.listen(engine.sync_engine, "checkin", _note_return)
    event.listen(engine.sync_engine, "checkout", partial(_check_session, engine.dialect.loaded_dbapi.Error))
    return engine


def _note_return(_connection: object, session: ConnectionPoolEntry) -> None:
    session.info["returned_at"] = time.monotonic()


def _check_session(errors: type[Exception], connection: Any, session: ConnectionPoolEntry, _proxy: object) -> None:
    """Have the pool open another session in place of one that has ended. One that was not used for PING_SECONDS is
    asked: the network may have lost it without a word. The pool's own check, `pool_pre_ping`, asks each time.

    Raises DisconnectionError, which the pool handles.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
    idle_seconds = time.monotonic() - session.info.get("returned_at", math.inf)  # below 0: it was just opened
    if idle_seconds < PING_SECONDS:
        return
    try:
        connection.ping()
    except errors as error:
        raise InvalidatePoolError from error


def _drop_useless_session(context: ExceptionContext) -> None:
    """Have the pool close a session that no later transaction could use, and no other one."""
    if _sqlstate(context) in USELESS_SESSION:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _set_limits(idle_seconds: float, connection: Any, _record: object) -> None:
    """Set limits with statements: poolers such as PgBouncer refuse them as parameters of the connection's start."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {round(idle_seconds * 1000)}")
    cursor.execute(f"SET lock_timeout = {round(LOCK_SECONDS * 1000)}")
    cursor.close()
    connection.commit()


def _set_transaction_limits(idle_seconds: float, connection: Connection) -> None:
    """Set the same limits for one transaction."""
    connection.execute(_SET_LIMITS, {"idle": str(round(idle_seconds * 1000)), "lock": str(round(LOCK_SECONDS * 1000))})
