"""The migrations create the same schema as the metadata, on both databases; running Alembic.

Where MetaData() is handed to upgrade(), no table is declared, so that it migrates instead of creating tables.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection

from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from store.database import open_database
from store.errors import DatabaseUnreachable, SchemaTooNew
from store.schema import NEWEST_TABLES, migrate_to, read_revisions, upgrade
from store.tables import metadata
from store.transactions import Transaction
from tests.architecture.laws import product
from tests.databases import DatabaseMaker, PostgresqlMaker

for module in product():  # a table belongs to the metadata once its module is imported
    if module.name.endswith(".tables"):
        importlib.import_module(module.name)

SQLITE_CATALOG = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
POSTGRESQL_CATALOG = """
    SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default)
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'index', indexname, indexdef
      FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'option', relname, array_to_string(reloptions, ' ')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
    ORDER BY 1, 2
"""


def read_catalog(connection: Connection) -> list[tuple[str, ...]]:
    """Return every column, index, CHECK, predicate and option as the database itself describes them."""
    statement = POSTGRESQL_CATALOG if connection.dialect.name == "postgresql" else SQLITE_CATALOG
    return [tuple(_in_one_order(str(part)) for part in row) for row in connection.execute(text(statement))]


def _in_one_order(sql: str) -> str:
    """Sort the parts of CREATE TABLE, which SQLite keeps as text: constraints and added columns may be in any order."""
    if not sql.startswith("CREATE TABLE"):
        return sql
    head, _, parts = " ".join(sql.split()).removesuffix(")").partition("(")
    return "\n".join([head, *sorted(part.strip() for part in _top_level(parts))])


def _top_level(parts: str) -> Iterator[str]:
    """Split *parts* at the commas outside of parentheses. No string in a CHECK here contains a comma or parenthesis."""
    depth, begun = 0, 0
    for position, character in enumerate(parts):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield parts[begun:position]
            begun = position + 1
    yield parts[begun:]


async def test_the_migrations_create_the_same_schema_as_the_declared_tables(make_database: DatabaseMaker) -> None:
    catalogs = []
    for declared in (metadata, MetaData()):
        async with open_database(await make_database.create(empty=True)) as database:
            await database.run(upgrade, declared)
            catalogs.append((await database.run(read_catalog), await database.run(read_revisions)))
    created, migrated = catalogs
    assert created == migrated
    names = {name for _, name, _ in created[0]}
    assert names >= {"ix_images_waiting", "uq_entries_closing"}


def test_a_new_database_is_created_without_alembic_once_all_tables_are_imported() -> None:
    assert len(metadata.tables) == NEWEST_TABLES


async def test_alembic_finds_no_difference_after_the_migrations(make_database: DatabaseMaker) -> None:
    def differences(connection: Connection) -> list[object]:
        upgrade(connection, MetaData())
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return compare_metadata(context, metadata)

    async with open_database(await make_database.create(empty=True)) as database:
        assert await database.run(differences) == []


async def test_a_migration_that_is_interrupted_leaves_nothing_behind(make_database: DatabaseMaker) -> None:
    def upgrade_and_fail(tx: Transaction) -> None:
        upgrade(tx, MetaData())
        raise RuntimeError("interrupted")

    async with open_database(await make_database.create(empty=True)) as database:
        with pytest.raises(RuntimeError, match="interrupted"):
            await database.run(upgrade_and_fail)
        assert await database.run(read_catalog) == []
        await database.migrate()
        assert await database.run(read_catalog) != []


@pytest.mark.postgres
async def test_processes_that_start_at_once_migrate_once(postgresql_maker: PostgresqlMaker) -> None:
    """A SQLite file has one process at a time (store/sole_use.py)."""
    address = await postgresql_maker.create(empty=True)
    databases = [open_database(address) for _ in range(4)]
    try:
        await asyncio.gather(*(database.migrate() for database in databases))
        assert await databases[0].run(Transaction.scalar, text("SELECT count(*) FROM alembic_version")) == 1
    finally:
        for database in databases:
            await database.close()


async def test_a_database_that_a_newer_version_migrated_is_refused(make_database: DatabaseMaker) -> None:
    address = await make_database.create()
    async with open_database(address) as database:
        await database.run(Transaction.execute, text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(SchemaTooNew, match="schema 9999"):
            await database.migrate()
    await make_database.drop(address)


async def test_a_missing_database_is_refused_with_a_sentence(make_database: DatabaseMaker) -> None:
    address = (await make_database.create(empty=True)).replace("test_", "missing/test_")
    with pytest.raises(DatabaseUnreachable, match=r"can't be opened: "):
        async with open_database(address.replace("sqlite:////", "sqlite:////proc/")) as database:
            await database.migrate()


async def test_the_ledger_of_an_earlier_version_is_kept_row_by_row(make_database: DatabaseMaker) -> None:
    old = {
        "accounts": ("user_id, available, held, refilled_from_ms, created_at_ms", ["9223372036854775807, 40, 5, 7, 8"]),
        "entries": (
            "number, id, user_id, kind, available_delta, held_delta, image_id, reason, refilled_from_ms, created_at_ms",
            [
                "3, 'grant:refill:1', 9223372036854775807, 'grant', 50, 0, NULL, 'refill', 7, 8",
                "5, '1-0:hold', 9223372036854775807, 'hold', -5, 5, '1-0', '', 7, 9",
                "8, '2-0:hold', 9223372036854775807, 'hold', -5, 5, '2-0', '', 7, 9",
                "9, '2-0:settle', 9223372036854775807, 'settle', 0, -5, '2-0', '', 7, 10",
            ],
        ),
    }

    def read(connection: Connection) -> list[list[tuple[object, ...]]]:
        return [
            [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1"))]
            for table, (columns, _) in old.items()
        ]

    def write(connection: Connection) -> None:
        migrate_to(connection, "0002")
        for table, (columns, lines) in old.items():
            for line in lines:
                connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({line})"))

    async with open_database(await make_database.create(empty=True)) as database:
        await database.run(write)
        before = await database.run(read)
        await database.run(upgrade)
        assert await database.run(read) == before
        ledger = Ledger(Allowance(50, CreditPeriod.NEVER, ZoneInfo("UTC")))
        assert await database.run(ledger.audit) == []
        assert await database.run(ledger.release, "1-0", 11) == 5
        assert (await database.run(ledger.balance, 2**63 - 1, 12)).available == 45
