"""Look at a database and change nothing: no file is created, no lock is taken, nothing is migrated.

For `python bot.py doctor`, which runs beside a bot or before its first start.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from store.address import parse_database_url
from store.errors import DatabaseUnreachable
from store.schema import MIGRATIONS
from store.sqlite_file import check_content, check_usable, real_path, unreachable

BUSY_SECONDS = 5.0  # SQLite: how long to wait for a file that is being migrated


class DatabaseMissing(DatabaseUnreachable):
    """There is no SQLite file at the path yet. *may_be_made*: this user could create it."""

    def __init__(self, path: Path, *, may_be_made: bool) -> None:
        super().__init__(f"there is no file {path}")
        self.may_be_made = may_be_made


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found. *revisions*: as Alembic noted them; empty: no tables yet. *now_ms*: the server's clock, unix;
    None: SQLite has none.

    *refused*: what the user of a server may not do, each the end of "the user of DATABASE_URL …".
    """

    kind: str
    version: str
    bytes: int
    revisions: frozenset[str]
    now_ms: float | None = None
    refused: tuple[str, ...] = ()


def known_revisions() -> frozenset[str]:
    """Return the revisions that this version of the bot knows."""
    return frozenset(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def folder_of(address: str) -> Path | None:
    """Return the folder of a SQLite file, or the nearest above it that exists; None for a server."""
    url = parse_database_url(address)
    if url.get_backend_name() != "sqlite":
        return None
    return next(folder for folder in real_path(Path(str(url.database))).parents if folder.exists())


async def inspect_database(address: str) -> Inspected:
    """Read what Inspected holds. A SQLite file is read whole, in half a second per gigabyte.

    Raises DatabaseUnreachable, of which DatabaseMissing is one; their texts hold no password.
    """
    url = parse_database_url(address)
    if url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_inspect_file, Path(str(url.database)))
    return await _inspect_server(url)


def _inspect_file(path: Path) -> Inspected:
    real = real_path(path)
    if not real.exists():
        folder = next(folder for folder in real.parents if folder.exists())
        raise DatabaseMissing(path, may_be_made=folder.is_dir() and os.access(folder, os.W_OK | os.X_OK))
    check_usable(path)
    try:
        with closing(sqlite3.connect(_address_to_read(real), uri=True, timeout=BUSY_SECONDS)) as connection:
            check_content(path, connection)
            size = connection.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            return Inspected("SQLite", sqlite3.sqlite_version, size.fetchone()[0], _revisions(connection))
    except sqlite3.Error as error:
        raise unreachable(path, error) from error


def _address_to_read(path: Path) -> str:
    """Return the address of a connection that creates no file.

    mode=ro alone creates -wal and -shm for a file in WAL mode; while a process uses the file both are there. Otherwise
    nobody writes, and the file can be read as one that can't change (sqlite.org/uri.html, "immutable").
    """
    is_used = all(os.path.exists(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
    return f"{path.as_uri()}?mode=ro{'' if is_used else '&immutable=1'}"


def _revisions(connection: sqlite3.Connection) -> frozenset[str]:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return frozenset()
    return frozenset(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))


async def _inspect_server(url: URL) -> Inspected:
    from store.postgresql import CONNECTION_LOST, connect  # asyncpg, which SQLite needs not

    try:
        connection = await connect(url)
        try:
            async with connection.transaction(readonly=True):
                return await _read_server(connection)
        finally:
            connection.terminate()
    except CONNECTION_LOST as error:
        text = str(error) or type(error).__name__
        said = "its server does not answer" if isinstance(error, TimeoutError) else text
        raise DatabaseUnreachable(f"the database can't be opened: {said}") from error


async def _read_server(connection: Any) -> Inspected:
    revisions = list[Any]()
    if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        revisions = await connection.fetch("SELECT version_num FROM alembic_version")
    version = connection.get_server_version()
    return Inspected(
        "PostgreSQL",
        f"{version.major}.{version.minor}",
        await connection.fetchval("SELECT pg_database_size(current_database())"),
        frozenset(row["version_num"] for row in revisions),
        float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp()) * 1000")),
        tuple(await _refused(connection)),
    )


async def _refused(connection: Any) -> list[str]:
    """Return what the bot needs and the user may not do."""
    refused: list[str] = []
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        refused.append("reaches a server that only reads (a standby)")
    if not await connection.fetchval("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"):
        refused.append("may not create tables in its schema")
    others = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND NOT pg_has_role(tableowner, 'USAGE')"
        " ORDER BY tablename"
    )
    if others:
        refused.append(f"does not own {len(others)} tables, such as {others[0]['tablename']}")
    return refused
