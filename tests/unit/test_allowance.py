"""Periods by the wall clock: they have no gaps and no overlaps in any time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits.allowance import Allowance, CreditPeriod, Window

# Zones with half and three-quarter hours, half-hour summer time, midnight gaps, a skipped day, and none of these.
ODD_ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Asia/Gaza",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Antarctica/Troll",
]
ENDING_PERIODS = [period for period in CreditPeriod if period is not CreditPeriod.NEVER]
HOUR_MS = 3_600_000
moments = st.integers(min_value=0, max_value=4_100_000_000_000)  # 1970 to 2099
allowances = st.builds(
    Allowance, st.just(50), st.sampled_from(ENDING_PERIODS), st.sampled_from(ODD_ZONES).map(ZoneInfo)
)


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def window(period: CreditPeriod, now_ms: int, zone: str = "UTC") -> Window:
    return Allowance(50, period, ZoneInfo(zone)).window(now_ms)


@given(allowances, moments)
def test_a_window_includes_its_start_and_excludes_its_end(allowance: Allowance, now_ms: int) -> None:
    found = allowance.window(now_ms)
    assert found.ends_at_ms is not None
    assert found.starts_at_ms <= now_ms < found.ends_at_ms
    assert allowance.window(found.starts_at_ms) == found == allowance.window(found.ends_at_ms - 1)
    assert allowance.window(found.ends_at_ms).starts_at_ms == found.ends_at_ms
    assert allowance.window(found.starts_at_ms - 1).ends_at_ms == found.starts_at_ms


@given(st.sampled_from(ODD_ZONES), st.integers(min_value=2000, max_value=2037))
def test_the_days_of_a_year_touch_each_other_and_begin_with_a_new_date(zone: str, year: int) -> None:
    allowance = Allowance(50, CreditPeriod.DAY, ZoneInfo(zone))
    now_ms, seen = at(f"{year}-01-01T12:00", zone), []
    for _ in range(370):
        found = allowance.window(now_ms)
        first, before = (
            datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone)).date()
            for ms in (found.starts_at_ms, found.starts_at_ms - 1)
        )
        assert first > before
        seen.append(found)
        assert found.ends_at_ms is not None
        now_ms = found.ends_at_ms
    assert all(one.ends_at_ms == other.starts_at_ms for one, other in pairwise(seen))


@pytest.mark.parametrize(
    ("period", "starts", "ends"),
    [
        (CreditPeriod.HOUR, "2026-07-15T13:00", "2026-07-15T14:00"),
        (CreditPeriod.DAY, "2026-07-15T00:00", "2026-07-16T00:00"),
        (CreditPeriod.WEEK, "2026-07-13T00:00", "2026-07-20T00:00"),
        (CreditPeriod.MONTH, "2026-07-01T00:00", "2026-08-01T00:00"),
    ],
)
def test_periods_begin_at_the_full_hour_midnight_monday_or_first_of_month(
    period: CreditPeriod, starts: str, ends: str
) -> None:
    zone = "Asia/Kathmandu"  # UTC+05:45
    assert window(period, at("2026-07-15T13:37", zone), zone) == Window(at(starts, zone), at(ends, zone))


def test_the_day_clocks_go_forward_has_23_hours_and_the_day_they_go_back_25() -> None:
    for noon, hours in (("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25), ("2026-06-01T12:00", 24)):
        found = window(CreditPeriod.DAY, at(noon, "Europe/Berlin"), "Europe/Berlin")
        assert found.ends_at_ms == found.starts_at_ms + hours * HOUR_MS


def test_a_day_without_midnight_begins_at_the_clock_change() -> None:
    found = window(CreditPeriod.DAY, at("2018-11-04T12:00", "America/Sao_Paulo"), "America/Sao_Paulo")
    assert found.starts_at_ms == at("2018-11-04T03:00")  # 00:00 became 01:00


def test_an_hour_without_a_start_begins_at_the_clock_change() -> None:
    zone, jump_ms = "America/St_Johns", at("2010-03-14T03:31")  # 00:01 became 01:01
    assert window(CreditPeriod.HOUR, jump_ms - 1, zone) == Window(jump_ms - 60_000, jump_ms)
    assert window(CreditPeriod.HOUR, jump_ms, zone) == Window(jump_ms, jump_ms + HOUR_MS - 60_000)


@pytest.mark.parametrize("period", [CreditPeriod.HOUR, CreditPeriod.DAY])
def test_a_day_with_two_midnights_begins_at_the_first(period: CreditPeriod) -> None:
    zone, back_ms = "America/St_Johns", at("2010-11-07T02:31")  # 00:01 became 23:01 of the day before
    midnight_ms = back_ms - 60_000
    ends_at_ms = at("2010-11-07T01:00", zone) if period is CreditPeriod.HOUR else at("2010-11-08T00:00", zone)
    for now_ms in (midnight_ms, back_ms, back_ms + HOUR_MS // 2, back_ms + HOUR_MS):
        assert window(period, now_ms, zone) == Window(midnight_ms, ends_at_ms)
    assert window(period, midnight_ms - 1, zone).ends_at_ms == midnight_ms


@pytest.mark.parametrize(("day", "period"), [("2026-07-20", CreditPeriod.WEEK), ("2026-02-01", CreditPeriod.MONTH)])
def test_a_period_begins_at_midnight_sharp_and_ends_at_the_next_ones(day: str, period: CreditPeriod) -> None:
    ends = {CreditPeriod.WEEK: "2026-07-27", CreditPeriod.MONTH: "2026-03-01"}
    for now_ms in (at(day), at(ends[period]) - 1):
        assert window(period, now_ms) == Window(at(day), at(ends[period]))


def test_a_day_that_is_left_out_has_no_window() -> None:
    found = window(CreditPeriod.DAY, at("2011-12-29T12:00", "Pacific/Apia"), "Pacific/Apia")
    assert found.ends_at_ms == at("2011-12-31T00:00", "Pacific/Apia")


def test_never_is_one_window_without_an_end() -> None:
    assert window(CreditPeriod.NEVER, at("2026-07-15T13:37")) == Window(0, None)


def test_an_allowance_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="below zero"):
        Allowance(-1, CreditPeriod.DAY, ZoneInfo("UTC"))
