"""Let one process at a time use a SQLite file: an OS lock on `<file>.lock`, held until the process ends.

The system releases the lock however the process ends. The file stays; without the lock it means nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from store.address import parse_database_url
from store.errors import DatabaseInUse, DatabaseUnreachable
from store.sqlite_file import real_path

log = logging.getLogger("qwen_imagine.store")

TAKEN = frozenset({errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})  # flock(2); msvcrt: EACCES or EDEADLK
LOCKED_OFFSET = 1 << 20  # Windows: a locked byte can't be read, so the lock is on one far behind the process id


@contextmanager
def sole_use(address: str) -> Generator[None]:
    """Keep other processes from the database at *address* until the block ends. PostgreSQL is shared: nothing is done.

    Raises DatabaseInUse, with the file and the id of the process that has it, and DatabaseUnreachable.
    """
    url = parse_database_url(address)
    if url.get_backend_name() != "sqlite":
        yield
        return
    path = Path(str(url.database))
    with _open_lock_file(path) as lock:
        _take(lock, path)
        with suppress(OSError):  # a full disk: a second process is refused without this one's id
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), f"{os.getpid()}\n".encode())
        yield


def _open_lock_file(path: Path) -> TextIO:
    """Open it beside the file to which all links lead, so that one file has one lock. Raises DatabaseUnreachable."""
    path = real_path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii", errors="replace")
    except OSError as error:
        raise DatabaseUnreachable(f"{path}.lock can't be opened: {error.strerror}") from error


def _take(lock: TextIO, path: Path) -> None:
    try:
        _lock_or_raise(lock.fileno())
    except OSError as error:
        if error.errno in TAKEN:
            holder = lock.read(20).strip()
            raise DatabaseInUse(
                f"{path} is in use by {f'process {holder}' if holder.isdigit() else 'another process'}: stop that one "
                "first. Several processes at once need PostgreSQL"
            ) from None
        # Some network file systems have no such locks. SQLite's own still keep the rows consistent.
        log.warning("%s.lock can't be locked (%s): make sure that only one process uses it", path, error.strerror)


def _lock_or_raise(descriptor: int) -> None:
    """Lock the file until it is closed. Raises OSError at once when another process has locked it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, LOCKED_OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
