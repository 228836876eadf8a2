"""The credits of a period, and when periods begin. Pure; knows no database and no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CreditPeriod(StrEnum):
    """How often accounts are refilled; the values are those of CREDIT_PERIOD."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Window:
    """One period, in unix milliseconds: from its first moment to the first moment of the next."""

    starts_at_ms: int
    ends_at_ms: int | None  # None: it never ends


@dataclass(frozen=True, slots=True)
class Allowance:
    """What everybody may spend in one period. Periods begin by the wall clock of *timezone*."""

    credits: int
    period: CreditPeriod
    timezone: ZoneInfo

    def __post_init__(self) -> None:
        if self.credits < 0:
            raise ValueError("An allowance can't be below zero.")

    def window(self, now_ms: int) -> Window:
        """Return the period that *now_ms* falls into.

        A period has a local name (this hour, this day, the week of this Monday, this month) and lasts from the first
        moment at which the local clock reaches that name until it reaches the next one. So there are no gaps and no
        overlaps, also where clocks are put back (that hour has two hours) or a whole day is left out (no window).
        """
        if self.period is CreditPeriod.NEVER:
            return Window(0, None)
        name = _floor(self._local(now_ms), self.period)
        while self._first_moment(name) > now_ms:  # the clock was put back over the name's beginning
            name = _floor(name - timedelta(hours=1), self.period)
        while (ends_at_ms := self._first_moment(_next(name, self.period))) <= now_ms:
            name = _next(name, self.period)
        return Window(self._first_moment(name), ends_at_ms)

    def _local(self, at_ms: int) -> datetime:
        """Return the local wall clock time, without a zone."""
        return (EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.timezone).replace(tzinfo=None)

    def _first_moment(self, name: datetime) -> int:
        """Return when the local clock first shows *name* or later, in unix milliseconds."""
        before, after = (self._reading(name, fold) for fold in (0, 1))
        if self._local(before) == name:
            return before
        early, late = after, before  # *name* is left out when clocks are put forward: bisect
        while late - early > 1:
            middle = (early + late) // 2
            if self._local(middle) >= name:
                late = middle
            else:
                early = middle
        return late

    def _reading(self, name: datetime, fold: int) -> int:
        """Return *name* as unix milliseconds, with the offset before (fold 0) or after (fold 1) a change of the clock,
        PEP 495."""
        return (name.replace(tzinfo=self.timezone, fold=fold) - EPOCH) // timedelta(milliseconds=1)


def _floor(local: datetime, period: CreditPeriod) -> datetime:
    if period is CreditPeriod.HOUR:
        return local.replace(minute=0, second=0, microsecond=0)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if period is CreditPeriod.WEEK:
        return midnight - timedelta(days=midnight.weekday())
    if period is CreditPeriod.MONTH:
        return midnight.replace(day=1)
    return midnight


def _next(name: datetime, period: CreditPeriod) -> datetime:
    """Return the name of the period after *name*."""
    longest = {CreditPeriod.HOUR: timedelta(hours=1), CreditPeriod.DAY: timedelta(days=1)}
    longest |= {CreditPeriod.WEEK: timedelta(days=7), CreditPeriod.MONTH: timedelta(days=31)}
    return _floor(name + longest[period], period)
