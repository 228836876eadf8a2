"""Open the database, give out transactions and migrate the schema.

Handles what differs between SQLite and PostgreSQL, except for store.statements. Knows no table of a feature.
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
IDLE_SECONDS = 5.0  # an idle transaction of a suspended process keeps its locks no longer than this: half a lease
POSTGRESQL_CONNECTIONS = 10  # per process; small hosted plans allow 20 in all
_BACKGROUND_CONNECTIONS = POSTGRESQL_CONNECTIONS - 3
VACUUM_DUE_KEY = "vacuum_due:v1"  # of store.key_values: identifies the last deletion since the file was rewritten
WITHOUT_TRANSACTION = "without_transaction"  # our execution option: SQLite refuses checkpoint and VACUUM inside one

# Raised when the server ends, shuts down or starts up.
_SERVER_GONE: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
# While a connection is opened. Later an InterfaceError may be wrong use.
_NO_CONNECTION = (*_SERVER_GONE, asyncpg.InterfaceError)

# Primary result codes of faults of the file, not of the statement, that may be temporary (sqlite.org/rescode.html).
# Permanent ones are in store.sqlite_file.
_TEMPORARY_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_PROTOCOL,
    }
)

Transaction = AsyncConnection  # first parameter of every function that reads or writes rows


class Database:
    """Transactions on one database. Use it as an async context manager, or call close()."""

    def __init__(
        self, engine: AsyncEngine, gate: asyncio.Semaphore | None = None, file: SqliteFile | None = None
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._file = file  # SQLite's

    def in_background(self) -> Database:
        """Return the same database for background work, which leaves connections free for commands.

        The pool serves in order of arrival, so a hundred steps of the worker would delay a command. Only a few of them
        may use the pool at a time.
        """
        gate = asyncio.Semaphore(_BACKGROUND_CONNECTIONS if self.is_postgresql else 1)
        return Database(self._engine, gate, self._file)

    @property
    def is_postgresql(self) -> bool:
        """Whether several processes may share this database."""
        return self._engine.dialect.name == "postgresql"

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        """Open a transaction: commit it at the end of the block, roll it back when the block raises.

        On SQLite it holds the write lock from its start, and this process has one connection: never open a second
        transaction inside the first. Raises DatabaseLost; DatabaseBroken, in every later call too, when the SQLite
        file can't be used any more.
        """
        with self._errors_translated():
            async with self._gate or nullcontext(), self._engine.begin() as connection:
                yield connection

    @contextmanager
    def _errors_translated(self) -> Generator[None]:
        """Raise DatabaseLost or DatabaseBroken for the driver's errors in the block that mean so."""
        if self._file is not None:
            self._file.check()
        try:
            yield
        except DBAPIError as error:
            broken = fault_of(self._engine.url.database or "the database", error.orig)
            if broken is not None:
                if self._file is not None:
                    self._file.mark_broken(broken)
                raise DatabaseBroken(broken) from error
            if not (error.connection_invalidated or _is_server_gone(error) or _is_temporary(error)):
                raise
            raise DatabaseLost(f"the connection to the database broke: {type(error.orig).__name__}") from error
        except NoFreeConnection as error:  # also after the machine was suspended for that long
            raise DatabaseLost("no connection to the database became free in time") from error
        except _NO_CONNECTION as error:
            raise DatabaseLost(f"the database can't be reached: {type(error).__name__}") from error

    async def truncate_wal(self) -> bool:
        """Write SQLite's write-ahead log into the file and empty it: until then the log holds what was deleted.

        Then read the application id from the disk, because SQLite may have served a small file, overwritten since, from
        its cache. Return False when another reader, such as a backup, keeps the log from being emptied. Nothing is done
        on PostgreSQL. Raises DatabaseLost and DatabaseBroken.
        """
        if self._file is None:
            return True
        async with self._without_transaction() as connection:
            is_empty = await _checkpoint(connection)
            await connection.exec_driver_sql("PRAGMA shrink_memory")  # the next read comes from the disk
            self._file.compare((await connection.exec_driver_sql("PRAGMA application_id")).scalar_one())
        return is_empty

    async def vacuum(self, due: str, *, bytes_max: int | None = None) -> bool:
        """Rewrite the SQLite file without the free pages and gaps that may hold deleted words, and empty the log.

        Then delete the note of the deletion *due*; the note of a later one stays. All transactions wait meanwhile, and
        the disk needs room for two more copies (sqlite.org/lang_vacuum.html). Return False and do nothing when the file
        is larger than *bytes_max*. Raises DatabaseLost and DatabaseBroken.
        """
        if self._file is not None:
            if bytes_max is not None and self._file.size() > bytes_max:
                return False
            async with self._without_transaction() as connection:
                await connection.exec_driver_sql("VACUUM")
                await _checkpoint(connection)  # where a reader prevents it, the next truncate_wal() does it
        async with self.transaction() as tx:
            done = (key_values.c.key == VACUUM_DUE_KEY) & (key_values.c.value == due)
            await tx.execute(delete(key_values).where(done))
        return True

    @asynccontextmanager
    async def _without_transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        """Give the connection to SQLite outside of a transaction. It waits for no lock of another process meanwhile."""
        with self._errors_translated():
            async with self._engine.connect() as bare:
                connection = await bare.execution_options(**{WITHOUT_TRANSACTION: True})
                await connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                try:
                    yield connection
                finally:
                    await connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")

    async def migrate(self) -> None:
        """Migrate the schema to the newest revision. Of several processes that do so at once, all but one wait.

        Raises DatabaseUnreachable when the database can't be opened or is another program's, SchemaTooNew when a newer
        version of this bot has migrated it.
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
        """Close every connection. No transaction may be open."""
        await self._engine.dispose()

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_database(address: str, *, idle_seconds: float = IDLE_SECONDS) -> Database:
    """Return the database at *address* (see store.address). It connects at the first transaction.

    *idle_seconds*: PostgreSQL ends a transaction that sends no statement for so long; 0: never.
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
    """Open with one connection: transactions of this process queue in order and don't poll for SQLite's write lock."""
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
    """Set the limit with a statement: poolers such as PgBouncer refuse it as a parameter of the connection's start."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {round(seconds * 1000)}")
    cursor.close()
    connection.commit()


def _set_sqlite_rules(connection: Any, _record: object) -> None:
    """Set the pragmas of a new connection.

    WAL survives a kill, synchronous=FULL a power cut too (SQLite docs: PRAGMA synchronous). secure_delete writes zeros
    over what is deleted; the log holds it until truncate_wal().
    """
    connection.isolation_level = None  # the driver sends no BEGIN; _begin_immediately does
    cursor = connection.cursor()
    for rule in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {rule}")
    cursor.execute("PRAGMA schema_version")  # the first read opens -wal, whose identity is noted next
    cursor.fetchall()
    cursor.close()


def _begin_immediately(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that has read can't wait for it any more."""
    if not connection.get_execution_options().get(WITHOUT_TRANSACTION):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _checkpoint(connection: AsyncConnection) -> bool:
    """Write the log into the file and empty it. Return False when a reader keeps it from being emptied."""
    row = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
    return row[0] == 0  # the columns: busy, pages in the log, pages written back (sqlite.org/pragma.html)


def _is_server_gone(error: DBAPIError) -> bool:
    """Whether the PostgreSQL server ended the connection or is not up yet. While a connection is opened, SQLAlchemy 2.1
    raises that as an error of the statement (asyncpg.py, `_handle_exception_no_connection`)."""
    return error.orig is not None and isinstance(error.orig.__cause__, _SERVER_GONE)


def _is_temporary(error: DBAPIError) -> bool:
    """Whether SQLite can't use its file at the moment: another process' long write, a full or failing disk."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _TEMPORARY_CODES


def _reason(error: BaseException) -> str:
    """Return the driver's own message, without SQLAlchemy's statement and links."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"the database can't be opened: {cause}"
