"""What was used on some days, by a server or by all, and the same in words. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

MAX_ALT_TEXT = 1024  # characters; Discord docs, Reference, "Attachment Object", description
SECONDS_IN_FULL = 90  # below it a time is written in seconds, then in minutes and hours


@dataclass(frozen=True, slots=True)
class Waits:
    """How long people waited for an image, from the request until it was ready. *images*: how many were measured."""

    median_seconds: float
    p95_seconds: float
    images: int


@dataclass(frozen=True, slots=True)
class DayUsage:
    """One day of the operator. Credits are those of the image API. *waits* None: nothing was measured."""

    date: datetime.date
    made: int = 0
    failed: int = 0  # without those that were cancelled
    charged: int = 0
    held: int = 0
    unknown: int = 0  # may have been charged
    waits: Waits | None = None

    @property
    def images(self) -> int:
        return self.made + self.failed

    @property
    def credits(self) -> int:
        return self.charged + self.held + self.unknown


@dataclass(frozen=True, slots=True)
class TopEntry:
    """One of those for whom most images were made: a person, or in the report of the whole bot a server."""

    id: int
    made: int


@dataclass(frozen=True, slots=True)
class UsageReport:
    """*days*: without a gap, oldest first, at least one. *waits*: of all days that were measured.

    *top*: most first; people if *of_server*, else servers. *credits_a_day*: the operator's limit, 0: none.
    """

    days: Sequence[DayUsage]
    waits: Waits | None = None
    top: Sequence[TopEntry] = ()
    of_server: bool = True
    credits_a_day: int = 0

    @property
    def made(self) -> int:
        return sum(day.made for day in self.days)

    @property
    def failed(self) -> int:
        return sum(day.failed for day in self.days)

    @property
    def is_empty(self) -> bool:
        return not any(day.images or day.credits for day in self.days)


def describe(report: UsageReport) -> str:
    """Return the numbers as one paragraph for the alt text, without names, at most MAX_ALT_TEXT characters."""
    if report.is_empty:
        return f"Usage, {span(report)}: no image was asked for."
    sentences = [
        f"Usage, {span(report)}: {count(report.made)} {_plural('image', report.made)} made, "
        f"{count(report.failed)} failed{_success(report)}.",
        *_extremes(report),
        _credits(report),
        *_waits(report.waits),
        *_top(report),
    ]
    return " ".join(sentences)


def span(report: UsageReport) -> str:
    """For example "30 days, 31 Oct 2026 to 29 Nov 2026"."""
    first, last = report.days[0].date, report.days[-1].date
    if first == last:
        return date_text(last, year=True)
    return f"{len(report.days)} days, {date_text(first, year=True)} to {date_text(last, year=True)}"


def date_text(date: datetime.date, *, year: bool = False) -> str:
    """For example "3 Nov", with *year* "3 Nov 2026"; the same in every locale of the system."""
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][date.month - 1]
    return f"{date.day} {month} {date.year}" if year else f"{date.day} {month}"


def count(number: float) -> str:
    """Return a number in full up to 99,999, then rounded: 123k, 1.2M, 35B."""
    return f"{number:,.0f}" if abs(number) < 100_000 else short_count(number)


def short_count(number: float) -> str:
    """Return a number that is not negative in at most 5 characters: 0.25, 9,999, 12k, 1.2M, >999Q."""
    if number < 9_999.5:
        return f"{number:,.0f}" if number == round(number) else f"{number:.3g}"
    for power, ending in enumerate("kMBTQ", 1):
        scaled = number / 1000**power
        if scaled < 999.5:
            return f"{scaled:.1f}{ending}" if scaled < 9.95 else f"{scaled:.0f}{ending}"
    return ">999Q"


def seconds_text(seconds: float) -> str:
    """For example 0.4 s, 14 s, 3 min, 2.5 h."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < SECONDS_IN_FULL:
        return f"{seconds:.0f} s"
    if seconds < SECONDS_IN_FULL * 60:
        return f"{seconds / 60:.0f} min"
    return f"{count(round(seconds / 3600))} h"


def percent_made(report: UsageReport) -> str | None:
    """For example "97 %"; 100 % only if none failed. None: no image has ended."""
    ended = report.made + report.failed
    if not ended:
        return None
    percent = round(100 * report.made / ended)
    return f"{min(percent, 99) if report.failed else percent} %"


def _success(report: UsageReport) -> str:
    percent = percent_made(report)
    return f" ({percent} success)" if percent else ""


def _extremes(report: UsageReport) -> list[str]:
    if len(report.days) == 1:
        return []
    best = max(report.days, key=lambda day: day.made)
    worst = min(report.days, key=lambda day: day.made)
    return [
        f"Most on {date_text(best.date)} ({count(best.made)}), fewest on {date_text(worst.date)} ({count(worst.made)})."
    ]


def _credits(report: UsageReport) -> str:
    charged, held, unknown = (sum(getattr(day, name) for day in report.days) for name in ("charged", "held", "unknown"))
    limit = f"; the limit is {count(report.credits_a_day)} a day" if report.credits_a_day else ""
    return f"API credits: {count(charged)} charged, {count(held)} held, {count(unknown)} possibly charged{limit}."


def _waits(waits: Waits | None) -> list[str]:
    if waits is None:
        return []
    return [
        f"Waits: median {seconds_text(waits.median_seconds)}, 95 % within {seconds_text(waits.p95_seconds)} "
        f"(the newest {count(waits.images)} {_plural('image', waits.images)})."
    ]


def _top(report: UsageReport) -> list[str]:
    if not report.top:
        return []
    one, several = ("person", "people") if report.of_server else ("server", "servers")
    images = [count(entry.made) for entry in report.top[:10]]
    listed = f"{', '.join(images[:-1])} and {images[-1]}" if len(images) > 1 else images[0]
    who = f"The {len(images)} {several} with most images have" if len(images) > 1 else f"The {one} with most images has"
    return [f"{who} {listed}."]


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
