"""Let one process at a time use a SQLite file: an OS lock on `<file>.lock`, held until the process ends.

The lock goes with the process, however that ends; the lock file stays and means nothing by itself.
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
BEHIND_THE_TEXT = 1 << 20  # Windows lets nobody read bytes that are locked, so one is locked that isn't there


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
    """Beside the file itself, whatever links lead to it: one file has one lock."""
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
        # Some network file systems know no such locks. SQLite's own still keep the rows whole.
        log.warning("%s.lock can't be locked (%s): make sure that only one process uses it", path, error.strerror)


def _lock_or_raise(descriptor: int) -> None:
    """Lock it for as long as it is open. Raises OSError at once when somebody else has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, BEHIND_THE_TEXT, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
