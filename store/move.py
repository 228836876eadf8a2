"""Move every row of a SQLite file to an empty PostgreSQL database, for `python bot.py move`.

The file is read in one snapshot and is left as it is. The other database is written in one transaction: all of it or
nothing. Knows the tables that have been imported (store.tables.metadata), and refuses a file that has others.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path

from sqlalchemy import Table, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from store.address import parse_database_url
from store.database import open_database
from store.errors import MoveRefused
from store.schema import NEWEST_REVISION, read_revisions
from store.sole_use import sole_use
from store.sqlite_file import SqliteFile
from store.tables import metadata
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.store")

BATCH_ROWS = 1000  # in memory at once
PROGRESS_ROWS = 100_000  # between two lines of the log

# Yield what must be the same on both sides, account by account: id, available, held, and what the entries add up to.
Sums = Callable[[Transaction], Iterable[tuple[int, ...]]]


async def move_database(source: str, target: str, sums: Sums) -> None:
    """Copy every row from the SQLite file at the address *source* to the empty PostgreSQL database at *target*.

    Counts and *sums* are compared before the commit. Cancelling it rolls everything back, unless it was committed
    already. A bot that starts on *target* meanwhile waits at its migration. Raises MoveRefused, DatabaseInUse and the
    other errors of store.errors; their texts hold no row and no address.
    """
    path = _path_of(source, target)
    stop = asyncio.Event()
    with sole_use(source):
        await asyncio.to_thread(SqliteFile(path).inspect)
        async with open_database(target, idle_seconds=0) as database:
            moving = asyncio.create_task(database.migrate(partial(_move, path, sums, stop.is_set)))
            try:
                await asyncio.shield(moving)
            except asyncio.CancelledError:
                stop.set()
                await moving


def _path_of(source: str, target: str) -> Path:
    url = parse_database_url(source)
    if url.get_backend_name() != "sqlite" or parse_database_url(target).get_backend_name() != "postgresql":
        raise MoveRefused("only a SQLite file can be moved, and only to a PostgreSQL database")
    path = Path(str(url.database))
    if not path.is_file():
        raise MoveRefused(f"there is no file {path} to be moved")
    return path


def _move(path: Path, sums: Sums, is_stopped: Callable[[], bool], target: Transaction) -> None:
    """Copy and compare all rows, in the transaction that has migrated *target*. Raises MoveRefused."""

    def stop_if_asked() -> None:
        if is_stopped():
            raise MoveRefused("the move was stopped: nothing was written")

    try:
        _lock_empty_tables(target)
        with _open_snapshot(path) as source:
            _check_schema(source, path)
            for table in metadata.sorted_tables:
                _copy(table, source, target, stop_if_asked)
            _continue_numbers(target)
            _compare_counts(source, target)
            _compare_sums(sums(source), sums(target))
    except DBAPIError as error:
        cause = (error.orig and error.orig.__cause__) or error.orig  # the driver's; its text may hold a row
        raise MoveRefused(f"the move broke off ({type(cause).__name__}): nothing was written") from None
    stop_if_asked()


def _lock_empty_tables(target: Transaction) -> None:
    """Keep every other transaction from writing to the tables of the bot. Raises MoveRefused unless they are empty."""
    names = ", ".join(metadata.tables)
    target.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    used = [table.name for table in metadata.sorted_tables if target.execute(select(table).limit(1)).first()]
    if used:
        raise MoveRefused(
            f"the new database is not empty (it has rows in {', '.join(used)}): name an empty one, on which no bot runs"
        )


@contextmanager
def _open_snapshot(path: Path) -> Generator[Transaction]:
    """Open the file so that SQLite refuses every write, in one transaction, which sees no later change."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    engine = create_engine("sqlite+pysqlite://", creator=connect, hide_parameters=True)
    try:
        with engine.connect() as source:
            source.exec_driver_sql("BEGIN")
            yield source
    finally:
        engine.dispose()


def _check_schema(source: Transaction, path: Path) -> None:
    """Raise MoveRefused unless the file has the tables of this version of the bot, and no others."""
    found = read_revisions(source)
    if found != {NEWEST_REVISION}:
        raise MoveRefused(
            f"{path} has the schema {', '.join(sorted(found)) or 'of no version'}, this bot has {NEWEST_REVISION}: "
            "run `python bot.py migrate` first, and update the bot if that says so"
        )
    unknown = set(inspect(source).get_table_names()) - set(metadata.tables) - {"alembic_version"}
    if unknown:
        raise MoveRefused(f"{path} has tables that are not the bot's: {', '.join(sorted(unknown))}")


def _copy(table: Table, source: Transaction, target: Transaction, stop_if_asked: Callable[[], None]) -> None:
    total, copied = _count(table, source), 0
    rows = source.execute(select(table).execution_options(yield_per=BATCH_ROWS)).mappings()
    for batch in rows.partitions():
        stop_if_asked()
        target.execute(insert(table), [dict(row) for row in batch])
        copied += len(batch)
        if copied == total or copied % PROGRESS_ROWS < BATCH_ROWS:
            log.info("%s: %s of %s rows", table.name, f"{copied:,}", f"{total:,}")


def _continue_numbers(target: Transaction) -> None:
    """Let PostgreSQL number the next rows after those that were copied with their numbers."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            highest = select(func.max(column)).scalar_subquery()
            target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), highest)))


def _compare_counts(source: Transaction, target: Transaction) -> None:
    for table in metadata.sorted_tables:
        if _count(table, source) != _count(table, target):
            raise MoveRefused(f"the rows of {table.name} are not as many as before: nothing was written")


def _compare_sums(before: Iterable[tuple[int, ...]], after: Iterable[tuple[int, ...]]) -> None:
    """Raise MoveRefused unless every account has the same numbers on both sides."""
    accounts = available = held = 0
    for ours, theirs in zip_longest(before, after):
        if ours != theirs:
            raise MoveRefused(f"account {(ours or theirs)[0]} differs after the move: nothing was written")
        accounts, available, held = accounts + 1, available + ours[1], held + ours[2]
    log.info(
        "the ledger is the same on both sides: %s accounts, %s credits available, %s held",
        *(f"{number:,}" for number in (accounts, available, held)),
    )


def _count(table: Table, tx: Transaction) -> int:
    return tx.scalar(select(func.count()).select_from(table)) or 0
