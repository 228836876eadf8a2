"""Leave out log lines that a fault repeats many times a second. Pure: time comes with each line.

A line is left out only where its logging call says so: `log.warning("...", extra=REPEATS)`. Lines that are said once
for an image or a request are not marked.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass, field

REPEATS = {"repeats": True}  # `extra` of a logging call: this line may come again and again
QUIET_SECONDS = 60.0
KEYS_MAX = 1_000


@dataclass(slots=True)
class _Said:
    at: float
    left_out: int = 0


@dataclass(slots=True)
class Repeats:
    """Say a line at once when it is new, then at most every QUIET_SECONDS."""

    said: dict[Hashable, _Said] = field(default_factory=dict[Hashable, _Said])

    def ending(self, key: Hashable, now: float) -> str | None:
        """What to add to a line of *key*: nothing, or how many were left out before it. None: leave it out too.

        *now*: in seconds. A clock that was set back makes the line new.
        """
        last = self.said.get(key)
        if last is not None and 0 <= now - last.at < QUIET_SECONDS:
            last.left_out += 1
            return None
        if len(self.said) >= KEYS_MAX:
            self.said.clear()
        self.said[key] = _Said(now)
        if last is None or not last.left_out:
            return ""
        minutes = round((now - last.at) / 60)
        return f" ({last.left_out} more in the last {'minute' if minutes <= 1 else f'{minutes} minutes'})"


class RepeatFilter(logging.Filter):
    """Belongs on a handler. Drops repeated lines that are marked with REPEATS, and says how many in the next one.

    Lines are the same when logger, level and words before their values are put in are the same, and an exception's
    class and the file and line that raised it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(record, "repeats", False):
            return True
        fault = _fault_of(record)
        ending = self._repeats.ending((record.name, record.levelno, str(record.msg), fault), record.created)
        if ending:
            record.msg = f"{record.msg}{ending}"
        return ending is not None


def _fault_of(record: logging.LogRecord) -> Hashable:
    """The class of the exception that is told with *record*, and the file and line that raised it."""
    if not record.exc_info:
        return None
    kind, _, trace = record.exc_info
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return kind, None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
