"""Fixtures of the tests of hostile input: a virtual Discord on each database, and the captured log."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from observability.logging import FORMATTERS, HELD_BACK
from observability.redaction import RedactingFilter, Redactor
from store.database import Database
from tests.cogs.scene import Scene, open_scene


@dataclass
class CapturedLog:
    """The log of all libraries at DEBUG level, after the product's redaction."""

    stream: io.StringIO

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def faults(self) -> list[str]:
        """Return the lines at ERROR and above."""
        return [line for line in self.text.split("\n") if re.match(r"\S+ \S+ (ERROR|CRITICAL) ", line)]

    def assert_well_formed(self) -> None:
        """Assert that each line starts as a log line or belongs to a traceback, and has no control characters."""
        for line in self.text.rstrip("\n").split("\n"):
            assert line.startswith("    ") or re.match(r"[\d-]+ [\d:,]+ [A-Z]+ +[\w.]+: ", line), line[:200]
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", line), line[:200]
            assert " forged: " not in line[:80]


@pytest.fixture
def captured_log() -> Iterator[CapturedLog]:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(FORMATTERS["text"]())
    handler.addFilter(RedactingFilter(Redactor()))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name, least in HELD_BACK.items():
        logging.getLogger(name).setLevel(least)
    yield CapturedLog(handler.stream)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """A virtual Discord over each database in turn, with credits for all requests."""
    async with open_scene(database, allowance=10**6, max_queue=10**5) as opened:
        yield opened
