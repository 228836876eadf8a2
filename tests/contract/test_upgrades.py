"""Upgrades: rows of every earlier schema are kept, and a process of an earlier version goes on beside a newer one.

Rows are written through the tables as the earlier schema has them, not as today's code declares them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alembic.script import ScriptDirectory
from sqlalchemy import BigInteger, ColumnElement, Connection, MetaData, Table, and_, delete, insert, select, update

from credits.check import find_faults
from credits.model import EntryKind
from generations import records
from generations.model import State
from people.model import Language, Ping, Preferences
from people.service import People
from qwen.models import OutputFormat, Size
from store.address import parse_database_url
from store.database import Database, open_database
from store.schema import MIGRATIONS, NEWEST_REVISION, migrate_to, read_revisions
from store.sqlite_file import APPLICATION_ID
from store.tables import metadata
from tests.contract.harness import CHANNEL, GUILD, NOON_MS, Harness, make_harness
from tests.contract.test_privacy import privacy_of
from tests.databases import DatabaseMaker, PostgresqlMaker

Row = dict[str, Any]

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]
MIDNIGHT_MS = NOON_MS - 12 * 3_600_000
WAITS_FOR_A_LOCK = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND NOT granted)"
)
# Texts that today's code reads as one of a few words; every other text column gets any.
WORDS = {
    "preferences": {"size": Size.PORTRAIT, "format": OutputFormat.PNG, "ping": "never", "language": "en"},
    "guild_settings": {"content": "general", "person_period": "day", "budget_period": "day"},
    "prompt_words": {"word": b"lighthouse"},
    "processes": {"role": "bot", "shard_ids": "0-1"},
}


PREFERENCES = Preferences(Size.PORTRAIT, OutputFormat.PNG, True, Ping.NEVER, Language.ENGLISH)


def person(copy: int) -> int:
    """Return the id of the person of a copy of the rows: one that a floating-point number can't hold."""
    return 2**60 + 1000 * copy + 1


def rows_of(table: Table, copy: int) -> list[Row]:
    """Return rows for *table*: those of one person with an image that was posted, one being made and one in line."""
    user_id = person(copy)
    if table.name in MADE_ROWS:
        return MADE_ROWS[table.name](user_id)
    values: dict[type, Any] = {bool: True, int: copy, bytes: f"words {copy}".encode(), str: f"words {copy}"}
    row: Row = {column.name: values[column.type.python_type] for column in table.c}
    row |= {column.name: user_id for column in table.c if isinstance(column.type, BigInteger)}
    known = {"position": 0, **WORDS.get(table.name, {})}
    return [row | {name: value for name, value in known.items() if name in row}]


def _accounts(user_id: int) -> list[Row]:
    numbers = {"available": 35, "held": 10, "refilled_from_ms": MIDNIGHT_MS}
    return [{"user_id": user_id, **numbers, "created_at_ms": NOON_MS}]


def _refills(user_id: int) -> list[Row]:
    return [{"user_id": user_id, "starts_at_ms": MIDNIGHT_MS, "surplus": 0}]


def _entries(user_id: int) -> list[Row]:
    moves = [
        *((EntryKind.GRANT, 50, 0, None), (EntryKind.HOLD, -5, 5, 0), (EntryKind.SETTLE, 0, -5, 0)),
        *((EntryKind.HOLD, -5, 5, 1), (EntryKind.HOLD, -5, 5, 2)),
    ]
    return [
        {
            "id": f"{kind}:refill:{user_id}" if image is None else f"{user_id + image}-0:{kind}",
            "user_id": user_id,
            "kind": kind,
            "available_delta": available,
            "held_delta": held,
            "image_id": None if image is None else f"{user_id + image}-0",
            "reason": "refill" if image is None else "",
            "refilled_from_ms": MIDNIGHT_MS,
            "created_at_ms": NOON_MS + number,
        }
        for number, (kind, available, held, image) in enumerate(moves)
    ]


def _generations(user_id: int) -> list[Row]:
    asked = {"prompt": "a lighthouse", "size": Size.SQUARE, "seed": 2**31, "format": OutputFormat.JPEG, "count": 1}
    place = {"application_id": 1, "user_id": user_id, "channel_id": CHANNEL, "guild_id": GUILD, "bot_in_channel": True}
    said = {"private": False, "spoiler": False, "locale": "de", "attachment_size_limit": 10_000_000, "token": "token"}
    card = {"created_at_ms": NOON_MS, "fence": 3, "revision": 1, "published_revision": 1}
    return [
        {"id": user_id + n, **asked, **place, **said, **card, "due_at_ms": due, "message_id": 9000 + n}
        for n, due in enumerate([None, NOON_MS, NOON_MS])
    ]


def _images(user_id: int) -> list[Row]:
    posted = {"state": State.DELIVERED, "ready_at_ms": NOON_MS, "image_url": "https://x.example/1", "attachment_id": 7}
    posted |= {"consumed_credits": 5, "file_name": "a-lighthouse.jpg"}
    task_ids = (f"{user_id} first", f"{user_id} second", None)
    states = (posted, {"state": State.RUNNING, "due_at_ms": NOON_MS}, {"state": State.REQUESTED, "due_at_ms": NOON_MS})
    return [
        {
            **{
                "generation_id": user_id + n,
                "position": 0,
                "user_id": user_id,
                "seed": 2**31,
                "polls": 2,
                "failures": 0,
            },
            **{"admitted_at_ms": task_id and NOON_MS, "submitted_at_ms": task_id and NOON_MS, "task_id": task_id},
            **state,
        }
        for n, (task_id, state) in enumerate(zip(task_ids, states, strict=True))
    ]


MADE_ROWS = {
    "accounts": _accounts,
    "refills": _refills,
    "entries": _entries,
    "generations": _generations,
    "images": _images,
}


@dataclass
class Old:
    """An open database of the schema *revision*, with a process of that version: it knows the *tables* as they were."""

    address: str
    database: Database
    revision: str
    tables: list[Table]

    def insert_rows(self, tx: Connection, copy: int) -> None:
        for table in self.tables:
            for row in rows_of(table, copy):
                tx.execute(insert(table).values(row))

    def update_rows(self, tx: Connection, copy: int) -> None:
        for table in self.tables:
            for row in rows_of(table, copy):
                tx.execute(update(table).where(_is(table, row)).values(row))

    def delete_rows(self, tx: Connection, copy: int) -> None:
        for table in reversed(self.tables):
            for row in rows_of(table, copy):
                tx.execute(delete(table).where(_is(table, row)))

    def read_rows(self, tx: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {table.name: sorted(map(tuple, tx.execute(select(table))), key=repr) for table in self.tables}

    async def work(self, copy: int) -> None:
        """Insert, update, select and delete rows of every table, each with all columns that were there."""
        for step in (self.insert_rows, self.update_rows, self.delete_rows, self.insert_rows, self.update_rows):
            await self.database.run(step, copy)
        await self.database.run(self.read_rows)


def _reflect(tx: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(tx)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def _is(table: Table, row: Row) -> ColumnElement[bool]:
    """Return the condition for *row*: its key, or its id where the database numbers the rows."""
    key = [column for column in table.primary_key if column.name in row] or [table.c.id]
    return and_(*(column == row[column.name] for column in key))


@pytest_asyncio.fixture(loop_scope="session", params=REVISIONS[:-1])
async def old(request: pytest.FixtureRequest, make_database: DatabaseMaker) -> AsyncIterator[Old]:
    address = await make_database.create(empty=True)
    async with open_database(address, idle_seconds=0) as database:
        await database.run(migrate_to, request.param)
        if not database.is_postgresql:
            await database.run(Connection.exec_driver_sql, f"PRAGMA application_id = {APPLICATION_ID}")
        yield Old(address, database, request.param, await database.run(_reflect))
    await make_database.drop(address)


@pytest_asyncio.fixture(loop_scope="session")
async def new(old: Old) -> AsyncIterator[Database]:
    """Open the same database as a process of today, which has not migrated it yet."""
    async with open_database(old.address, idle_seconds=0) as database:
        yield database


async def test_an_upgrade_keeps_every_row_and_a_process_of_the_version_before_goes_on_beside_it(
    old: Old, new: Database
) -> None:
    """On PostgreSQL the old process has the connection of before, with the statements that were prepared on it."""
    await old.work(1)
    before = await old.database.run(old.read_rows)
    assert all(before.values())
    await new.migrate()
    assert await new.run(read_revisions) == {NEWEST_REVISION}
    assert await old.database.run(old.read_rows) == before
    await old.work(2)
    await finish_images(new, 1, 2)


@pytest.mark.postgres
async def test_a_migration_that_ends_a_deadlock_with_an_old_process_begins_again(
    postgresql_maker: PostgresqlMaker,
) -> None:
    """The old transaction has locked what the migration changes last, and asks for what it has changed first."""
    address = await postgresql_maker.create(empty=True)
    name = str(parse_database_url(address).database)
    await postgresql_maker.command(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'")
    async with open_database(address, idle_seconds=0) as old, open_database(address, idle_seconds=0) as new:
        await old.run(migrate_to, "0003")
        connection = await asyncpg.connect(host=postgresql_maker.socket_folder, user="postgres", database=name)
        await connection.execute("SET deadlock_timeout = '1h'")  # so that it is never this one that is ended
        async with connection.transaction():
            await connection.execute("LOCK TABLE generations IN ROW EXCLUSIVE MODE")
            migrating = asyncio.create_task(new.migrate())
            while not await connection.fetchval(WAITS_FOR_A_LOCK):
                assert not migrating.done()
            assert await connection.fetchval("SELECT count(*) FROM accounts") == 0
        await connection.close()
        await migrating
        assert await new.run(read_revisions) == {NEWEST_REVISION}
    await postgresql_maker.drop(address)


async def finish_images(database: Database, *copies: int) -> None:
    """Read all rows by the code of today, and bring every image to its end."""
    for table in metadata.sorted_tables:
        await database.run(lambda tx, table: list(tx.execute(select(table))), table)
    harness = make_harness(database)
    assert await find_all_faults(harness) == []
    await harness.admit()
    claimed = {generation.id: generation.images[0] for generation in await harness.claim()}
    for user_id in map(person, copies):
        await privacy_of(harness).collect(user_id)
        assert await People(database).defaults_for(user_id) == PREFERENCES
        posted, running, waiting = user_id, user_id + 1, user_id + 2
        assert (await harness.image(posted)).state is State.DELIVERED
        await harness.move(claimed[running], State.SUCCEEDED, State.DELIVERED)
        await harness.move(claimed[waiting], State.SUBMITTING, State.RUNNING, State.SUCCEEDED, State.DELIVERED)
        for generation_id in (running, waiting):
            await database.run(harness.ledger.settle, f"{generation_id}-0", 5, NOON_MS)
        assert await harness.numbers(user_id) == (35, 0)
    assert await find_all_faults(harness) == []


async def find_all_faults(harness: Harness) -> list[str]:
    return await harness.database.run(lambda tx: list(find_faults(tx, records.held_image_ids)))
