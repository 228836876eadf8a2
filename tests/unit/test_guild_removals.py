"""Which servers count as having removed the bot: only those that were missing on every day for 30 days."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hypothesis import given
from hypothesis import strategies as st

from discord_api.guild_removals import (
    DAY_MS,
    DAYS,
    NEVER_COUNTED,
    Absences,
    Count,
    count_day,
    dump_absences,
    is_count_due,
    parse_absences,
)

NOW_MS = 1_800_000_000_000
STAYS, OTHER = 2**53 + 1, 7


def after(there: Iterable[Collection[int]], stored: Collection[int], absences: Absences = NEVER_COUNTED) -> list[Count]:
    """Count one day after another."""
    counts: list[Count] = []
    for day, found in enumerate(there):
        counts.append(count_day(absences, stored, found, NOW_MS + day * DAY_MS))
        absences = counts[-1].absences
    return counts


def test_a_server_is_removed_thirty_days_after_the_first_day_without_it() -> None:
    counts = after([{STAYS, OTHER}, *[{OTHER}] * (DAYS + 1)], {STAYS, OTHER})
    assert [bool(each.removed) for each in counts] == [False] * (DAYS + 1) + [True]
    assert counts[-1].removed == {STAYS}
    assert counts[-1].absences.days == {OTHER: 0}


def test_one_day_with_the_server_begins_the_thirty_days_anew() -> None:
    counts = after([{STAYS, OTHER}, *[{OTHER}] * DAYS, {STAYS, OTHER}, *[{OTHER}] * DAYS], {STAYS})
    assert not any(each.removed for each in counts)
    assert counts[-1].absences.days == {STAYS: DAYS}


def test_a_bot_that_did_not_run_for_months_has_counted_nothing() -> None:
    absences = count_day(NEVER_COUNTED, {STAYS}, {STAYS}, NOW_MS).absences
    absences = count_day(absences, {STAYS}, {}, NOW_MS + DAY_MS).absences
    counted = count_day(absences, {STAYS}, {}, NOW_MS + 400 * DAY_MS)
    assert counted == Count(Absences(NOW_MS + 400 * DAY_MS, {STAYS: 2}), frozenset())


def test_several_answers_of_one_day_count_once() -> None:
    absences = count_day(NEVER_COUNTED, {STAYS}, {STAYS}, NOW_MS).absences
    for hour in range(24):
        assert count_day(absences, {STAYS}, {}, NOW_MS + hour * DAY_MS // 24) == Count(absences, frozenset())
    assert count_day(absences, {STAYS}, {}, NOW_MS + DAY_MS).absences.days == {STAYS: 1}


def test_after_a_clock_went_back_days_count_again() -> None:
    assert is_count_due(Absences(NOW_MS, {}), NOW_MS - 1)
    assert not is_count_due(Absences(NOW_MS, {}), NOW_MS)


def test_a_server_whose_settings_are_gone_is_forgotten() -> None:
    absences = Absences(NOW_MS, {STAYS: 12, OTHER: 0})
    assert count_day(absences, {OTHER}, {OTHER}, NOW_MS + DAY_MS).absences.days == {OTHER: 0}


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(0, DAYS))
def test_no_server_is_removed_that_was_there_on_one_of_the_last_thirty_days(there: list[bool], before: int) -> None:
    absences = Absences(NOW_MS - DAY_MS, {STAYS: before})
    for day, each in enumerate(after([{STAYS} if one else set() for one in there], {STAYS}, absences)):
        if each.removed:
            assert each.removed == {STAYS}
            assert not any(there[max(0, day - DAYS) : day + 1])
            assert day >= DAYS or not any(there[: day + 1])


def test_absences_are_read_as_they_were_written() -> None:
    absences = Absences(NOW_MS, {STAYS: 3, OTHER: 0})
    assert parse_absences(dump_absences(absences)) == absences
    assert parse_absences(None) == NEVER_COUNTED
