"""Open the database, give out transactions, bring the schema up to date.

Knows which database runs, so that nobody else has to; knows nothing of what is in the tables.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it has none
from sqlalchemy import delete, event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from store.address import parse_database_url
from store.errors import DatabaseBroken, DatabaseLost, DatabaseUnreachable
from store.schema import upgrade
from store.sqlite_file import APPLICATION_ID, SqliteFile, fault_of
from store.statements import serialize
from store.tables import key_values

BUSY_TIMEOUT_SECONDS = 30  # how long a writer waits for another process' write
IDLE_SECONDS = 5.0  # a process that sleeps inside a transaction keeps its locks from the others no longer: half a lease
POSTGRESQL_CONNECTIONS = 10  # per process; small hosted plans allow 20 in all
_BACKGROUND_CONNECTIONS = POSTGRESQL_CONNECTIONS - 3
VACUUM_DUE_KEY = "vacuum_due:v1"  # in the key-value store since words were deleted: a mark of the last deletion
WITHOUT_TRANSACTION = (
    "without_transaction"  # an execution option of ours: SQLite takes no checkpoint or VACUUM inside one
)

# How a server that ends, or is about to answer again, makes itself known.
_SERVER_GONE: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
_NO_CONNECTION = (*_SERVER_GONE, asyncpg.InterfaceError)  # while a connection is opened; else a wrong use is one too

# What SQLite says of its file and not of the statement (sqlite.org/rescode.html), as primary result codes, and what
# may pass by itself; what does not is in store.sqlite_file.
_FILE_TROUBLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_PROTOCOL,
    }
)

Transaction = AsyncConnection  # what every method of ledger and records takes first


class Database:
    """An engine with its rules set. Use it as an async context manager, or call close()."""

    def __init__(
        self, engine: AsyncEngine, gate: asyncio.Semaphore | None = None, file: SqliteFile | None = None
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._file = file  # of SQLite

    def in_background(self) -> Database:
        """The same database for work that no person waits for: it keeps out of the way of the rest.

        Connections are given out first come, first served, so a hundred steps of the worker would stand before one
        command: of these, only as many queue as leave room.
        """
        gate = asyncio.Semaphore(_BACKGROUND_CONNECTIONS if self.is_postgresql else 1)
        return Database(self._engine, gate, self._file)

    @property
    def is_postgresql(self) -> bool:
        """Whether several processes may share this database."""
        return self._engine.dialect.name == "postgresql"

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        """One transaction: committed at the end of the block, rolled back when the block raises.

        On SQLite it holds the write lock from its first moment, and this process has one connection: never open
        a second transaction inside the first. Raises DatabaseLost; DatabaseBroken, now and for good, when the file
        of a SQLite database can't be used any more.
        """
        with self._faults_told():
            async with self._gate or nullcontext(), self._engine.begin() as connection:
                yield connection

    @contextmanager
    def _faults_told(self) -> Generator[None]:
        """Around the use of a connection: say of which kind a fault is."""
        if self._file is not None:
            self._file.check()
        try:
            yield
        except DBAPIError as error:
            broken = fault_of(self._engine.url.database or "the database", error.orig)
            if broken is not None:
                if self._file is not None:
                    self._file.broke(broken)
                raise DatabaseBroken(broken) from error
            if not (error.connection_invalidated or _is_gone(error) or _may_pass(error)):
                raise
            raise DatabaseLost(f"the connection to the database broke: {type(error.orig).__name__}") from error
        except NoFreeConnection as error:  # also after the machine slept through the pool's patience
            raise DatabaseLost("no connection to the database became free in time") from error
        except _NO_CONNECTION as error:
            raise DatabaseLost(f"the database can't be reached: {type(error).__name__}") from error

    async def truncate_wal(self) -> bool:
        """Write what SQLite has in its write-ahead log into the file and empty the log: what was deleted stands there
        until then. Then look whether the file is still ours: until now SQLite may have known it from memory alone.

        False: somebody else, such as a backup, is reading, and the log stays for now. Raises DatabaseLost and
        DatabaseBroken. PostgreSQL sees to its own log, and nothing is done there.
        """
        if self._file is None:
            return True
        async with self._without_transaction() as connection:
            is_empty = await _checkpoint(connection)
            await connection.exec_driver_sql("PRAGMA shrink_memory")  # so the next reads come from the file
            self._file.compare((await connection.exec_driver_sql("PRAGMA application_id")).scalar_one())
        return is_empty

    async def vacuum(self, due: str, *, bytes_max: int | None = None) -> bool:
        """Write the SQLite file anew, without the free pages and gaps in which deleted words may stand, and empty the
        log. Then nothing is due any more, unless the mark of the last deletion is not *due* any more.

        Everybody waits meanwhile, and the disk needs room for two more copies (sqlite.org/lang_vacuum.html). False, and
        nothing is done: the file has more than *bytes_max*. Raises DatabaseLost and DatabaseBroken.
        """
        if self._file is not None:
            if bytes_max is not None and self._file.size() > bytes_max:
                return False
            async with self._without_transaction() as connection:
                await connection.exec_driver_sql("VACUUM")
                await _checkpoint(connection)  # else truncate_wal() of the next round does it
        async with self.transaction() as tx:
            done = (key_values.c.key == VACUUM_DUE_KEY) & (key_values.c.value == due)
            await tx.execute(delete(key_values).where(done))
        return True

    @asynccontextmanager
    async def _without_transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        """The connection to SQLite, which waits for no other process meanwhile."""
        with self._faults_told():
            async with self._engine.connect() as bare:
                connection = await bare.execution_options(**{WITHOUT_TRANSACTION: True})
                await connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                try:
                    yield connection
                finally:
                    await connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")

    async def migrate(self) -> None:
        """Bring the schema to the newest revision. Several processes may do so at once: one works, the others wait.

        Raises DatabaseUnreachable when the database can't be opened or is not ours, SchemaTooNew when this bot is too
        old for it.
        """
        try:
            if self._file is not None:
                await asyncio.to_thread(self._file.inspect)
                self._file.make_private()
            async with self.transaction() as connection:
                await serialize(connection, "schema")
                await connection.run_sync(upgrade)
                if self._file is not None:
                    await connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            if self._file is not None:
                self._file.is_ours = True
        except DatabaseBroken as error:
            raise DatabaseUnreachable(str(error)) from error
        except DatabaseLost as error:
            raise DatabaseUnreachable(_reason(error.__cause__ or error)) from error
        except DBAPIError as error:
            raise DatabaseUnreachable(_reason(error)) from error

    async def close(self) -> None:
        """Close every connection. Nothing may be under way."""
        await self._engine.dispose()

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_database(address: str, *, idle_seconds: float = IDLE_SECONDS) -> Database:
    """The database at *address* (see store.address). Connects at the first transaction.

    *idle_seconds*: PostgreSQL ends a transaction that asks nothing for so long; 0: never.
    Raises BadDatabaseUrl, or DatabaseUnreachable when a SQLite file can't be made or written.
    """
    url = parse_database_url(address)
    if url.get_backend_name() != "sqlite":
        return Database(_open_postgresql(url, idle_seconds))
    file = SqliteFile(Path(str(url.database)))
    return Database(_open_sqlite(url, file), file=file)


def _open_postgresql(url: URL, idle_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=POSTGRESQL_CONNECTIONS, max_overflow=0, pool_pre_ping=True, hide_parameters=True
    )

    event.listen(engine.sync_engine, "connect", partial(_limit_idleness, idle_seconds))
    return engine


def _open_sqlite(url: URL, file: SqliteFile) -> AsyncEngine:
    """One connection: transactions of this process queue fairly instead of polling for SQLite's write lock."""
    engine = create_async_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
    )
    event.listen(engine.sync_engine, "connect", _set_sqlite_rules)
    event.listen(engine.sync_engine, "connect", file.log_opened)
    event.listen(engine.sync_engine, "close", file.log_closes)
    event.listen(engine.sync_engine, "close_detached", file.log_closes)
    event.listen(engine.sync_engine, "begin", _begin_immediately)
    return engine


def _limit_idleness(seconds: float, connection: Any, _record: object) -> None:
    """Said once the connection stands: poolers such as PgBouncer refuse it as a parameter of its start."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {round(seconds * 1000)}")
    cursor.close()
    connection.commit()


def _set_sqlite_rules(connection: Any, _record: object) -> None:
    """WAL survives a kill, synchronous=FULL survives a power cut too (SQLite docs: PRAGMA synchronous).

    secure_delete writes zeros over what is deleted; in the log it stays until truncate_wal().
    """
    connection.isolation_level = None  # BEGIN is ours to say, below
    cursor = connection.cursor()
    for rule in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {rule}")
    cursor.execute("PRAGMA schema_version")  # the first read opens the log
    cursor.fetchall()
    cursor.close()


def _begin_immediately(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes can't wait for it halfway through."""
    if not connection.get_execution_options().get(WITHOUT_TRANSACTION):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _checkpoint(connection: AsyncConnection) -> bool:
    """Write the log into the file and empty it. False: somebody is reading, and it stays for now."""
    row = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
    return row[0] == 0  # busy, pages in the log, pages written back (sqlite.org/pragma.html)


def _is_gone(error: DBAPIError) -> bool:
    """Whether PostgreSQL's server went away, or wasn't up yet. Where that happens while a connection is opened,
    SQLAlchemy 2.1 tells it as an error of the statement (asyncpg.py, `_handle_exception_no_connection`)."""
    return error.orig is not None and isinstance(error.orig.__cause__, _SERVER_GONE)


def _may_pass(error: DBAPIError) -> bool:
    """Whether SQLite could not use its file just now: another process' long write, a full or failing disk."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _FILE_TROUBLE


def _reason(error: BaseException) -> str:
    """The driver's own words, without SQLAlchemy's statement and links."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"the database can't be opened: {cause}"
