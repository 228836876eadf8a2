"""The migrations and the metadata must make the same database, to the last index."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection

from generations.model import State
from store.database import Database, open_database
from store.errors import DatabaseUnreachable, SchemaTooNew
from store.schema import downgrade, upgrade
from store.tables import metadata
from tests.architecture.laws import product
from tests.contract.test_archive import make
from tests.contract.world import make_world
from tests.databases import DatabaseMaker

for module in product():  # a table belongs to the metadata once its module is imported
    if module.name.endswith(".tables"):
        importlib.import_module(module.name)

SQLITE_CATALOG = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY type, name"
POSTGRESQL_CATALOG = """
    SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default)
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION ALL
    SELECT 'index', indexname, indexdef
      FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%'
    ORDER BY 1, 2
"""


def read_catalog(connection: Connection) -> list[tuple[str, ...]]:
    """What the database itself says it holds: every column, index, CHECK and predicate in its own words."""
    statement = POSTGRESQL_CATALOG if connection.dialect.name == "postgresql" else SQLITE_CATALOG
    return [tuple(_in_one_order(str(part)) for part in row) for row in connection.execute(text(statement))]


def _in_one_order(sql: str) -> str:
    """SQLite keeps the text of CREATE TABLE, to which later columns were added, in whatever order and lines."""
    if not sql.startswith("CREATE TABLE"):
        return sql
    head, _, parts = " ".join(sql.split()).removesuffix(")").partition("(")
    return "\n".join([head, *sorted(part.strip() for part in _top_level(parts))])


def _top_level(parts: str) -> Iterator[str]:
    """*parts* at those commas that stand in no parenthesis; the texts of CHECKs here hold none."""
    depth, begun = 0, 0
    for position, character in enumerate(parts):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield parts[begun:position]
            begun = position + 1
    yield parts[begun:]


async def test_the_migrations_make_what_the_metadata_says(database: Database, make_database: DatabaseMaker) -> None:
    async with database.transaction() as tx:
        migrated = await tx.run_sync(read_catalog)
    async with open_database(await make_database.create(empty=True)) as other, other.transaction() as tx:
        await tx.run_sync(metadata.create_all)
        assert migrated == await tx.run_sync(read_catalog)
    assert {name for _, name, _ in migrated if re.match("ix_|uq_", name)} >= {"ix_images_waiting", "uq_entries_closing"}


async def test_alembic_finds_nothing_left_to_migrate(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return compare_metadata(context, metadata)

    async with database.transaction() as tx:
        assert await tx.run_sync(differences) == []


async def test_every_migration_can_be_undone_and_done_again(database: Database) -> None:
    async with database.transaction() as tx:
        before = await tx.run_sync(read_catalog)
        await tx.run_sync(downgrade, "base")
        assert await tx.run_sync(read_catalog) == []
        await tx.run_sync(upgrade)
        assert await tx.run_sync(read_catalog) == before


async def test_images_that_were_kept_before_they_were_checked_are_due_after_the_migration(database: Database) -> None:
    world = make_world(database)
    await make(world, 1, end=State.UNDELIVERED, count=2)
    await make(world, 2)
    async with database.transaction() as tx:
        await tx.run_sync(downgrade, "0006")
        await tx.execute(text("UPDATE images SET ready_at_ms = 7000, failures = 4 WHERE generation_id = 1"))
        await tx.run_sync(upgrade)
    assert [(image.due_at_ms, image.failures) for image in (await world.load(1)).images] == [(7000, 0)] * 2
    assert [generation.id for generation in await world.claim()] == [1]
    async with database.transaction() as tx:
        await tx.run_sync(downgrade, "0006")
        assert (await tx.execute(text("SELECT id FROM generations WHERE due_at_ms IS NOT NULL"))).all() == []


async def test_processes_that_start_together_migrate_once(make_database: DatabaseMaker) -> None:
    address = await make_database.create(empty=True)
    databases = [open_database(address) for _ in range(4)]
    try:
        await asyncio.gather(*(database.migrate() for database in databases))
        async with databases[0].transaction() as tx:
            assert len((await tx.execute(text("SELECT version_num FROM alembic_version"))).all()) == 1
    finally:
        for database in databases:
            await database.close()


async def test_a_database_of_a_newer_bot_is_left_alone(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="schema 9999"):
        await database.migrate()


async def test_a_database_that_is_not_there_is_a_plain_sentence(make_database: DatabaseMaker) -> None:
    address = (await make_database.create(empty=True)).replace("test_", "missing/test_")
    with pytest.raises(DatabaseUnreachable, match=r"can't be opened: "):
        async with open_database(address.replace("sqlite:////", "sqlite:////proc/")) as database:
            await database.migrate()
