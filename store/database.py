"""Open the database, run transactions and migrate the schema.

A transaction is one plain function: it takes an open Connection first and can't await, so no call of the network slips
into it, and nobody can cancel it halfway. Knows no table of a feature.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import delete, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from store.address import parse_database_url
from store.errors import DatabaseBroken, DatabaseLost, DatabaseUnreachable, PermissionMissing
from store.schema import upgrade
from store.sqlite import SqliteTransactions
from store.sqlite_file import APPLICATION_ID, SqliteFile, fault_of, is_refused_write
from store.statements import serialize
from store.tables import key_values
from store.transactions import Transaction, Transactions, collect_calls

IDLE_SECONDS = 5.0  # an idle transaction of a suspended process keeps its locks no longer than this: half a lease
MIGRATION_TRIES = 10  # a migration locks one table after another, as every transaction does, in an order of its own
VACUUM_DUE_KEY = "vacuum_due:v1"  # of store.key_values: identifies the last deletion since the file was rewritten

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

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Database:
    """Transactions on one database. Use it as an async context manager, or call close()."""

    def __init__(
        self,
        transactions: Transactions,
        *,
        is_postgresql: bool = False,
        file: SqliteFile | None = None,
        background: bool = False,
    ) -> None:
        self._transactions = transactions
        self.is_postgresql = is_postgresql  # so several processes may share it
        self._file = file  # SQLite's
        self._background = background

    def in_background(self) -> Database:
        """Return the same database for background work, which lets transactions of commands go first."""
        return Database(self._transactions, is_postgresql=self.is_postgresql, file=self._file, background=True)

    async def run(
        self,
        work: Callable[Concatenate[Transaction, Parameters], Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run *work* in a transaction: commit what it did, or roll it back when it raises. Return what it returns.

        It may run in another thread. It is run to its end as a whole, also when the caller is cancelled meanwhile. On
        SQLite it holds the write lock from its start. Raises what *work* raises; DatabaseLost; PermissionMissing;
        DatabaseBroken, in every later call too, when the SQLite file can't be used any more.
        """

        def noted(connection: Connection) -> tuple[Result, list[Callable[[], None]]]:
            calls = collect_calls(connection)
            return work(connection, *args, **kwargs), calls

        with self._errors_translated():
            result, calls = await self._transactions.write(noted, background=self._background)
        for call in calls:
            call()
        return result

    async def read(
        self,
        work: Callable[Concatenate[Transaction, Parameters], Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run *work*, which writes nothing, so that it holds up no writer. It sees what was committed before.

        Raises as run() does, and DBAPIError when *work* tries to write to a SQLite file.
        """
        with self._errors_translated(reading=True):
            return await self._transactions.read(
                lambda connection: work(connection, *args, **kwargs), background=self._background
            )

    @contextmanager
    def _errors_translated(self, *, reading: bool = False) -> Generator[None]:
        """Raise DatabaseLost or DatabaseBroken for those errors of SQLite in the block that mean so."""
        try:
            yield
        except DBAPIError as error:
            if reading and is_refused_write(error.orig):
                raise
            broken = None if self._file is None else fault_of(self._file.path, error.orig)
            if broken is not None and self._file is not None:
                self._file.mark_broken(broken)
                raise DatabaseBroken(broken) from error
            if not (error.connection_invalidated or _is_temporary(error)):
                raise
            name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
            raise DatabaseLost(f"the database can't be used at the moment: {error.orig} ({name})") from error

    async def truncate_wal(self) -> bool:
        """Write SQLite's write-ahead log into the file and empty it: until then the log holds what was deleted.

        Then read the application id from the disk, because SQLite may have served a small file, overwritten since, from
        its cache. Return False when another reader, such as a backup, keeps the log from being emptied. Nothing is done
        on PostgreSQL. Raises DatabaseLost and DatabaseBroken.
        """
        if self._file is None or not isinstance(self._transactions, SqliteTransactions):
            return True
        with self._errors_translated():
            is_empty, application_id = await self._transactions.without_transaction(_checkpoint_and_reread)
        self._file.compare(application_id)
        return is_empty

    async def vacuum(self, due: str, *, bytes_max: int | None = None) -> bool:
        """Rewrite the SQLite file without the free pages and gaps that may hold deleted words, and empty the log.

        Then delete the note of the deletion *due*; the note of a later one stays. All transactions wait meanwhile, and
        the disk needs room for two more copies (sqlite.org/lang_vacuum.html). Return False and do nothing when the file
        is larger than *bytes_max*. Raises DatabaseLost and DatabaseBroken.
        """
        if self._file is not None and isinstance(self._transactions, SqliteTransactions):
            if bytes_max is not None and self._file.size() > bytes_max:
                return False
            with self._errors_translated():
                await self._transactions.without_transaction(_vacuum)
        await self.run(_forget_deletion, due)
        return True

    async def migrate(self, then: Callable[[Transaction], None] | None = None) -> None:
        """Migrate the schema to the newest revision. Of several processes that do so at once, all but one wait.

        *then* runs in the same transaction: what it raises rolls back the migration too.

        Raises DatabaseUnreachable when the database can't be opened or is another program's, PermissionMissing,
        SchemaTooNew when a newer version of this bot has migrated it.
        """
        try:
            if self._file is not None:
                await asyncio.to_thread(self._file.inspect)
                self._file.make_private()
            await self._migrate_in_turns(then)
            if self._file is not None:
                self._file.is_ours = True
        except PermissionMissing:
            raise
        except DatabaseBroken as error:
            raise DatabaseUnreachable(str(error)) from error
        except DatabaseLost as error:
            raise DatabaseUnreachable(_reason(error.__cause__ or error)) from error
        except DBAPIError as error:
            raise DatabaseUnreachable(_reason(error)) from error

    async def _migrate_in_turns(self, then: Callable[[Transaction], None] | None) -> None:
        """Migrate; begin again where PostgreSQL ended a deadlock with a transaction of an older process."""
        for tries in range(1, MIGRATION_TRIES + 1):
            try:
                return await self.run(_migrate, then)
            except DatabaseLost as error:
                if tries == MIGRATION_TRIES or not _is_deadlock(error.__cause__):
                    raise

    async def close(self) -> None:
        """Finish the transactions that were begun, and close every connection."""
        await self._transactions.close()

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
        from store.postgresql import PostgresqlTransactions  # asyncpg and asyncio's SQLAlchemy, which SQLite needs not

        return Database(PostgresqlTransactions(url, idle_seconds), is_postgresql=True)
    file = SqliteFile(Path(str(url.database)))
    return Database(SqliteTransactions(url, file), file=file)


def _migrate(tx: Transaction, then: Callable[[Transaction], None] | None = None) -> None:
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET LOCAL lock_timeout = 0"))  # the migration of another process may take long
    serialize(tx, "schema")
    upgrade(tx)
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    if then is not None:
        then(tx)


def _forget_deletion(tx: Transaction, due: str) -> None:
    tx.execute(delete(key_values).where(key_values.c.key == VACUUM_DUE_KEY, key_values.c.value == due))


def _vacuum(connection: Connection) -> None:
    connection.exec_driver_sql("VACUUM")
    _checkpoint(connection)  # where a reader prevents it, the next truncate_wal() does it


def _checkpoint_and_reread(connection: Connection) -> tuple[bool, int]:
    is_empty = _checkpoint(connection)
    connection.exec_driver_sql("PRAGMA shrink_memory")  # the next read comes from the disk
    return is_empty, connection.exec_driver_sql("PRAGMA application_id").scalar_one()


def _checkpoint(connection: Connection) -> bool:
    """Write the log into the file and empty it. Return False when a reader keeps it from being emptied."""
    row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    return row[0] == 0  # the columns: busy, pages in the log, pages written back (sqlite.org/pragma.html)


def _is_temporary(error: DBAPIError) -> bool:
    """Whether SQLite can't use its file at the moment: another process' long write, a full or failing disk."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _TEMPORARY_CODES


def _is_deadlock(error: BaseException | None) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == "40P01"


def _reason(error: BaseException) -> str:
    """Return the driver's own message, without SQLAlchemy's statement and links."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, TimeoutError) or isinstance(cause.__cause__, TimeoutError):  # their texts are empty
        return "the database can't be opened: its server does not answer"
    return f"the database can't be opened: {str(cause) or type(cause).__name__}"
