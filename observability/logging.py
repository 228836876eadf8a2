"""Set up the log: its lines, uncaught exceptions and warnings are redacted. Forbid core files.

Must not know which values are secret (they are handed in) nor what the bot does.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from observability.formatters import JsonFormatter, TextFormatter
from observability.redaction import RedactingFilter, Redactor
from observability.repeats import RepeatFilter

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = logging.getLogger("qwen_imagine")

# At DEBUG these log statements with values and rows, prompts and tokens among them, and no name by which they could be
# masked (SQLAlchemy 2.0 engine/cursor.py, "Row %r").
HELD_BACK = {"sqlalchemy": logging.WARNING, "alembic": logging.WARNING}


FORMATTERS = {"text": TextFormatter, "json": JsonFormatter}


def set_up_logging(level: str, secrets: Iterable[str], form: str = "text") -> None:
    """Log one line per event to standard error, without secrets and control characters.

    *form*: a key of FORMATTERS; as text, tracebacks follow in indented lines.
    Lines marked with repeats.REPEATS are logged once a minute at most.
    """
    logging.basicConfig(level=level, handlers=[build_handler(sys.stderr, secrets, form)], force=True)
    logging.captureWarnings(True)
    for name, least in HELD_BACK.items():
        logging.getLogger(name).setLevel(least)
    # asyncio needs no hook: its own handler writes to the logger "asyncio".
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def build_handler(stream: TextIO, secrets: Iterable[str], form: str = "text") -> logging.Handler:
    """Build the handler that writes to *stream*. *form*: as for set_up_logging()."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[form]())
    handler.addFilter(RepeatFilter())  # first: it compares lines before values are put in
    handler.addFilter(RedactingFilter(Redactor(secrets)))
    return handler


def forbid_core_files() -> bool:
    """Let a crash of this process leave no core file, which would hold every secret. Return whether that could be set;
    Windows has no such limit and writes none by itself."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return True
    return False


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("ended by a fault that nobody handled", exc_info=(kind, error, trace))


def _log_thread(fault: threading.ExceptHookArgs) -> None:
    error = fault.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = fault.thread.name if fault.thread is not None else "?"
        log.critical("a thread (%s) ended by a fault", name, exc_info=(type(error), error, fault.exc_traceback))


def _log_unraisable(fault: UnraisableHookArgs) -> None:
    error = fault.exc_value
    if error is not None:
        trace = (type(error), error, fault.exc_traceback)
        log.error("a fault where none can be raised: %s", fault.err_msg or "in a finalizer", exc_info=trace)
