"""Leave out log lines that a fault repeats many times a second. Pure: time comes with each line.

A line is left out only where its logging call says so: `log.warning("...", extra=REPEATS)`. Lines that are logged once
per image or request are not marked. Warnings and errors of LIBRARIES count as marked: discord.py has one a try.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass, field

REPEATS = {"repeats": True}  # `extra` of a logging call: the line may be left out when it repeats
LIBRARIES = ("discord", "aiohttp", "asyncio")  # the first words of their loggers' names
QUIET_SECONDS = 60.0
KEYS_MAX = 1_000


@dataclass(slots=True)
class _Logged:
    at: float
    left_out: int = 0


@dataclass(slots=True)
class Repeats:
    """Decide which lines are logged: a new one at once, a repeated one at most every QUIET_SECONDS."""

    logged: dict[Hashable, _Logged] = field(default_factory=dict[Hashable, _Logged])

    def ending(self, key: Hashable, now: float) -> str | None:
        """Return what to append to a line of *key*: "", or how many were left out before it; None: leave it out too.

        *now*: in seconds. After the clock was set back, the line counts as new.
        """
        last = self.logged.get(key)
        if last is not None and 0 <= now - last.at < QUIET_SECONDS:
            last.left_out += 1
            return None
        if len(self.logged) >= KEYS_MAX:
            self.logged.clear()
        self.logged[key] = _Logged(now)
        if last is None or not last.left_out:
            return ""
        minutes = round((now - last.at) / 60)
        return f" ({last.left_out} more in the last {'minute' if minutes <= 1 else f'{minutes} minutes'})"


class RepeatFilter(logging.Filter):
    """Drops repeated lines that are marked with REPEATS, and appends their number to the next one. Put it on a handler.

    Lines are equal when logger, level, the first line of the format string, and the exception's class, file and line
    are equal. asyncio has no format string, and details in its further lines. A format string that begins with a value,
    such as "%s; the next try comes in %.0f s", has its words there, so that value counts too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        if not (getattr(record, "repeats", False) or _is_of_library(record)):
            return True
        key = (record.name, record.levelno, *_words_of(record), _fault_of(record))
        ending = self._repeats.ending(key, record.created)
        if ending:
            record.msg = f"{record.msg}{ending}"
        return ending is not None


def _is_of_library(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING and record.name.partition(".")[0] in LIBRARIES


def _words_of(record: logging.LogRecord) -> tuple[str, ...]:
    words = str(record.msg).partition("\n")[0]
    if words.startswith("%s") and isinstance(record.args, tuple) and record.args:
        return words, str(record.args[0])
    return (words,)


def _fault_of(record: logging.LogRecord) -> Hashable:
    """Return the class of the exception logged with *record*, and the file and line that raised it."""
    if not record.exc_info:
        return None
    kind, _, trace = record.exc_info
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return kind, None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
