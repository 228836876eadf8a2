"""Moving everything from SQLite to PostgreSQL: what arrives, what is refused, and that a refusal writes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, insert, select, table, text
from sqlalchemy.util import await_only

from bench import move as bench_move
from credits.records import account_sums, find_discrepancies
from generations.model import State
from generations.records.history import Edge
from generations.search_words import Search
from store.database import open_database
from store.errors import DatabaseInUse, MoveRefused, SchemaTooNew, StoreError
from store.key_values import load_value, save_value
from store.move import BATCH_ROWS, Sums, move_database
from store.sole_use import sole_use
from store.tables import metadata
from store.transactions import Transaction
from tests.architecture.laws import product
from tests.contract.harness import MIRA, OTTO, make_harness
from tests.contract.test_history import make
from tests.contract.test_history_search import SMALL, find, insert_all
from tests.databases import PostgresqlMaker, SqliteMaker

for module in product():  # a table belongs to the metadata once its module is imported
    if module.name.endswith(".tables"):
        importlib.import_module(module.name)

pytestmark = pytest.mark.postgres

WORDS = "grüße 🦊, «naïve» 'quotes' and \\ a NUL\x00"


@dataclass
class Move:
    """A SQLite file with rows, and an empty database that they are to be moved to."""

    source: str
    target: str

    @property
    def path(self) -> Path:
        return Path(self.source.removeprefix("sqlite:///"))

    async def run(self, sums: Sums = account_sums) -> None:
        await move_database(self.source, self.target, sums)

    async def refused(self, kind: type[StoreError] = MoveRefused, sums: Sums = account_sums) -> str:
        """Check that the move is refused and writes nothing. Return the sentence."""
        before = await self.in_target(tables_with_rows)
        with pytest.raises(kind) as refusal:
            await self.run(sums)
        assert await self.in_target(tables_with_rows) == before
        return str(refusal.value)

    async def in_target(self, work: Callable[..., Any], *args: Any) -> Any:
        async with open_database(self.target, idle_seconds=0) as database:
            return await database.run(work, *args)

    def change_source(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    async def migrate_target(self, *statements: str) -> None:
        async with open_database(self.target, idle_seconds=0) as database:
            await database.migrate()
            for statement in statements:
                await database.run(Transaction.execute, text(statement))


@pytest_asyncio.fixture(loop_scope="session")
async def move(sqlite_maker: SqliteMaker, postgresql_maker: PostgresqlMaker) -> AsyncIterator[Move]:
    move = Move(await sqlite_maker.create(), await postgresql_maker.create(empty=True))
    async with open_database(move.source) as database:
        harness = make_harness(database)
        await make(harness, 11)
        await make(harness, 12, end=State.UNDELIVERED)
        await harness.ask(13, OTTO, count=4, private=True)
        await database.run(fill)
    yield move
    await postgresql_maker.drop(move.target)
    await sqlite_maker.drop(move.source)


def fill(tx: Transaction) -> None:
    """Write one row into each table that has none, about a person and an image that exist."""
    known = {"user_id": MIRA, "generation_id": 11, "position": 0}
    save_value(tx, "proof", WORDS)
    for owned in metadata.sorted_tables:
        if tx.execute(select(owned).limit(1)).first() is None:
            values: dict[type, object] = {bool: True, int: 11, bytes: b"\x00\xff"}
            row = {column.name: values.get(column.type.python_type, WORDS) for column in owned.c}
            tx.execute(insert(owned).values(row | {name: value for name, value in known.items() if name in row}))


def read_rows(tx: Transaction) -> dict[str, list[tuple[Any, ...]]]:
    return {owned.name: sorted(map(tuple, tx.execute(select(owned))), key=repr) for owned in metadata.sorted_tables}


def tables_with_rows(tx: Transaction) -> dict[str, int]:
    """Return the number of rows of every table that there is."""
    names = tx.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    return {name: tx.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}


def files_of(path: Path) -> dict[str, str]:
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in sorted(path.parent.glob(f"{path.name}*"))
        if not one.name.endswith((".lock", "-shm")) and one.stat().st_size
    }


# ---- what arrives --------------------------------------------------------------------------------------------------


async def test_every_row_of_every_table_arrives_and_the_file_stays_as_it_is(move: Move) -> None:
    before = files_of(move.path)
    await move.run()
    assert files_of(move.path) == before
    async with open_database(move.source) as source:
        rows = await source.run(read_rows)
    assert all(rows.values()), "a table without rows shows nothing"
    assert await move.in_target(read_rows) == rows


async def test_rows_that_are_only_in_the_write_ahead_log_of_a_killed_bot_arrive_and_stay_there(move: Move) -> None:
    killed = Move(f"{move.source}.killed", move.target)
    with closing(sqlite3.connect(move.path, isolation_level=None)) as bot:
        bot.execute("INSERT INTO key_values VALUES ('late', 'in the log')")
        for suffix in ("", "-wal"):
            shutil.copy(f"{move.path}{suffix}", f"{killed.path}{suffix}")
    before = files_of(killed.path)
    assert len(before) == 2
    await killed.run()
    assert files_of(killed.path) == before
    assert await killed.in_target(load_value, "late") == "in the log"


async def test_the_next_entry_of_the_ledger_gets_a_number_of_its_own(move: Move) -> None:
    await move.run()
    async with open_database(move.target, idle_seconds=0) as target:
        harness = make_harness(target)
        highest = max(row[0] for row in (await target.run(read_rows))["entries"])
        await harness.ask(14)
        numbers = [row[0] for row in (await target.run(read_rows))["entries"]]
        assert sorted(numbers)[-1] == highest + 1
        assert await target.run(harness.ledger.audit) == []


async def test_a_bot_goes_on_with_the_moved_images_and_its_search_finds_old_words(move: Move) -> None:
    async with open_database(move.source) as source:
        await source.run(insert_all, ["a Grüße card", *(f"newer {number}" for number in range(9))])
    await move.run()
    async with open_database(move.target, idle_seconds=0) as target:
        await target.migrate()
        harness = make_harness(target)
        found = await target.run(find, MIRA, Search("grüße"), Edge(10), 10, limits=SMALL)
        assert found == [1]
        assert await harness.admit() == [13]
        assert [one.id for one in await harness.claim()] == [13]


async def test_the_file_that_the_bench_moves_has_rows_that_both_databases_take(
    postgresql_maker: PostgresqlMaker, tmp_path: Path
) -> None:
    """So `python -m bench.move` fills every column that a row must have."""
    filled = Move(f"sqlite:///{tmp_path}/bot.sqlite3", await postgresql_maker.create(empty=True))
    rows = await bench_move.fill(filled.path, 3)
    await filled.run()
    moved = await filled.in_target(tables_with_rows)
    assert sum(moved.values()) - moved["alembic_version"] == rows
    assert await filled.in_target(lambda tx: list(find_discrepancies(tx))) == []
    await postgresql_maker.drop(filled.target)


# ---- refused -------------------------------------------------------------------------------------------------------


async def test_a_database_that_has_a_row_is_refused(move: Move) -> None:
    await move.migrate_target("INSERT INTO key_values VALUES ('a', 'b')")
    assert "not empty (it has rows in key_values)" in await move.refused()


async def test_a_database_that_is_migrated_and_empty_is_taken(move: Move) -> None:
    await move.migrate_target()
    await move.run()
    assert await move.in_target(load_value, "proof")


async def test_a_file_that_a_bot_uses_is_refused(move: Move) -> None:
    with sole_use(move.source):
        assert "is in use by process" in await move.refused(DatabaseInUse)


async def test_a_file_of_another_schema_is_refused(move: Move) -> None:
    move.change_source("UPDATE alembic_version SET version_num = '0000'")
    assert "has the schema 0000" in await move.refused()
    move.change_source("DELETE FROM alembic_version")
    assert "has the schema of no version" in await move.refused()


async def test_a_database_of_a_newer_schema_is_refused(move: Move) -> None:
    await move.migrate_target("UPDATE alembic_version SET version_num = '9999'")
    assert "update the bot" in await move.refused(SchemaTooNew)


async def test_a_file_with_a_table_that_would_be_left_behind_is_refused(move: Move) -> None:
    move.change_source("CREATE TABLE extra (number INTEGER)")
    assert "not the bot's: extra" in await move.refused()


async def test_a_file_that_does_not_exist_is_refused_and_not_made(move: Move) -> None:
    missing = Move(f"{move.source}.missing/bot.db", move.target)
    assert "there is no file" in await missing.refused()
    assert not missing.path.parent.exists()


async def test_only_a_sqlite_file_can_be_moved_and_only_to_postgresql(move: Move) -> None:
    for source, target in ((move.target, move.target), (move.source, move.source), (move.target, move.source)):
        with pytest.raises(MoveRefused, match="only to a PostgreSQL database"):
            await move_database(source, target, account_sums)


# ---- what is found to be wrong on the way --------------------------------------------------------------------------


async def test_an_account_that_differs_after_the_move_undoes_all_of_it(move: Move) -> None:
    def sums(tx: Transaction) -> Iterable[tuple[int, ...]]:
        for account, *numbers in account_sums(tx):
            yield account, *(number + (tx.dialect.name == "postgresql" and account == OTTO) for number in numbers)

    assert f"account {OTTO} differs" in await move.refused(sums=sums)


async def test_an_account_that_is_missing_after_the_move_undoes_all_of_it(move: Move) -> None:
    def sums(tx: Transaction) -> Iterable[tuple[int, ...]]:
        return (row for row in account_sums(tx) if tx.dialect.name == "sqlite" or row[0] != OTTO)

    assert f"account {OTTO} differs" in await move.refused(sums=sums)


async def test_rows_that_the_database_swallows_undo_all_of_it(move: Move) -> None:
    await move.migrate_target(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER swallow BEFORE INSERT ON pings FOR EACH ROW EXECUTE FUNCTION swallow()",
    )
    assert "rows of pings are not as many" in await move.refused()


async def test_a_row_that_the_database_refuses_undoes_all_of_it_and_is_not_repeated(move: Move) -> None:
    move.change_source("PRAGMA ignore_check_constraints = ON", "UPDATE images SET state = 'canary'")
    said = await move.refused()
    assert "broke off (CheckViolationError)" in said
    assert "canary" not in said


async def test_a_move_that_is_cancelled_undoes_all_of_it(move: Move) -> None:
    moving: list[asyncio.Task[None]] = []

    def sums(tx: Transaction) -> Iterable[tuple[int, ...]]:
        moving[0].cancel()
        return account_sums(tx)

    async def run() -> None:
        await move.run(sums)

    moving.append(asyncio.create_task(run()))
    with pytest.raises(MoveRefused, match="was stopped"):
        await moving[0]
    assert await move.in_target(tables_with_rows) == {}


async def test_a_connection_that_breaks_undoes_all_of_it(move: Move, postgresql_maker: PostgresqlMaker) -> None:
    def sums(tx: Transaction) -> Iterable[tuple[int, ...]]:
        if tx.dialect.name == "postgresql":
            backend = tx.scalar(text("SELECT pg_backend_pid()"))
            await_only(postgresql_maker.value("SELECT pg_terminate_backend($1)", backend))
        return account_sums(tx)

    assert "the move broke off" in await move.refused(sums=sums)


async def test_more_rows_than_one_batch_arrive_and_a_write_of_another_process_waits_for_them(move: Move) -> None:
    count = 2 * BATCH_ROWS + 1
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    move.change_source(f"{numbers} INSERT INTO key_values SELECT 'n' || i, '' FROM n")
    await move.migrate_target()
    async with open_database(move.target, idle_seconds=0) as other:
        writing: list[asyncio.Task[None]] = []

        def sums(tx: Transaction) -> Iterable[tuple[int, ...]]:
            if tx.dialect.name == "postgresql":
                writing.append(asyncio.create_task(other.run(save_value, "of another", "process")))
                assert waits_for_a_lock(tx, writing[0])
            return account_sums(tx)

        await move.run(sums)
        await writing[0]
        rows = (await other.run(read_rows))["key_values"]
    assert len([key for key, _ in rows if str(key).startswith("n")]) == count
    assert ("of another", "process") in rows


def waits_for_a_lock(tx: Transaction, task: asyncio.Task[None]) -> bool:
    """Let *task* run until a transaction of this database waits for a lock. False: it ended without."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not tx.scalar(waiting):
        tx.execute(text("SELECT pg_stat_clear_snapshot()"))
        if task.done():
            return False
        await_only(asyncio.sleep(0.01))
    return True
