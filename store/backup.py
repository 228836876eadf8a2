"""Copy a SQLite file while a bot uses it, and put a copy in its place: `python bot.py backup` and `restore`.

VACUUM INTO copies what one transaction sees, with the write-ahead log and without deleted words in gaps of pages, and
holds up no writer (sqlite.org/lang_vacuum.html). Every copy is checked before it gets its name: by SQLite, and by
opening it with this version of the bot.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import func, select

from store.address import parse_database_url
from store.database import open_database
from store.errors import BackupRefused
from store.sole_use import sole_use
from store.sqlite_file import APPLICATION_ID, real_path
from store.tables import metadata
from store.transactions import Transaction

FILES = ("", "-wal", "-shm")  # of one database, without its lock
NOT_SQLITE = (
    "backup and restore are for a SQLite file; docs/backup.md says how to back up PostgreSQL with its own tools"
)


async def back_up(address: str, target: Path, check: Callable[[Transaction], None]) -> None:
    """Copy the SQLite file at *address* to *target*, readable by its owner alone, also while a bot uses it.

    A second copy is brought to the newest schema and handed to *check*, which may raise. Raises BackupRefused when
    there is no file, or it is damaged, or *target* is there already; SchemaTooNew; DatabaseUnreachable.
    """
    source = _file_at(address)
    _refuse_existing(target)
    with _folder_beside(target) as folder:
        await asyncio.to_thread(_copy, source, folder / "copy")
        await asyncio.to_thread(_copy, folder / "copy", folder / "tried")
        await _open_with_this_version(folder / "tried", check)
        await asyncio.to_thread(_name, folder / "copy", target)


async def restore(address: str, backup: Path, then: Callable[[Transaction], None], *, replace: bool) -> Path | None:
    """Put a copy of *backup*, brought to the newest schema, where *address* says. Return what the file there is called
    from now on; None: there was none.

    *then* changes rows of the copy before it gets its name. Raises BackupRefused when *backup* is no sound backup of
    this bot, or when the file that is there has rows and *replace* is not set; SchemaTooNew; DatabaseInUse while a bot
    runs; DatabaseUnreachable. Then nothing is changed.
    """
    target = _file_at(address)
    with sole_use(address):
        if not replace and await asyncio.to_thread(_may_have_rows, target):
            raise BackupRefused(f"{target} has rows: `python bot.py restore --replace` keeps it under another name")
        with _folder_beside(target) as folder:
            await asyncio.to_thread(_copy, backup, folder / "copy")
            await _open_with_this_version(folder / "copy", then)
            aside = _put_aside(target)
            await asyncio.to_thread(_name, folder / "copy", target)
    return aside


def count_rows(tx: Transaction) -> dict[str, int]:
    """Return the number of rows of each table that has any."""
    counts = {table.name: tx.scalar(select(func.count()).select_from(table)) or 0 for table in metadata.sorted_tables}
    return {name: count for name, count in counts.items() if count}


def _file_at(address: str) -> Path:
    url = parse_database_url(address)
    if url.get_backend_name() != "sqlite":
        raise BackupRefused(NOT_SQLITE)
    return real_path(Path(str(url.database)))


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise BackupRefused(f"{path} is there already, and a backup overwrites nothing: name another file")


@contextmanager
def _folder_beside(path: Path) -> Generator[Path]:
    """Make a folder on the same disk that only this user can open, and delete it at the end."""
    try:
        made = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent)
    except OSError as error:
        raise BackupRefused(f"nothing can be written beside {path}: {error.strerror}") from error
    with made as folder:
        yield Path(folder)


def _copy(source: Path, copy: Path) -> None:
    """Copy a database of this bot and check the copy. Raises BackupRefused."""
    if not source.is_file():
        raise BackupRefused(f"there is no file {source}")
    try:
        with closing(_connect(source)) as connection:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise BackupRefused(f"{source} is not a database of this bot")
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection.execute("VACUUM INTO ?", (str(copy),))
        # Not read-only: then SQLite 3.40 checks no CHECK.
        with closing(sqlite3.connect(copy)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise BackupRefused(f"{source} can't be copied: {error}") from error
    if found != "ok":
        raise BackupRefused(f"{source} is damaged ({found}): use an older backup")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None)


async def _open_with_this_version(path: Path, then: Callable[[Transaction], None]) -> None:
    async with open_database(f"sqlite:///{path}") as database:
        await database.migrate(then)


def _may_have_rows(path: Path) -> bool:
    """Whether a table of the file has a row, or nobody can tell."""
    if not any(path.with_name(path.name + part).exists() for part in FILES):
        return False
    try:
        with closing(_connect(path)) as connection:
            names = [
                name
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if name != "alembic_version" and not name.startswith("sqlite_")
            ]
            return any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in names)  # noqa: S608
    except sqlite3.Error:
        return True


def _put_aside(path: Path) -> Path | None:
    """Rename the file, with its log. Return its new name; None: there is none."""
    parts = [part for part in FILES if path.with_name(path.name + part).exists()]
    names = (path.with_name(f"{path.name}.replaced-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not any(name.with_name(name.name + part).exists() for part in FILES))
    for part in parts:
        path.with_name(path.name + part).rename(aside.with_name(aside.name + part))
    return aside if parts else None


def _name(copy: Path, target: Path) -> None:
    """Give the copy its name, once all of it is on the disk. Raises BackupRefused when the name is taken."""
    with open(copy, "rb+") as file:
        os.fsync(file.fileno())
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise BackupRefused(f"{target} can't be made: {error.strerror}") from error
    copy.replace(target)
    with suppress(OSError):  # Windows opens no folder
        folder = os.open(target.absolute().parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
