"""The numbers of a usage report in words."""

from __future__ import annotations

import datetime
import re

import pytest

from charts.labels import MAX_LABEL, clean_label
from charts.usage_report import (
    MAX_ALT_TEXT,
    DayUsage,
    TopEntry,
    UsageReport,
    Waits,
    count,
    describe,
    percent_made,
    seconds_text,
    short_count,
)

FIRST = datetime.date(2026, 11, 1)


def days(*made: int, failed: int = 0) -> list[DayUsage]:
    return [DayUsage(FIRST + datetime.timedelta(place), number, failed) for place, number in enumerate(made)]


def test_the_alt_text_has_all_numbers() -> None:
    day = DayUsage(FIRST, made=12, failed=3, charged=60, held=5, unknown=15)
    other = DayUsage(FIRST + datetime.timedelta(1), made=30, charged=150)
    report = UsageReport(
        [day, other], Waits(11.4, 41, 40), [TopEntry(1, 20), TopEntry(2, 15), TopEntry(3, 7)], credits_a_day=500
    )
    assert describe(report) == (
        "Usage, 2 days, 1 Nov 2026 to 2 Nov 2026: 42 images made, 3 failed (93 % success). "
        "Most on 2 Nov (30), fewest on 1 Nov (12). "
        "API credits: 210 charged, 5 held, 15 possibly charged; the limit is 500 a day. "
        "Waits: median 11 s, 95 % within 41 s (the newest 40 images). "
        "The 3 people with most images have 20, 15 and 7."
    )


def test_the_alt_text_of_one_day_compares_no_days() -> None:
    report = UsageReport(days(1), Waits(0.4, 5400, 1), [TopEntry(1, 1)], of_server=False)
    assert describe(report) == (
        "Usage, 1 Nov 2026: 1 image made, 0 failed (100 % success). "
        "API credits: 0 charged, 0 held, 0 possibly charged. "
        "Waits: median 0.4 s, 95 % within 2 h (the newest 1 image). "
        "The server with most images has 1."
    )


def test_the_alt_text_says_that_nothing_was_asked_for() -> None:
    assert describe(UsageReport(days(0, 0))) == "Usage, 2 days, 1 Nov 2026 to 2 Nov 2026: no image was asked for."


def test_images_that_are_not_finished_have_no_rate_of_success() -> None:
    text = describe(UsageReport([DayUsage(FIRST, held=5)]))
    assert "0 images made, 0 failed. " in text
    assert "5 held" in text


def test_the_alt_text_fits_whatever_the_numbers_are() -> None:
    huge = 10**30
    all_days = [DayUsage(FIRST + datetime.timedelta(n), huge, huge, huge, huge, huge) for n in range(366)]
    top = [TopEntry(number, huge) for number in range(1000)]
    report = UsageReport(all_days, Waits(1e30, 1e30, huge), top, credits_a_day=huge)
    assert len(describe(report)) <= MAX_ALT_TEXT


@pytest.mark.parametrize(
    ("number", "full", "short"),
    [
        (0, "0", "0"),
        (0.25, "0", "0.25"),
        (9_999, "9,999", "9,999"),
        (10_000, "10,000", "10k"),
        (99_999, "99,999", "100k"),
        (999_499, "999k", "999k"),
        (999_500, "1.0M", "1.0M"),
        (9_949_999, "9.9M", "9.9M"),
        (9_950_000, "10M", "10M"),
        (10**15, "1.0Q", "1.0Q"),
        (10**30, ">999Q", ">999Q"),
    ],
)
def test_numbers_are_short(number: float, full: str, short: str) -> None:
    assert (count(number), short_count(number)) == (full, short)


def test_a_failure_is_never_rounded_away() -> None:
    assert percent_made(UsageReport(days(100_000, failed=1))) == "99 %"
    assert percent_made(UsageReport(days(100_000))) == "100 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.44, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (89.4, "89 s"), (90, "2 min"), (5400, "2 h")],
)
def test_waits_are_said_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def has_latin(char: str) -> bool:
    return ord(char) < 0x250


@pytest.mark.parametrize(
    ("label", "drawn"),
    [
        ("Mira", "Mira"),
        ("$x^2$", "$x^2$"),
        ("a\nb\t c\u2028d", "a b c d"),
        ("\u202emoc.live\u2066\x00\x1b[31m\u200b", "moc.live[31m"),
        ("e\u0301", "é"),
        ("Z\u0334\u0322\u031ba\u0336\u0321lgo", "Zalgo"),
        ("😀 Otto 🎉", "Otto"),
        ("日本", ""),
        ("", ""),
        ("x" * 100_000, "x" * (MAX_LABEL - 1) + "…"),
    ],
)
def test_a_label_keeps_what_can_be_drawn_in_one_line(label: str, drawn: str) -> None:
    assert clean_label(label, has_latin) == drawn


def test_a_label_never_has_characters_that_turn_the_text_around() -> None:
    cleaned = clean_label("".join(chr(code) for code in range(0x2000, 0x2070)), lambda _: True)
    assert not re.search(r"[\u200b-\u200f\u2028-\u202e\u2060-\u206f]", cleaned)
