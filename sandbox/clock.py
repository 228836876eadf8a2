"""The sandbox's wall clock: the machine's own time plus an offset that the panel can move forward.

The bot process follows the same clock by reading the offset's file (see clock_shim/sitecustomize.py). Durations are
monotonic time and never come from this clock.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

LONGEST_JUMP_SECONDS = 366 * 24 * 3600


class Clock(Protocol):
    """Unix time in milliseconds. The sandbox's clock can jump forward; ids, deadlines and signatures follow it."""

    def now_ms(self) -> int: ...


def system_now_ms() -> int:
    """Return the machine's own unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class SandboxClock:
    """A clock that only moves forward: `now_ms()` is the machine's time plus `offset_ms`.

    *offset_file*: keeps the offset (milliseconds, as decimal text) for the bot process and for the next run in the same
    data folder, so that time never goes backwards for its database. Raises OSError when it holds no number.
    """

    def __init__(self, offset_file: Path | None = None, *, real_now_ms: Callable[[], int] = system_now_ms) -> None:
        self._real_now_ms = real_now_ms
        self._offset_file = offset_file
        self._offset_ms = 0 if offset_file is None else _read_offset(offset_file)
        self._save()

    @property
    def offset_ms(self) -> int:
        return self._offset_ms

    def now_ms(self) -> int:
        return self._real_now_ms() + self._offset_ms

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raises ValueError for a step that is not above 0 and at most 366 days."""
        if not 0 < seconds <= LONGEST_JUMP_SECONDS:
            raise ValueError("The clock moves forward only, by more than 0 seconds and at most 366 days at a time.")
        self._offset_ms += round(seconds * 1000)
        self._save()

    def _save(self) -> None:
        if self._offset_file is None:
            return
        draft = self._offset_file.with_suffix(".draft")
        draft.write_text(str(self._offset_ms), "ascii")
        os.replace(draft, self._offset_file)


def _read_offset(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        return int(path.read_bytes())
    except ValueError:
        raise OSError(errno.EINVAL, "does not hold a number of milliseconds", str(path)) from None
