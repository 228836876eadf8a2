"""Format redacted records: LOG_FORMAT=text for people, json for programs. Pure but for the subject of the task.

Both take what observability.redaction.RedactingFilter leaves: texts without secrets and control characters.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from observability.correlation import SUBJECT
from observability.redaction import TRACE_INDENT

# How lines about a generation, an image, and its move from state to state begin.
_IDS = re.compile(r"(?:generation (\d+)|image (\d+)-(\d+)(?:: ([a-z]+) -> ([a-z]+))?)\b")


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00,000 INFO    logger: message`, local time, then the lines of a traceback.

    A line that does not name the subject of its task has its id in brackets at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second, self._second_text = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second, self._second_text = second, self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        time, message, subject = f"{self._second_text},{int(record.msecs):03d}", record.getMessage(), SUBJECT.get()
        line = f"{time} {record.levelname:7s} {record.name}: {message}"
        if subject is not None and str(subject.correlation_id) not in message:
            image = "" if subject.image is None else f"-{subject.image}"
            line = f"{line} [{subject.correlation_id}{image}]"
        return "\n".join(filter(None, (line, record.exc_text, record.stack_info)))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII. Fields without a value are left out; ids are strings, `image` is a number."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        fields = {
            "time": utc_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            **ids_of(message),
            "exception": _without_indent(record.exc_text),
            "stack": _without_indent(record.stack_info),
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def ids_of(message: str) -> Mapping[str, str | int | None]:
    """Return the ids that *message* begins with, and those of the subject of this task. Both may name a generation:
    a button has an interaction of its own."""
    subject, found = SUBJECT.get(), _IDS.match(message)
    generation, of_image, image, source, target = found.groups() if found else (None,) * 5
    named = generation or of_image
    ids: dict[str, str | int | None] = {}
    if subject is not None:
        own = str(subject.correlation_id)
        ids = {"correlation": own, "user": _text(subject.user_id), "guild": _text(subject.guild_id)}
        named = named or (own if subject.is_generation else None)
        if image is None and named == own:
            image = subject.image
    elif named is not None:
        ids = {"correlation": named}
    return {
        **ids,
        "generation": named,
        "image": None if image is None else int(image),
        "from": source,
        "to": target,
    }


def utc_time(seconds: float) -> str:
    """Return unix *seconds* in UTC as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _without_indent(text: str | None) -> str | None:
    return text.removeprefix(TRACE_INDENT).replace(f"\n{TRACE_INDENT}", "\n") if text else None
