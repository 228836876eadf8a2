"""Which servers count as having removed the bot: only those that were listed once, and on no list for 30 days."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hypothesis import given
from hypothesis import strategies as st

from discord_api.guild_removals import (
    DAY_MS,
    DAYS,
    NO_LOOKS,
    Judgement,
    Looks,
    dump_looks,
    is_time_to_look,
    judge,
    parse_looks,
)

NOW_MS = 1_800_000_000_000
STAYS, OTHER = 2**53 + 1, 7


def after(lists: Iterable[Collection[int]], stored: Collection[int], looks: Looks = NO_LOOKS) -> list[Judgement]:
    """Judge one list a day."""
    judged: list[Judgement] = []
    for day, listed in enumerate(lists):
        judged.append(judge(looks, stored, listed, NOW_MS + day * DAY_MS))
        looks = judged[-1].looks
    return judged


def test_a_server_is_removed_thirty_days_after_the_first_list_without_it() -> None:
    judged = after([{STAYS, OTHER}, *[{OTHER}] * (DAYS + 1)], {STAYS, OTHER})
    assert [bool(each.removed) for each in judged] == [False] * (DAYS + 1) + [True]
    assert judged[-1].removed == {STAYS}
    assert judged[-1].looks.missing == {OTHER: 0}


def test_one_list_with_the_server_begins_the_thirty_days_anew() -> None:
    lists = [{STAYS, OTHER}, *[{OTHER}] * DAYS, {STAYS, OTHER}, *[{OTHER}] * DAYS]
    judged = after(lists, {STAYS})
    assert not any(each.removed for each in judged)
    assert judged[-1].looks.missing == {STAYS: DAYS}


def test_an_empty_list_is_no_list() -> None:
    judged = after([{STAYS}, *[set()] * 100], {STAYS})
    assert judged[-1].looks == judged[0].looks == Looks(NOW_MS, {STAYS: 0})
    assert not any(each.removed for each in judged)


def test_a_server_that_was_never_listed_has_the_commands_alone_and_is_never_removed() -> None:
    judged = after([{OTHER}] * 100, {STAYS})
    assert not any(each.removed for each in judged)
    assert judged[-1].looks.missing == {}


def test_a_bot_that_did_not_run_for_months_has_seen_nothing() -> None:
    looks = judge(NO_LOOKS, {STAYS}, {STAYS, OTHER}, NOW_MS).looks
    looks = judge(looks, {STAYS}, {OTHER}, NOW_MS + DAY_MS).looks
    judged = judge(looks, {STAYS}, {OTHER}, NOW_MS + 400 * DAY_MS)
    assert judged == Judgement(Looks(NOW_MS + 400 * DAY_MS, {STAYS: 2}), frozenset())


def test_several_lists_of_one_day_count_once() -> None:
    looks = judge(NO_LOOKS, {STAYS}, {STAYS}, NOW_MS).looks
    for hour in range(24):
        assert judge(looks, {STAYS}, {OTHER}, NOW_MS + hour * DAY_MS // 24) == Judgement(looks, frozenset())
    assert judge(looks, {STAYS}, {OTHER}, NOW_MS + DAY_MS).looks.missing == {STAYS: 1}


def test_after_a_clock_went_back_lists_count_again() -> None:
    assert is_time_to_look(Looks(NOW_MS, {}), NOW_MS - 1)
    assert not is_time_to_look(Looks(NOW_MS, {}), NOW_MS)


def test_a_server_whose_settings_are_gone_is_forgotten() -> None:
    looks = Looks(NOW_MS, {STAYS: 12, OTHER: 0})
    assert judge(looks, {OTHER}, {OTHER}, NOW_MS + DAY_MS).looks.missing == {OTHER: 0}


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(0, DAYS))
def test_no_server_is_removed_that_was_on_one_of_the_last_thirty_lists(there: list[bool], before: int) -> None:
    looks = Looks(NOW_MS - DAY_MS, {STAYS: before})
    for day, each in enumerate(after([{STAYS, OTHER} if one else {OTHER} for one in there], {STAYS, OTHER}, looks)):
        if each.removed:
            assert each.removed == {STAYS}
            assert not any(there[max(0, day - DAYS) : day + 1])
            assert day >= DAYS or not any(there[: day + 1])


def test_looks_are_read_as_they_were_written() -> None:
    looks = Looks(NOW_MS, {STAYS: 3, OTHER: 0})
    assert parse_looks(dump_looks(looks)) == looks
    assert parse_looks(None) == NO_LOOKS
