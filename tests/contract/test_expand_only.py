"""Expand, then contract: a migration only adds, so that processes of the release before go on beside the new ones.

A migration that takes something away names the first release that does without it: `contracts = "1.2.0"`. One that
changes a CHECK names it in `widens`: what the old rule allowed, the new one allows (test_upgrades writes such rows).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, inspect, text

from store.database import open_database
from store.schema import migrate_to
from tests.contract.test_upgrades import REVISIONS, SCRIPTS
from tests.databases import DatabaseMaker, PostgresqlMaker


class Described(NamedTuple):
    """One table: its columns (type, may it be left out, may it be NULL), CHECKs, and what must be unique or exist."""

    columns: dict[str, tuple[str, bool, bool]]
    checks: dict[str, str]
    rules: set[str]


def describe(tx: Connection) -> dict[str, Described]:
    inspector = inspect(tx)
    return {name: _describe(inspector, name) for name in inspector.get_table_names() if name != "alembic_version"}


def _describe(inspector: Any, table: str) -> Described:
    columns = {
        column["name"]: (str(column["type"]), column["nullable"] or column["default"] is not None, column["nullable"])
        for column in inspector.get_columns(table)
    }
    checks = {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}
    unique = [index for index in inspector.get_indexes(table) if index["unique"]]
    rules = (*unique, *inspector.get_unique_constraints(table), *inspector.get_foreign_keys(table))
    return Described(columns, checks, {rule["name"] for rule in rules})


def narrowings(before: dict[str, Described], after: dict[str, Described]) -> Iterator[str]:
    """Yield what a process that knows *before* could trip over in *after*; a CHECK as its bare name."""
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"table {name} is gone"
            continue
        for column, (kind, _, nullable) in old.columns.items():
            if column not in new.columns:
                yield f"{name}.{column} is gone"
            elif new.columns[column][0] != kind or (nullable and not new.columns[column][2]):
                yield f"{name}.{column} is another one"
        for column in new.columns.keys() - old.columns.keys():
            if not new.columns[column][1]:
                yield f"{name}.{column} can't be left out"
        yield from (f"{rule} is new" for rule in new.rules - old.rules)
        yield from (check for check in new.checks if new.checks[check] != old.checks.get(check))


async def test_every_migration_only_adds_or_says_what_it_contracts(make_database: DatabaseMaker) -> None:
    async with open_database(await make_database.create(empty=True)) as database:
        before: dict[str, Described] = {}
        for revision in REVISIONS:
            await database.run(migrate_to, revision)
            after = await database.run(describe)
            migration = SCRIPTS.get_revision(revision).module
            found = set(narrowings(before, after)) - set(getattr(migration, "widens", ()))
            assert bool(found) is hasattr(migration, "contracts"), f"{revision}: {sorted(found)}"
            before = after
        assert before.keys() >= {"accounts", "reports"}


FAULTS = {
    "ALTER TABLE removed_cards RENAME TO taken_cards": "table removed_cards is gone",
    "ALTER TABLE processes DROP COLUMN role": "processes.role is gone",
    "ALTER TABLE processes RENAME COLUMN shard_ids TO shards": "processes.shard_ids is gone",
    "ALTER TABLE processes ALTER COLUMN version SET NOT NULL": "processes.version is another one",
    "ALTER TABLE processes ALTER COLUMN steps TYPE BIGINT": "processes.steps is another one",
    "ALTER TABLE processes ADD COLUMN kind TEXT NOT NULL": "processes.kind can't be left out",
    "CREATE UNIQUE INDEX uq_pings ON pings (decided_at_ms)": "uq_pings is new",
    "ALTER TABLE pings ADD COLUMN n BIGINT CONSTRAINT ck_pings_n CHECK (decided_at_ms > n)": "ck_pings_n",
}


@pytest.mark.postgres
async def test_whatever_an_old_process_could_trip_over_is_found(postgresql_maker: PostgresqlMaker) -> None:
    address = await postgresql_maker.create()
    async with open_database(address) as database:
        for statement, expected in FAULTS.items():
            before = await database.run(describe)
            await database.run(Connection.execute, text(statement))
            assert expected in list(narrowings(before, await database.run(describe))), statement
    await postgresql_maker.drop(address)
