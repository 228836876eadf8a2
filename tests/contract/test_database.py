"""Transactions, the key-value store, and the statements that differ between the two databases."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from store.database import Database, open_database
from store.errors import DatabaseBroken, DatabaseLost, DatabaseUnreachable
from store.key_values import load_value, save_value
from store.statements import serialize
from tests.databases import PostgresqlMaker, SqliteMaker


async def test_the_value_that_was_saved_last_is_loaded(database: Database) -> None:
    async with database.transaction() as tx:
        assert await load_value(tx, "schedule") is None
        await save_value(tx, "schedule", "1")
        await save_value(tx, "schedule", "2")
        await save_value(tx, "tree", "x")
    async with database.transaction() as tx:
        assert await load_value(tx, "schedule") == "2"


async def test_a_block_that_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        async with database.transaction() as tx:
            await save_value(tx, "schedule", "1")
            raise RuntimeError("half way")
    async with database.transaction() as tx:
        assert await load_value(tx, "schedule") is None


async def test_a_cancelled_transaction_is_rolled_back_and_blocks_no_other(database: Database) -> None:
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as tx:
            await save_value(tx, "schedule", "1")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60), database.transaction() as tx:
        assert await load_value(tx, "schedule") is None


async def test_serialize_runs_transactions_one_after_another(database: Database, database_address: str) -> None:
    async def count_up(through: Database) -> None:
        async with through.transaction() as tx:
            await serialize(tx, "line")
            value = int(await load_value(tx, "count") or 0)
            await asyncio.sleep(0)
            await save_value(tx, "count", str(value + 1))

    async with open_database(database_address, idle_seconds=0) as other:
        await asyncio.gather(*(count_up(through) for _ in range(8) for through in (database, other)))
    async with database.transaction() as tx:
        assert await load_value(tx, "count") == "16"


async def test_a_sqlite_connection_has_the_pragmas_for_power_cuts_foreign_keys_and_deletion(
    sqlite_maker: SqliteMaker,
) -> None:
    async with open_database(await sqlite_maker.create()) as database, database.transaction() as tx:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        rules = [await tx.scalar(text(f"PRAGMA {name}")) for name in names]
    assert rules == ["wal", 2, 1, 1]


@pytest.mark.postgres
async def test_a_broken_connection_is_a_lost_database_and_the_next_transaction_opens_a_new_one(
    postgresql_maker: PostgresqlMaker,
) -> None:
    address = await postgresql_maker.create()
    async with open_database(address) as database:
        with pytest.raises(DatabaseLost):
            async with database.transaction() as tx:
                await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        async with database.transaction() as tx:
            assert await tx.scalar(text("SELECT 1")) == 1
    await postgresql_maker.drop(address)


@pytest.mark.postgres
async def test_a_missing_server_is_a_lost_database_for_a_transaction_and_an_unreachable_one_for_migrate(
    tmp_path: Path,
) -> None:
    async with open_database(f"postgresql://postgres@/nobody?host={tmp_path}") as database:
        with pytest.raises(DatabaseLost):
            async with database.transaction():
                pass
        with pytest.raises(DatabaseUnreachable):
            await database.migrate()


@pytest.mark.postgres
@pytest.mark.parametrize("asks_again", [True, False])
async def test_an_idle_transaction_is_ended_and_releases_its_locks(
    postgresql_maker: PostgresqlMaker, asks_again: bool
) -> None:
    address = await postgresql_maker.create()
    async with open_database(address, idle_seconds=3.0) as sleeper, open_database(address) as other:
        with pytest.raises(DatabaseLost):
            async with sleeper.transaction() as asleep:
                await serialize(asleep, "line")
                async with other.transaction() as awake:
                    await serialize(awake, "line")
                if asks_again:
                    await asleep.execute(text("SELECT 1"))
        async with sleeper.transaction() as tx:
            assert await tx.scalar(text("SELECT 1")) == 1
    await postgresql_maker.drop(address)


@pytest.mark.postgres
async def test_the_idle_limit_holds_also_after_the_first_transaction_was_rolled_back(
    postgresql_maker: PostgresqlMaker,
) -> None:
    address = await postgresql_maker.create()
    pids = list[int]()
    async with open_database(address, idle_seconds=77) as database:
        with pytest.raises(RuntimeError):
            async with database.transaction() as tx:
                pids.append(await tx.scalar(text("SELECT pg_backend_pid()")))
                raise RuntimeError
        async with database.transaction() as tx:
            pids.append(await tx.scalar(text("SELECT pg_backend_pid()")))
            assert await tx.scalar(text("SHOW idle_in_transaction_session_timeout")) == "77s"
    assert len(set(pids)) == 1, "the same connection"
    await postgresql_maker.drop(address)


def refusal(code: str, sentence: str) -> bytes:
    """PostgreSQL docs: Message Formats, "ErrorResponse"."""
    fields = b"".join(
        kind + value.encode() + b"\0" for kind, value in ((b"S", "FATAL"), (b"C", code), (b"M", sentence))
    )
    return b"E" + struct.pack("!i", 4 + len(fields) + 1) + fields + b"\0"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        refusal("57P03", "the database system is starting up"),
        refusal("57P01", "terminating connection due to administrator command"),
    ],
    ids=["hangs_up", "starts_up", "ends"],
)
async def test_a_server_that_ends_while_a_connection_is_opened_is_a_lost_database(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_database(f"postgresql://nobody:nothing@127.0.0.1:{port}/nothing?ssl=disable") as database:
            with pytest.raises(DatabaseLost):
                async with database.transaction():
                    pass


async def test_a_transaction_waits_for_at_most_one_transaction_of_background_work(database: Database) -> None:
    """With thirty background transactions open or queued, a foreground transaction is next when one of them ends."""
    background, ended, may_end = database.in_background(), list[str](), asyncio.Semaphore(0)
    arrived, all_in = list[None](), asyncio.Event()

    async def step() -> None:
        async with background.transaction() as tx:
            arrived.append(None)
            if len(arrived) == (7 if database.is_postgresql else 1):  # as many as get a connection
                all_in.set()
            await may_end.acquire()
            await tx.execute(text("SELECT 1"))
        ended.append("step")

    async with asyncio.timeout(60):
        steps = [asyncio.create_task(step()) for _ in range(30)]
        await all_in.wait()
        may_end.release()
        async with database.transaction() as tx:
            await tx.execute(text("SELECT 1"))
        assert len(ended) <= 1
        for _ in steps:
            may_end.release()
        await asyncio.gather(*steps)
    assert len(ended) == 30


async def test_a_sqlite_file_that_another_process_locks_for_too_long_is_a_lost_database(
    sqlite_maker: SqliteMaker,
) -> None:
    address = await sqlite_maker.create()
    async with open_database(address) as database:
        async with database.transaction() as tx:
            await tx.exec_driver_sql("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLost):
            async with database.transaction():
                pass
        other.close()
        async with database.transaction() as tx:
            assert await load_value(tx, "schedule") is None


def of_sqlite(code: int) -> DBAPIError:
    """Return what SQLAlchemy raises for an extended result code (sqlite.org/rescode.html)."""
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return DBAPIError("a statement", None, error)


@pytest.mark.parametrize(
    "code",
    [
        *(sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED_SHAREDCACHE),
        *(sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMMAP),
    ],
)
async def test_each_temporary_sqlite_error_is_a_lost_database(sqlite_maker: SqliteMaker, code: int) -> None:
    async with open_database(await sqlite_maker.create()) as database:
        with pytest.raises(DatabaseLost) as caught:
            async with database.transaction():
                raise of_sqlite(code)
        assert not isinstance(caught.value, DatabaseBroken)


async def test_a_wrong_statement_is_not_a_lost_database(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.transaction() as tx:
            await tx.execute(text("SELECT nothing FROM nowhere"))


async def test_a_connection_that_is_not_returned_in_time_is_a_lost_database(sqlite_maker: SqliteMaker) -> None:
    engine = create_async_engine(
        (await sqlite_maker.create()).replace("sqlite:", "sqlite+aiosqlite:"),
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.01,
    )
    async with Database(engine) as database, database.transaction():
        with pytest.raises(DatabaseLost, match="free in time"):
            async with database.transaction():
                pass
