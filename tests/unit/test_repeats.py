"""Repeated lines of the log: the first at once, then one a minute with the number that was left out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from observability.repeats import KEYS_MAX, REPEATS, RepeatFilter, Repeats


def test_a_repeated_line_is_logged_once_a_minute_with_the_number_left_out() -> None:
    repeats = Repeats()
    said = [repeats.ending("lost", float(second)) for second in range(61)]
    assert said[0] == ""
    assert said[1:60] == [None] * 59
    assert said[60] == " (59 more in the last minute)"
    assert repeats.ending("lost", 119.0) is None
    assert repeats.ending("lost", 120.0) == " (1 more in the last minute)"


def test_a_rare_line_is_logged_each_time() -> None:
    repeats = Repeats()
    assert [repeats.ending("lost", now) for now in (0.0, 60.0, 3600.0)] == ["", "", ""]


def test_lines_left_out_long_ago_are_counted_with_the_time_since() -> None:
    repeats = Repeats()
    assert [repeats.ending("lost", now) for now in (0.0, 1.0, 2.0, 3600.0, 3601.0, 3720.0)] == [
        "", None, None, " (2 more in the last 60 minutes)", None, " (1 more in the last 2 minutes)",
    ]  # fmt: skip


def test_one_line_does_not_suppress_another() -> None:
    repeats = Repeats()
    assert [repeats.ending(key, 0.0) for key in ("lost", "failed", "lost")] == ["", "", None]


def test_a_clock_set_back_suppresses_no_line() -> None:
    repeats = Repeats()
    assert [repeats.ending("lost", now) for now in (1000.0, 10.0)] == ["", ""]


def test_the_number_of_remembered_lines_is_limited() -> None:
    repeats = Repeats()
    for number in range(3 * KEYS_MAX):
        repeats.ending(number, 0.0)
        assert len(repeats.logged) <= KEYS_MAX


class Lines(logging.Handler):
    """A handler that keeps the formatted lines."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(RepeatFilter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def record_of(words: str, *values: object, at: float, repeats: bool) -> logging.LogRecord:
    record = logging.LogRecord("qwen_imagine.worker", logging.WARNING, __file__, 1, words, values, None)
    record.created = at
    if repeats:
        record.__dict__.update(REPEATS)
    return record


def test_lines_that_differ_in_values_count_as_the_same() -> None:
    lines = Lines()
    for second in range(62):
        lines.handle(record_of("generation %s: 100%% lost", second, at=second, repeats=True))
    assert lines.texts == ["generation 0: 100% lost", "generation 60: 100% lost (59 more in the last minute)"]


def test_lines_with_different_words_do_not_suppress_each_other() -> None:
    lines = Lines()
    for words in ("the round failed", "the poll failed", "the round failed"):
        lines.handle(record_of(words, at=0.0, repeats=True))
    assert lines.texts == ["the round failed", "the poll failed"]


def test_a_fault_that_the_line_begins_with_does_not_suppress_another_one() -> None:
    lines = Lines()
    for fault in ("the disk is full", "the file is locked", "the disk is full"):
        lines.handle(record_of("%s; the next try comes in %.0f s", RuntimeError(fault), 1.0, at=0.0, repeats=True))
    assert lines.texts == [f"the {each}; the next try comes in 1 s" for each in ("disk is full", "file is locked")]


def test_the_same_exception_from_another_place_is_logged_at_once() -> None:
    lines = Lines()
    for fault in (raised_by(fail), raised_by(fail), raised_by(fail_elsewhere), raised_by(fail), RuntimeError()):
        record = record_of("the round failed", at=0.0, repeats=True)
        record.exc_info = (type(fault), fault, fault.__traceback__)
        lines.handle(record)
    assert lines.texts == ["the round failed"] * 3, "by fail, by fail_elsewhere, and one that was never raised"


def raised_by(failing: Callable[[], None]) -> Exception:
    try:
        failing()
    except RuntimeError as error:
        return error
    raise AssertionError


def fail() -> None:
    raise RuntimeError("one")


def fail_elsewhere() -> None:
    raise RuntimeError("other")


def test_an_unmarked_line_is_logged_each_time() -> None:
    lines = Lines()
    for second in range(5):
        lines.handle(record_of("image %s is there", second, at=second, repeats=False))
    assert len(lines.texts) == 5


@pytest.mark.parametrize(
    ("name", "level", "lines"),
    [
        *[("discord.http", logging.WARNING, 2), ("asyncio", logging.ERROR, 2), ("aiohttp.client", logging.ERROR, 2)],
        *[
            ("discord.http", logging.INFO, 62),
            ("qwen_imagine.web", logging.ERROR, 62),
            ("discordant", logging.ERROR, 62),
        ],
    ],
)
def test_warnings_of_libraries_count_as_marked_and_no_other_lines(name: str, level: int, lines: int) -> None:
    kept = Lines()
    for second in range(62):
        record = record_of(f"never retrieved\nfuture: {second}", at=second, repeats=False)
        record.name, record.levelno = name, level
        kept.handle(record)
    assert len(kept.texts) == lines
    assert lines == 62 or kept.texts[1] == "never retrieved\nfuture: 60 (59 more in the last minute)"
