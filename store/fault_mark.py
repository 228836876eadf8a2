"""Keep a mark, `<file>.reported`, beside a SQLite file that can't be used, so that restarts don't report it again.

A supervisor starts the process again and again meanwhile.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from store.address import parse_database_url
from store.sqlite_file import real_path

QUIET_MS = 6 * 3_600_000


def note_report(address: str, now_ms: int) -> bool:
    """Note that the fault is reported now. Return False where it must not be: it was reported within QUIET_MS, the mark
    can't be written, or *address* is a PostgreSQL server, beside which there is no file.
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


def forget_report(address: str) -> None:
    """Delete the mark, since the file can be used: the next fault is reported at once."""
    mark = _mark(address)
    if mark is not None:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _mark(address: str) -> Path | None:
    url = parse_database_url(address)
    return Path(f"{real_path(Path(str(url.database)))}.reported") if url.get_backend_name() == "sqlite" else None
