"""Check the file of a SQLite database: who made it, who may read it, whether it is damaged, deleted or replaced.

Knows SQLite's result codes (sqlite.org/rescode.html) and no table.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

from store.errors import DatabaseBroken, DatabaseUnreachable

log = logging.getLogger("qwen_imagine.store")

# Written at byte 68 of the file; tells this bot's files from another program's (sqlite.org/fileformat2.html,
# "Application ID"). "QwIm" in ASCII.
APPLICATION_ID = 0x5177496D
SUFFIXES = ("", "-wal", "-shm", ".lock")  # of the files of one database

HEADER_BYTES = 100  # no database has fewer (sqlite.org/fileformat2.html, "The Database Header")
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO

# Permanent faults: result code -> what is wrong and what to do. %s is the file.
BROKEN = {
    sqlite3.SQLITE_NOTADB: "%s is not a SQLite database: move it away, or name another file in DATABASE_URL",
    sqlite3.SQLITE_CORRUPT: "%s is damaged: put a backup in its place, or move it away to begin with an empty one",
    sqlite3.SQLITE_READONLY: "%s can't be written: give the bot's user the right to write to the file and its folder",
    sqlite3.SQLITE_PERM: "%s can't be opened: give the bot's user the right to write to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "%s can't be opened: give the bot's user the right to write to the file and its folder",
}
GONE = "%s was deleted or replaced while the bot was running: put it back, then start the bot again"
FOREIGN = "%s is a database of another program: name another file in DATABASE_URL"
LINKED = (  # each name has a log of its own (sqlite.org/howtocorrupt.html, "Multiple links to the same file")
    "%s has a second name, a hard link, by which another process could damage it: "
    "copy it, and put the copy in its place"
)
NO_FILE = "%s is not a file: name another one in DATABASE_URL"


def real_path(path: Path) -> Path:
    """Return the absolute path to which all symbolic links lead. SQLite too puts -wal and -shm beside that."""
    return Path(os.path.realpath(path))


def fault_of(path: Path | str, error: BaseException | None) -> str | None:
    """Return the sentence for a permanent fault of the file; None when the driver's *error* is another."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    code &= 0xFF
    # A disk that the system made read-only after a fault is reported as an I/O error.
    if code == sqlite3.SQLITE_IOERR and os.path.exists(path) and not os.access(path, os.W_OK):
        code = sqlite3.SQLITE_READONLY
    return BROKEN[code] % path if code in BROKEN else None


def is_refused_write(error: BaseException | None) -> bool:
    """Whether a connection that may only read has refused a write: no fault of the file, which reading never writes."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY


class SqliteFile:
    """One SQLite file in use. Once it was found broken, it is not used again: a part of it may be lost."""

    def __init__(self, path: Path) -> None:
        """Create the file, readable by its owner alone, unless it exists. Raises DatabaseUnreachable."""
        self.path = path
        self._absolute = real_path(path)
        self.is_ours = False  # True once the migrations have run
        self._broken: str | None = None
        self._log_identity: tuple[int, int] | None = None  # of -wal, while the connection is open
        try:
            self._absolute.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # -wal and -shm are made with the rights of the file (sqlite.org/src, findCreateFileMode in os_unix.c).
            with suppress(FileExistsError):
                os.close(os.open(self._absolute, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise DatabaseUnreachable(f"{path} can't be opened: {error.strerror}") from error
        check_usable(path)
        found = path.stat()
        self._identity = found.st_dev, found.st_ino

    def check(self) -> None:
        """Compare the file and its -wal with those that were opened. Raises DatabaseBroken when they are other ones.

        SQLite itself goes on writing to a deleted file, and all of that would be lost.
        """
        if self._broken is None:
            try:
                found = self._absolute.stat()
                emptied = self.is_ours and found.st_size < HEADER_BYTES
                gone = emptied or (found.st_dev, found.st_ino) != self._identity
            except (FileNotFoundError, NotADirectoryError):
                gone = True
            except OSError:  # the next statement reports it
                gone = False
            if gone:
                self._broken = GONE % self.path
            elif self._log_identity is not None and self._log_identity != self._found_log():
                self._broken = GONE % f"{self.path}-wal"
        if self._broken is not None:
            raise DatabaseBroken(self._broken)

    def log_opened(self, *_event: object) -> None:
        """Note the identity of the -wal that SQLite has opened. It stays the same until the last connection closes
        (sqlite.org/walformat.html, "Lifecycle of the WAL file")."""
        self._log_identity = self._found_log()

    def log_closes(self, *_event: object) -> None:
        """Forget -wal: the connection is about to be closed, and SQLite will delete it."""
        self._log_identity = None

    def _found_log(self) -> tuple[int, int] | None:
        try:
            found = os.stat(f"{self._absolute}-wal")
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def mark_broken(self, sentence: str) -> None:
        """Let check() raise *sentence* from now on."""
        self._broken = self._broken or sentence

    def compare(self, application_id: int) -> None:
        """Check the *application_id* that was just read from the disk. Raises DatabaseBroken when it is not ours."""
        if self.is_ours and application_id != APPLICATION_ID:
            self.mark_broken(GONE % self.path)
            self.check()

    def inspect(self) -> None:
        """Read the whole file and change nothing. Raises DatabaseUnreachable when another program made it or it is
        damaged.

        Takes about half a second per gigabyte that is in the system's cache.
        """
        address = f"{self._absolute.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
                check_content(self.path, connection)
        except sqlite3.Error as error:
            raise unreachable(self.path, error) from error

    def size(self) -> int:
        """Return the bytes of the file, without its log. Raises OSError."""
        return self._absolute.stat().st_size

    def make_private(self) -> None:
        """Restrict the files of the database, and its folder if that is named data, to their owner."""
        if os.name != "posix":  # Windows has no such bits
            return
        for part in (self._absolute.with_name(self._absolute.name + suffix) for suffix in SUFFIXES):
            if part.is_file():
                _restrict(part)
        folder = self._absolute.parent
        if folder.name == "data" and not folder.is_symlink():
            _restrict(folder)
        elif folder.stat().st_mode & OPEN_TO_OTHERS:
            log.warning(
                "other users of this machine can open the folder %s, which holds the database: a folder of its own, "
                "with chmod 700, keeps them out",
                folder,
            )


def check_usable(path: Path) -> None:
    """Raise DatabaseUnreachable unless *path*, which is there, is a file with one name that can be read and written."""
    if not path.is_file():
        raise DatabaseUnreachable(NO_FILE % path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise DatabaseUnreachable(BROKEN[sqlite3.SQLITE_READONLY] % path)
    if path.stat().st_nlink > 1:
        raise DatabaseUnreachable(LINKED % path)


def check_content(path: Path, connection: sqlite3.Connection) -> None:
    """Read the whole file. Raises DatabaseUnreachable when another program made it or it is damaged; sqlite3.Error."""
    if not _is_ours(connection):
        raise DatabaseUnreachable(FOREIGN % path)
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DatabaseUnreachable(BROKEN[sqlite3.SQLITE_CORRUPT] % path)


def unreachable(path: Path, error: sqlite3.Error) -> DatabaseUnreachable:
    """Build the error for what the driver raised while the file was opened or read."""
    return DatabaseUnreachable(fault_of(path, error) or f"{path} can't be opened: {error}")


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether this bot made the file, or it is empty."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    (has_schema,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()
    return application_id == APPLICATION_ID or not (application_id or user_version or has_schema)


def _restrict(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & OPEN_TO_OTHERS:
        return
    try:
        path.chmod(mode & stat.S_IRWXU)
    except OSError as error:
        log.warning("other users of this machine can open %s, and that can't be changed: %s", path, error.strerror)
