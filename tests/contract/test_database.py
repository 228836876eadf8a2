"""Transactions on both databases, the key-value store, and what only PostgreSQL does."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from store.address import parse_database_url
from store.database import Database, _migrate, open_database
from store.errors import DatabaseLost, DatabaseUnreachable, PermissionMissing
from store.key_values import load_value, load_values, save_value
from store.postgresql import BACKGROUND_CONNECTIONS, CONNECTIONS, MOMENTARY, PostgresqlTransactions
from store.statements import serialize
from store.transactions import Transaction
from tests.contract.conftest import OpenedTwice
from tests.databases import delete_all_rows


async def test_the_value_that_was_saved_last_is_loaded(database: Database) -> None:
    def save_three(tx: Transaction) -> None:
        assert load_value(tx, "schedule") is None
        save_value(tx, "schedule", "1")
        save_value(tx, "schedule", "2")
        save_value(tx, "tree", "x")

    await database.run(save_three)
    assert await database.run(load_value, "schedule") == "2"


async def test_a_work_that_raises_is_rolled_back(database: Database) -> None:
    def save_and_fail(tx: Transaction) -> None:
        save_value(tx, "schedule", "1")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await database.run(save_and_fail)
    assert await database.run(load_value, "schedule") is None


async def test_a_read_sees_what_was_committed_before_it(database: Database) -> None:
    for value in ("1", "2"):
        await database.run(save_value, "schedule", value)
        assert await database.read(load_value, "schedule") == value


async def test_a_work_that_raises_stop_iteration_ends_with_an_error(database: Database) -> None:
    """A future refuses StopIteration: whoever waited for it would wait for ever."""

    def fail(_: Transaction) -> None:
        raise StopIteration

    async with asyncio.timeout(60):
        for way in (database.run, database.read):
            with pytest.raises(RuntimeError, match="StopIteration"):
                await way(fail)


async def test_serialize_runs_transactions_one_after_another(database: Database, other_database: Database) -> None:
    def count_up(tx: Transaction) -> None:
        serialize(tx, "line")
        value = int(load_value(tx, "count") or 0)
        save_value(tx, "count", str(value + 1))

    await asyncio.gather(*(through.run(count_up) for _ in range(8) for through in (database, other_database)))
    assert await database.run(load_value, "count") == "16"


async def test_a_wrong_statement_is_not_a_lost_database(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await database.run(Transaction.execute, text("SELECT nothing FROM nowhere"))


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def postgresql(postgresql_opened_twice: OpenedTwice) -> Database:
    await postgresql_opened_twice.database.run(delete_all_rows)
    return postgresql_opened_twice.database


class Session:
    """A session of another program, which can hold the lock that `serialize(tx, "line")` waits for."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def lock(self) -> None:
        await self.connection.execute("SELECT pg_advisory_lock(hashtextextended('line', 0))")

    async def unlock(self) -> None:
        await self.connection.execute("SELECT pg_advisory_unlock(hashtextextended('line', 0))")

    async def wait_for_waiting(self, count: int = 1) -> None:
        """Wait until *count* transactions wait for the lock."""
        async with asyncio.timeout(60):
            while await self.connection.fetchval(WAITING) < count:
                await self.connection.execute("SELECT pg_sleep(0.005)")


WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest_asyncio.fixture(loop_scope="session")
async def session(postgresql_opened_twice: OpenedTwice) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(postgresql_opened_twice.address)
    try:
        yield Session(connection)
    finally:
        await connection.close()


def session_id(tx: Transaction) -> int:
    return tx.scalar(text("SELECT pg_backend_pid()")) or 0


@pytest.mark.postgres
async def test_a_cancelled_caller_does_not_stop_a_transaction_and_leaves_no_lock(
    postgresql: Database, session: Session
) -> None:
    """A transaction that was stopped halfway, in a statement, could keep its locks for as long as its connection lives.

    So the whole transaction is committed, and the next one that needs its lock follows.
    """

    def save_around_the_lock(tx: Transaction) -> None:
        save_value(tx, "before", "1")
        serialize(tx, "line")
        save_value(tx, "after", "2")

    def load_behind_the_lock(tx: Transaction) -> dict[str, str]:
        serialize(tx, "line")
        return dict(load_values(tx, ""))

    await session.lock()
    task = asyncio.create_task(postgresql.run(save_around_the_lock))
    await session.wait_for_waiting()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    following = asyncio.create_task(postgresql.run(load_behind_the_lock))
    await session.wait_for_waiting(2)
    await session.unlock()
    async with asyncio.timeout(60):
        assert await following == {"before": "1", "after": "2"}


@pytest.mark.postgres
async def test_close_waits_for_what_was_begun(postgresql_opened_twice: OpenedTwice, session: Session) -> None:
    ended = list[str]()

    def save_behind_the_lock(tx: Transaction) -> None:
        serialize(tx, "line")
        save_value(tx, "closed", "1")
        ended.append("work")

    await session.lock()
    database = open_database(postgresql_opened_twice.address)
    working = asyncio.create_task(database.run(save_behind_the_lock))
    await session.wait_for_waiting()
    closing = asyncio.create_task(database.close())
    closing.add_done_callback(lambda _: ended.append("close"))
    await asyncio.wait([closing], timeout=0.1)
    await session.unlock()
    async with asyncio.timeout(60):
        await asyncio.gather(working, closing)
    assert ended == ["work", "close"]


@pytest.mark.postgres
async def test_background_work_leaves_connections_free(postgresql: Database, session: Session) -> None:
    background = postgresql.in_background()
    await session.lock()
    waiting = [asyncio.create_task(background.run(serialize, "line")) for _ in range(30)]
    await session.wait_for_waiting(BACKGROUND_CONNECTIONS)
    async with asyncio.timeout(60):
        await postgresql.run(session_id)
    assert await session.connection.fetchval(WAITING) == BACKGROUND_CONNECTIONS
    await session.unlock()
    await asyncio.gather(*waiting)


@pytest.mark.postgres
async def test_a_broken_connection_is_a_lost_database_and_the_next_transaction_opens_a_new_one(
    postgresql_opened_twice: OpenedTwice,
) -> None:
    async with open_database(postgresql_opened_twice.address) as database:
        with pytest.raises(DatabaseLost):
            await database.run(Transaction.execute, text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert await database.run(session_id)


@pytest.mark.postgres
async def test_a_session_that_the_server_ended_between_two_transactions_is_replaced(
    postgresql: Database, session: Session
) -> None:
    ended = await postgresql.run(session_id)
    assert await session.connection.fetchval("SELECT pg_terminate_backend($1, 60000)", ended)  # waits until it is gone
    for _ in range(10):  # the loop reads what the server said last, and the end of the connection
        await asyncio.sleep(0)
    assert await postgresql.run(session_id) != ended


@pytest.mark.postgres
async def test_a_fault_of_the_moment_is_a_lost_database(postgresql: Database) -> None:
    """Too many connections, no room, a server that became a standby, conflicts of two transactions, a long lock."""
    assert {"53300", "53100", "53200", "25006", "40001", "40P01", "55P03"} == MOMENTARY
    for code in sorted(MOMENTARY):
        with pytest.raises(DatabaseLost):
            await postgresql.run(raise_with_code, code)
    with pytest.raises(DatabaseLost, match=r": DiskFullError$"):
        await postgresql.run(raise_with_code, "53100")
    with pytest.raises(DBAPIError):
        await postgresql.run(raise_with_code, "22012")  # division by zero


@pytest.mark.postgres
async def test_a_statement_that_the_user_may_not_run_is_a_missing_permission(postgresql: Database) -> None:
    with pytest.raises(PermissionMissing, match=r"refuses what the bot needs: as the server says it$"):
        await postgresql.run(raise_with_code, "42501")
    with pytest.raises(PermissionMissing):
        await postgresql.migrate(lambda tx: raise_with_code(tx, "42501"))


def raise_with_code(tx: Transaction, code: str) -> None:
    tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'as the server says it' USING ERRCODE = '{code}'; END $$"))


@pytest.mark.postgres
async def test_a_session_of_a_server_that_only_reads_is_closed_and_no_other_one(
    postgresql_opened_twice: OpenedTwice, session: Session
) -> None:
    """After a failover such a session would refuse every write for as long as the pool keeps it."""

    def write_on_a_standby(tx: Transaction) -> None:
        tx.execute(text("SET TRANSACTION READ ONLY"))
        save_value(tx, "standby", "1")

    def wait_in_session(tx: Transaction) -> int:
        serialize(tx, "line")
        return session_id(tx)

    async def two_sessions(database: Database) -> set[int]:
        """Return the ids of two sessions that are in use at once."""
        await session.lock()
        both = [asyncio.create_task(database.run(wait_in_session)) for _ in range(2)]
        await session.wait_for_waiting(2)
        await session.unlock()
        return set(await asyncio.gather(*both))

    async with open_database(postgresql_opened_twice.address) as database:
        before = await two_sessions(database)
        with pytest.raises(DatabaseLost):
            await database.run(write_on_a_standby)
        assert len(before & await two_sessions(database)) == 1


@pytest.mark.postgres
async def test_waiting_for_a_lock_is_limited_but_not_while_migrating(postgresql: Database) -> None:
    def limit(tx: Transaction) -> str | None:
        return tx.scalar(text("SHOW lock_timeout"))

    def limit_while_migrating(tx: Transaction) -> str | None:
        _migrate(tx)
        return limit(tx)

    assert [await postgresql.run(each) for each in (limit, limit_while_migrating, limit)] == ["20s", "0", "20s"]


@pytest.mark.postgres
@pytest.mark.parametrize("asks_again", [True, False])
async def test_an_idle_transaction_is_ended_and_releases_its_locks(
    postgresql_opened_twice: OpenedTwice, asks_again: bool
) -> None:
    """As when the process is suspended in the middle of a transaction."""

    async def take_the_lock() -> None:
        async with open_database(postgresql_opened_twice.address) as other:
            await other.run(serialize, "idle")

    def sleep_with_the_lock(tx: Transaction) -> None:
        serialize(tx, "idle")
        other_process = threading.Thread(target=asyncio.run, args=(take_the_lock(),))
        other_process.start()
        other_process.join()
        if asks_again:
            tx.execute(text("SELECT 1"))

    async with open_database(postgresql_opened_twice.address, idle_seconds=0.2) as database:
        with pytest.raises(DatabaseLost):
            await database.run(sleep_with_the_lock)
        assert await database.run(session_id)


@pytest.mark.postgres
async def test_the_idle_limit_holds_also_after_the_first_transaction_was_rolled_back(
    postgresql_opened_twice: OpenedTwice,
) -> None:
    sessions = list[int]()

    def fail(tx: Transaction) -> None:
        sessions.append(session_id(tx))
        raise RuntimeError

    def limit(tx: Transaction) -> str | None:
        sessions.append(session_id(tx))
        return tx.scalar(text("SHOW idle_in_transaction_session_timeout"))

    async with open_database(postgresql_opened_twice.address, idle_seconds=77) as database:
        with pytest.raises(RuntimeError):
            await database.run(fail)
        assert await database.run(limit) == "77s"
    assert len(set(sessions)) == 1, "the same connection"


async def test_a_missing_server_is_a_lost_database_for_a_transaction_and_an_unreachable_one_for_migrate(
    tmp_path: Path,
) -> None:
    async with open_database(f"postgresql://postgres@/nobody?host={tmp_path}") as database:
        with pytest.raises(DatabaseLost):
            await database.run(session_id)
        with pytest.raises(DatabaseUnreachable):
            await database.migrate()


class Silent:
    """store.transactions.Transactions on a server to which no connection is opened in time."""

    async def write(self, work: object, *, background: bool) -> Any:
        raise DatabaseLost("the database can't be reached: TimeoutError") from TimeoutError()

    read = write

    async def close(self) -> None:
        pass


async def test_the_start_says_in_words_that_a_server_does_not_answer() -> None:
    async with Database(Silent(), is_postgresql=True) as database:
        with pytest.raises(DatabaseUnreachable, match=r"can't be opened: its server does not answer$"):
            await database.migrate()


@pytest.mark.postgres
async def test_who_gets_no_connection_in_time_is_refused_having_done_nothing_and_later_ones_go_on(
    postgresql_opened_twice: OpenedTwice, session: Session
) -> None:
    url = parse_database_url(postgresql_opened_twice.address)
    async with Database(PostgresqlTransactions(url, 0, free_seconds=0.1), is_postgresql=True) as database:
        await session.lock()
        holding = [asyncio.create_task(database.run(serialize, "line")) for _ in range(CONNECTIONS)]
        await session.wait_for_waiting(CONNECTIONS)
        with pytest.raises(DatabaseLost, match="no connection to the database became free in time"):
            await database.run(save_value, "late", "1")
        await session.unlock()
        await asyncio.gather(*holding)
        assert await database.run(load_value, "late") is None


@pytest.mark.postgres
async def test_connections_are_given_in_the_order_in_which_they_were_asked_for(
    postgresql_opened_twice: OpenedTwice, session: Session
) -> None:
    """Those that ask while a connection becomes free wait behind those that asked before."""
    begun, asked_first, later = list[int](), 200, list[asyncio.Task[None]]()

    async def ask(number: int) -> None:
        await database.run(lambda _: begun.append(number))
        if number < asked_first:
            later.append(asyncio.create_task(database.run(lambda _: begun.append(asked_first + number))))

    async with open_database(postgresql_opened_twice.address) as database:
        await session.lock()
        holding = [asyncio.create_task(database.run(serialize, "line")) for _ in range(CONNECTIONS)]
        await session.wait_for_waiting(CONNECTIONS)
        asking = [asyncio.create_task(ask(number)) for number in range(asked_first)]
        await session.unlock()
        await asyncio.gather(*holding, *asking)
        await asyncio.gather(*later)
    assert max(begun.index(number) for number in range(asked_first)) < asked_first + CONNECTIONS


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
        refusal("53300", "sorry, too many clients already"),
    ],
    ids=["hangs_up", "starts_up", "ends", "is_full"],
)
async def test_a_server_that_accepts_no_connection_is_a_lost_database(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_database(f"postgresql://nobody:nothing@127.0.0.1:{port}/nothing?ssl=disable") as database:
            with pytest.raises(DatabaseLost):
                await database.run(session_id)
