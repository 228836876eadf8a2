"""Remember across starts that the owner was told of a SQLite file that can't be used: a mark, `<file>.told`, beside it.

A supervisor starts the process again and again meanwhile.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from store.address import parse_database_url
from store.sqlite_file import real_path

QUIET_MS = 6 * 3_600_000


def note_telling(address: str, now_ms: int) -> bool:
    """Whether the owner may be told now, which is noted. False: it was within six hours, or the mark can't be written.

    Also False for PostgreSQL, which has no folder here.
    """
    mark = _mark(address)
    if mark is None:
        return False
    with suppress(OSError, ValueError):
        if 0 <= now_ms - int(mark.read_text("ascii")) < QUIET_MS:
            return False
    try:
        with open(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(str(now_ms))
    except OSError:
        return False
    return True


def forget_telling(address: str) -> None:
    """The file can be used again: the next fault is told at once."""
    mark = _mark(address)
    if mark is not None:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _mark(address: str) -> Path | None:
    url = parse_database_url(address)
    return Path(f"{real_path(Path(str(url.database)))}.told") if url.get_backend_name() == "sqlite" else None
