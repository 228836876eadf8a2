"""PostgreSQL behind PgBouncer in transaction mode: each transaction may get another session, as every other client's.

PgBouncer runs with a pool of two sessions and without its support for prepared statements, which old versions lack.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from store.database import open_database
from store.errors import DatabaseLost
from store.key_values import load_value, load_values, save_value
from store.notifications import listen
from store.statements import serialize
from store.transactions import Transaction
from tests.databases import PostgresqlMaker

pytestmark = pytest.mark.postgres

SESSIONS = 2
CONFIGURATION = """
[databases]
* = host={server} user=postgres
[pgbouncer]
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
pidfile = {folder}/pid
logfile = {folder}/log
"""


@dataclass
class Pooled:
    """A database without rows, its address through PgBouncer, and its own."""

    address: str
    direct: str


@pytest.fixture(scope="module")
def pgbouncer(postgresql_maker: PostgresqlMaker) -> Iterator[Path]:
    """Run PgBouncer before the server of the tests. Yield the folder of its socket."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        reason = "PgBouncer is not installed: sudo apt install pgbouncer"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server = Path(postgresql_maker.socket_folder)
    folder = Path(tempfile.mkdtemp(prefix="qi-pgb-"))
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(server=server, folder=folder, sessions=SESSIONS), "utf-8")
    command = [program, str(configuration)]
    if os.geteuid() == 0:  # PgBouncer does not run as root; the server's socket is in a folder of its own user
        shutil.chown(folder, server.owner())
        command[1:1] = ["-u", server.owner()]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield folder
        finally:
            process.terminate()
            process.wait(60)
            shutil.rmtree(folder)


@pytest_asyncio.fixture(loop_scope="session")
async def pooled(pgbouncer: Path, postgresql_maker: PostgresqlMaker) -> AsyncIterator[Pooled]:
    direct = await postgresql_maker.create()
    address = direct.replace(postgresql_maker.socket_folder, f"{pgbouncer}&port=6432")
    await _until_reached(address)
    yield Pooled(address, direct)
    await postgresql_maker.drop(direct)


async def _until_reached(address: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                connection = await asyncpg.connect(address, statement_cache_size=0)
            except OSError:  # it is starting
                await asyncio.sleep(0.02)
                continue
            await connection.close()
            return


def count_up(tx: Transaction, key: str) -> tuple[str, str]:
    """Count under a lock, with several statements. Return the limits that are in force."""
    serialize(tx, key)
    save_value(tx, key, str(int(load_value(tx, key) or 0) + 1))
    return tx.scalar(text("SHOW idle_in_transaction_session_timeout")) or "", tx.scalar(text("SHOW lock_timeout")) or ""


async def test_processes_that_share_two_sessions_run_their_transactions_with_their_limits(pooled: Pooled) -> None:
    async with open_database(pooled.address) as one, open_database(pooled.address, idle_seconds=77) as other:
        every = [(database, str(key)) for database in (one, other) for key in range(5)] * 10
        limits = await asyncio.gather(*(database.run(count_up, key) for database, key in every))
        assert set(limits) == {("5s", "20s"), ("77s", "20s")}
        assert await one.run(load_values, "") == {str(key): "20" for key in range(5)}


async def test_no_prepared_statement_and_no_limit_stays_behind_in_a_session(pooled: Pooled) -> None:
    async with open_database(pooled.address) as database:
        await asyncio.gather(*(database.run(count_up, str(key)) for key in range(20)))
        connection = await asyncpg.connect(pooled.address, statement_cache_size=0)
        async with connection.transaction():
            assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
            assert await connection.fetchval("SHOW lock_timeout") == "0"
        await connection.close()


async def test_statements_that_another_process_has_prepared_in_a_session_do_no_harm(pooled: Pooled) -> None:
    """asyncpg numbers its names in each process from 1: `_get_unique_id` in its connection.py."""
    numbered = [
        f"__asyncpg_stmt_{number:x}__" for number in range(asyncpg.connection._uid, asyncpg.connection._uid + 99)
    ]
    theirs = "; ".join(f'PREPARE "{name}" AS SELECT 1' for name in numbered)
    connections = [await asyncpg.connect(pooled.address, statement_cache_size=0) for _ in range(SESSIONS)]
    transactions = [connection.transaction() for connection in connections]
    for transaction in transactions:
        await transaction.start()  # all at once, so that each one has a session
    for connection, transaction in zip(connections, transactions, strict=True):
        await connection.execute(theirs)
        await transaction.commit()
        await connection.close()
    async with open_database(pooled.address) as database:
        for _ in range(4):
            await database.run(count_up, "key")
        assert await database.run(load_value, "key") == "4"


async def test_a_database_is_migrated_through_a_pooler(pooled: Pooled, postgresql_maker: PostgresqlMaker) -> None:
    empty = await postgresql_maker.create(empty=True)
    name = empty.partition("@/")[2].partition("?")[0]
    async with open_database(
        f"{pooled.address.partition('@/')[0]}@/{name}?{pooled.address.partition('?')[2]}"
    ) as other:
        await other.migrate()
        await other.run(save_value, "key", "1")
    await postgresql_maker.drop(empty)


async def test_an_idle_transaction_is_ended_behind_a_pooler_too(pooled: Pooled) -> None:
    async def take_the_lock() -> None:
        async with open_database(pooled.direct) as other:
            await other.run(serialize, "idle")

    def sleep_with_the_lock(tx: Transaction) -> None:
        serialize(tx, "idle")
        other_process = threading.Thread(target=asyncio.run, args=(take_the_lock(),))
        other_process.start()
        other_process.join()
        tx.execute(text("SELECT 1"))

    async with open_database(pooled.address, idle_seconds=0.2) as database:
        with pytest.raises(DatabaseLost):
            await database.run(sleep_with_the_lock)
        await database.run(count_up, "after")


async def test_nothing_is_listened_to_behind_a_pooler(pooled: Pooled) -> None:
    heard = list[int]()
    async with asyncio.timeout(60):
        await listen(pooled.address, "work", lambda: heard.append(1), sleep=asyncio.sleep)
    assert heard == []
