"""Fixtures of the contract suite: its tests run on SQLite and on PostgreSQL.

All tests of a process share one event loop and one open database of each kind, which is emptied before each test. A
test that breaks a database, or needs another schema, makes one of its own with `make_database`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from store.database import Database, open_database
from tests.contract.harness import Harness, make_harness
from tests.databases import DatabaseMaker, PostgresqlMaker, SqliteMaker, delete_all_rows

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == FOLDER and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass
class OpenedTwice:
    """One migrated database, opened twice, as by two processes."""

    address: str
    database: Database
    other: Database


async def open_twice(maker: DatabaseMaker) -> AsyncIterator[OpenedTwice]:
    address = await maker.create()
    async with open_database(address, idle_seconds=0) as database, open_database(address, idle_seconds=0) as other:
        yield OpenedTwice(address, database, other)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sqlite_opened_twice(sqlite_maker: SqliteMaker) -> AsyncIterator[OpenedTwice]:
    async for opened_twice in open_twice(sqlite_maker):
        yield opened_twice


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgresql_opened_twice(postgresql_maker: PostgresqlMaker) -> AsyncIterator[OpenedTwice]:
    async for opened_twice in open_twice(postgresql_maker):
        yield opened_twice


@pytest.fixture
def opened_twice(request: pytest.FixtureRequest, make_database: DatabaseMaker) -> OpenedTwice:
    return request.getfixturevalue(
        "postgresql_opened_twice" if isinstance(make_database, PostgresqlMaker) else "sqlite_opened_twice"
    )


@pytest_asyncio.fixture(loop_scope="session")
async def database(opened_twice: OpenedTwice) -> Database:
    """Return an open, migrated database without rows."""
    await opened_twice.database.in_background().run(delete_all_rows)
    return opened_twice.database


@pytest.fixture
def other_database(opened_twice: OpenedTwice, database: Database) -> Database:
    """Return *database* as another process has opened it."""
    return opened_twice.other


@pytest.fixture
def harness(database: Database) -> Harness:
    return make_harness(database)
