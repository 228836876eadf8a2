"""Look after the file of a SQLite database: whose it is, who may read it, and whether it is still there and sound.

Knows SQLite's result codes (sqlite.org/rescode.html) and nothing of what is in the tables.
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

# Stands at byte 68 of each file of ours and tells it from another program's (sqlite.org/fileformat2.html,
# "Application ID"): "QwIm" in ASCII.
APPLICATION_ID = 0x5177496D
BESIDE = ("", "-wal", "-shm", ".lock")  # what belongs to one database, by the ends of the names

HEADER_BYTES = 100  # no database has fewer (sqlite.org/fileformat2.html, "The Database Header")
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO

# What does not pass by itself: result code -> what is wrong and what to do. %s is the file.
BROKEN = {
    sqlite3.SQLITE_NOTADB: "%s is not a SQLite database: move it away, or name another file in DATABASE_URL",
    sqlite3.SQLITE_CORRUPT: "%s is damaged: put a backup in its place, or move it away to begin with an empty one",
    sqlite3.SQLITE_READONLY: "%s can't be written: give the bot's user the right to write to the file and its folder",
    sqlite3.SQLITE_PERM: "%s can't be opened: give the bot's user the right to write to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "%s can't be opened: give the bot's user the right to write to the file and its folder",
}
GONE = "%s was deleted or replaced while the bot was running: put it back, then start the bot again"
FOREIGN = "%s is a database of another program: name another file in DATABASE_URL"
LINKED = (  # each name would have a log of its own (sqlite.org/howtocorrupt.html, "Multiple links to the same file")
    "%s has a second name, a hard link, by which another process could damage it: "
    "copy it, and put the copy in its place"
)
NO_FILE = "%s is not a file: name another one in DATABASE_URL"


def real_path(path: Path) -> Path:
    """The file itself, in full, behind every symbolic link. SQLite too puts -wal and -shm beside that."""
    return Path(os.path.realpath(path))


def fault_of(path: Path | str, error: BaseException | None) -> str | None:
    """The sentence for a driver's *error* that does not pass by itself; None: it may pass, or is of another kind."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    code &= 0xFF
    # A disk that the system made read-only after a fault of its own is told as an I/O error.
    if code == sqlite3.SQLITE_IOERR and os.path.exists(path) and not os.access(path, os.W_OK):
        code = sqlite3.SQLITE_READONLY
    return BROKEN[code] % path if code in BROKEN else None


class SqliteFile:
    """One file, from its opening on. It is not used again after it was found broken: half of it may be lost."""

    def __init__(self, path: Path) -> None:
        """Make the file if there is none, for its owner alone. Raises DatabaseUnreachable."""
        self.path = path
        self._absolute = real_path(path)
        self.is_ours = False  # since the migrations have run
        self._broken: str | None = None
        self._log_identity: tuple[int, int] | None = None  # of -wal, while the connection is open
        try:
            self._absolute.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # -wal and -shm are made with the rights of the file (sqlite.org/src, findCreateFileMode in os_unix.c).
            with suppress(FileExistsError):
                os.close(os.open(self._absolute, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise DatabaseUnreachable(f"{path} can't be opened: {error.strerror}") from error
        if not path.is_file():
            raise DatabaseUnreachable(NO_FILE % path)
        if not os.access(path, os.R_OK | os.W_OK):
            raise DatabaseUnreachable(BROKEN[sqlite3.SQLITE_READONLY] % path)
        found = path.stat()
        if found.st_nlink > 1:
            raise DatabaseUnreachable(LINKED % path)
        self._identity = found.st_dev, found.st_ino

    def check(self) -> None:
        """Ask the file system whether the file still stands where it stood. Raises DatabaseBroken.

        SQLite itself goes on writing to a file that has no name any more, and all of that would be lost.
        """
        if self._broken is None:
            try:
                found = self._absolute.stat()
                emptied = self.is_ours and found.st_size < HEADER_BYTES
                gone = emptied or (found.st_dev, found.st_ino) != self._identity
            except (FileNotFoundError, NotADirectoryError):
                gone = True
            except OSError:  # the next statement tells what it is
                gone = False
            if gone:
                self._broken = GONE % self.path
            elif self._log_identity is not None and self._log_identity != self._found_log():
                self._broken = GONE % f"{self.path}-wal"
        if self._broken is not None:
            raise DatabaseBroken(self._broken)

    def log_opened(self, *_event: object) -> None:
        """Note which -wal SQLite has opened. Until its last connection closes, it stays the same file
        (sqlite.org/walformat.html, "Lifecycle of the WAL file")."""
        self._log_identity = self._found_log()

    def log_closes(self, *_event: object) -> None:
        """The connection is about to be closed, and SQLite will delete -wal."""
        self._log_identity = None

    def _found_log(self) -> tuple[int, int] | None:
        try:
            found = os.stat(f"{self._absolute}-wal")
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def broke(self, sentence: str) -> None:
        """Use it no more: from now on check() raises this sentence."""
        self._broken = self._broken or sentence

    def compare(self, application_id: int) -> None:
        """Take what was just read from the file. Raises DatabaseBroken when it is not ours any more."""
        if self.is_ours and application_id != APPLICATION_ID:
            self.broke(GONE % self.path)
            self.check()

    def inspect(self) -> None:
        """Read the whole file once, changing nothing: is it ours, and is each page sound? Raises DatabaseUnreachable.

        Takes about half a second for a gigabyte that the machine has in its memory.
        """
        address = f"{self._absolute.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
                if not _is_ours(connection):
                    raise DatabaseUnreachable(FOREIGN % self.path)
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            sentence = fault_of(self.path, error) or f"{self.path} can't be opened: {error}"
            raise DatabaseUnreachable(sentence) from error
        if found != "ok":
            raise DatabaseUnreachable(BROKEN[sqlite3.SQLITE_CORRUPT] % self.path)

    def size(self) -> int:
        """How many bytes the file has, without its log. Raises OSError."""
        return self._absolute.stat().st_size

    def make_private(self) -> None:
        """Let the owner alone read the database, what is beside it, and the folder if that is named data."""
        if os.name != "posix":  # elsewhere there are no such bits
            return
        for part in (self._absolute.with_name(self._absolute.name + ending) for ending in BESIDE):
            if part.is_file():
                _tighten(part)
        folder = self._absolute.parent
        if folder.name == "data" and not folder.is_symlink():
            _tighten(folder)
        elif folder.stat().st_mode & OPEN_TO_OTHERS:
            log.warning(
                "other users of this machine can open the folder %s, which holds the database: a folder of its own, "
                "with chmod 700, keeps them out",
                folder,
            )


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether this bot made the file, or it is empty."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    (has_schema,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()
    return application_id == APPLICATION_ID or not (application_id or user_version or has_schema)


def _tighten(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & OPEN_TO_OTHERS:
        return
    try:
        path.chmod(mode & stat.S_IRWXU)
    except OSError as error:
        log.warning("other users of this machine can open %s, and that can't be changed: %s", path, error.strerror)
