"""The product's log while a block runs, as its own handler writes it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from observability.logging import build_handler
from tests.doubles import ManualClock

MOVE = re.compile(r"image (\d+-\d+): ([a-z]+) -> ([a-z]+) \((.+)\)")
MORE = re.compile(r"\((\d+) more in the last (?:minute|\d+ minutes)\)$")
Moves = list[tuple[str, str, str]]


class CapturedLog:
    """The product's log as JSON, with the times of *clock*."""

    def __init__(self, clock: ManualClock) -> None:
        self._stream, self._clock = io.StringIO(), clock
        self.handler = build_handler(self._stream, (), "json")
        self.handler.filters.insert(0, self._set_time)

    def _set_time(self, record: logging.LogRecord) -> bool:
        record.created = self._clock.now_ms() / 1000
        return True

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines()]

    def moves(self) -> Moves:
        """The moves it tells of, after a check of their lines."""
        told = [line for line in self.lines() if "to" in line]
        for line in told:
            assert line["level"] == "INFO" and line["generation"], line
            assert MOVE.fullmatch(line["message"]), line
        return [(f"{line['generation']}-{line['image']}", line["from"], line["to"]) for line in told]

    def counted(self, words: str) -> int:
        """How often a line with *words* was to be logged, up to the last one that was: lines, and those left out."""
        found = [message for message in self.messages() if words in message]
        return len(found) + sum(int(more[1]) for message in found if (more := MORE.search(message)))


@contextmanager
def captured_log(clock: ManualClock, *names: str, level: int = logging.INFO) -> Generator[CapturedLog]:
    """Capture what the loggers with *names* log from *level* on."""
    made = CapturedLog(clock)
    loggers = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    for logger, _ in loggers:
        logger.setLevel(level)
        logger.addHandler(made.handler)
    try:
        yield made
    finally:
        for logger, before in loggers:
            logger.removeHandler(made.handler)
            logger.setLevel(before)
