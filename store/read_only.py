"""Open a database to read alone, beside a running bot."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from store.address import parse_database_url
from store.database import Database, open_database
from store.errors import DatabaseUnreachable
from store.schema import NEWEST_REVISION, read_revisions


@asynccontextmanager
async def open_to_read(address: str) -> AsyncGenerator[Database]:
    """Open the database at *address* for Database.read() until the block ends.

    A SQLite file may be in use meanwhile: with a write-ahead log one process reads while another one writes
    (sqlite.org/wal.html). Raises DatabaseUnreachable unless it is there with the tables of this version.
    """
    _check_file(address)
    async with open_database(address, idle_seconds=0) as database:
        found = await database.read(read_revisions)
        if found != {NEWEST_REVISION}:
            raise DatabaseUnreachable(
                f"the database has the schema {', '.join(sorted(found)) or 'of no version'}, this bot has "
                f"{NEWEST_REVISION}: run `python bot.py migrate` first, and update the bot if that says so"
            )
        yield database


def _check_file(address: str) -> None:
    """Raise DatabaseUnreachable if a SQLite file is not there. To open it would create it."""
    url = parse_database_url(address)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise DatabaseUnreachable(f"there is no file {url.database}")
