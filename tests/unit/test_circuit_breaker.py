"""Breaker: while Discord is away one call at a time is let through; the others are put off and return one by one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.delivery.circuit_breaker import (
    AWAY_AFTER,
    FORGOTTEN_SECONDS,
    INVITED_SECONDS,
    SPACING_MAX_SECONDS,
    SPACING_SECONDS,
    TRY_FIRST_SECONDS,
    TRY_MAX_SECONDS,
    Breaker,
)


def call(breaker: Breaker, now: float) -> bool:
    """Begin a call if the breaker allows it; return whether."""
    return breaker.wait_seconds(now) == 0.0


def break_off(breaker: Breaker, now: float = 0.0) -> None:
    """Report as many failures as open the breaker."""
    for _ in range(AWAY_AFTER):
        assert call(breaker, now)
        breaker.failed(now)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker()


def test_failures_with_answers_between_them_put_off_no_call(breaker: Breaker) -> None:
    for _ in range(10):
        for _ in range(AWAY_AFTER - 1):
            assert call(breaker, 0.0)
            breaker.failed(0.0)
        assert call(breaker, 0.0)
        breaker.answered()
    assert not breaker.away


def test_failures_of_one_card_never_open_the_breaker_and_failures_of_several_cards_do(breaker: Breaker) -> None:
    for _ in range(10 * AWAY_AFTER):
        assert call(breaker, 0.0)
        breaker.failed(0.0, card=1)
    for card in range(2, AWAY_AFTER):
        assert call(breaker, 0.0)
        breaker.failed(0.0, card)
    assert not breaker.away
    breaker.failed(0.0, AWAY_AFTER)
    assert breaker.away


def test_failures_in_a_row_put_off_all_further_calls(breaker: Breaker) -> None:
    break_off(breaker)
    assert breaker.away
    assert not call(breaker, 0.0)
    assert not call(breaker, TRY_FIRST_SECONDS - 0.01)


def test_while_open_one_call_at_a_time_is_let_through(breaker: Breaker) -> None:
    break_off(breaker)
    assert [call(breaker, TRY_FIRST_SECONDS) for _ in range(3)] == [True, False, False]
    assert not call(breaker, TRY_FIRST_SECONDS + 30), "it is still being tried"


def test_the_pause_between_tries_grows_to_half_a_minute_while_others_wait(breaker: Breaker) -> None:
    break_off(breaker)
    now, pauses = 0.0, list[float]()
    for _ in range(6):
        wait = breaker.wait_seconds(now) - SPACING_SECONDS
        pauses.append(round(wait, 6))
        now += wait
        assert call(breaker, now)
        breaker.failed(now)
    assert pauses == [5.0, 10.0, 20.0, TRY_MAX_SECONDS, TRY_MAX_SECONDS, TRY_MAX_SECONDS]


def test_a_single_waiting_card_is_tried_at_its_own_interval(breaker: Breaker) -> None:
    break_off(breaker)
    for now in range(10, 1000, 10):
        assert call(breaker, now)
        breaker.failed(now)


def test_a_slow_try_is_not_followed_by_a_longer_pause(breaker: Breaker) -> None:
    break_off(breaker)
    now = TRY_FIRST_SECONDS
    for _ in range(5):  # discord.py tries each for 25 s
        assert call(breaker, now)
        assert not call(breaker, now + 20)
        breaker.failed(now + 25)
        now += 25 + TRY_FIRST_SECONDS
    assert call(breaker, now)


@pytest.mark.parametrize("by_an_older_call", [False, True])
def test_any_answer_closes_the_breaker(breaker: Breaker, by_an_older_call: bool) -> None:
    assert call(breaker, 0.0)
    break_off(breaker)
    if not by_an_older_call:
        assert call(breaker, TRY_FIRST_SECONDS)
    breaker.answered()
    assert not breaker.away
    assert all(call(breaker, TRY_FIRST_SECONDS) for _ in range(100))


def test_failures_of_calls_that_were_under_way_before_do_not_end_the_try(breaker: Breaker) -> None:
    assert all(call(breaker, 0.0) for _ in range(64))
    for _ in range(AWAY_AFTER):
        breaker.failed(25.0)
    assert call(breaker, 30.0)
    for _ in range(64 - AWAY_AFTER):
        breaker.failed(31.0)
    assert not call(breaker, 40.0), "the try is under way"
    breaker.failed(55.0)
    assert call(breaker, 60.0)


def test_a_try_without_an_outcome_is_dropped_after_a_while(breaker: Breaker) -> None:
    break_off(breaker)
    assert call(breaker, 10.0)
    assert not call(breaker, 10.0 + FORGOTTEN_SECONDS - 1)
    assert call(breaker, 10.0 + FORGOTTEN_SECONDS)


def test_a_try_that_is_given_back_lets_the_next_call_try(breaker: Breaker) -> None:
    break_off(breaker)
    assert call(breaker, 10.0)
    breaker.came_to_nothing()
    assert breaker.away
    assert [call(breaker, 10.0), call(breaker, 10.0)] == [True, False]


def test_calls_that_were_put_off_come_back_one_after_another(breaker: Breaker) -> None:
    break_off(breaker)
    waits = [breaker.wait_seconds(0.0) for _ in range(100)]
    gaps = [round(late - early, 6) for early, late in itertools.pairwise(waits)]
    assert set(gaps) == {SPACING_SECONDS}


def test_a_call_that_needs_preparing_is_prepared_by_one_at_a_time_and_begins_no_try(breaker: Breaker) -> None:
    assert breaker.preparing_seconds(0.0) == 0.0, "while Discord answers, by everybody"
    break_off(breaker)
    assert breaker.preparing_seconds(0.0) >= TRY_FIRST_SECONDS
    now = TRY_FIRST_SECONDS
    assert [breaker.preparing_seconds(now) == 0.0 for _ in range(3)] == [True, False, False]
    assert call(breaker, now + 1), "the try is for whoever makes a call"
    assert breaker.preparing_seconds(now + INVITED_SECONDS) > 0, "it is being tried"
    breaker.answered()
    assert breaker.preparing_seconds(now + INVITED_SECONDS) == 0.0


def test_a_call_that_was_prepared_and_never_made_leaves_it_to_the_next(breaker: Breaker) -> None:
    break_off(breaker)
    now = TRY_FIRST_SECONDS
    assert breaker.preparing_seconds(now) == 0.0
    assert 0.0 < breaker.preparing_seconds(now + 1) <= INVITED_SECONDS
    assert breaker.preparing_seconds(now + INVITED_SECONDS) == 0.0


@given(st.lists(st.sampled_from(["call", "fail", "answer", "nothing", "wait"]), max_size=200))
def test_no_two_tries_overlap_and_no_call_waits_for_long(events: list[str]) -> None:
    breaker, now = Breaker(), 0.0
    begun: list[bool] = []  # calls under way, oldest first: whether each began as a try
    for event in events:
        if event == "wait":
            now += 7.0
        elif event == "call":
            wait = breaker.wait_seconds(now)
            assert 0.0 <= wait <= TRY_MAX_SECONDS + SPACING_MAX_SECONDS
            if wait == 0.0:
                begun.append(breaker.away)
        elif begun:
            begun.pop(0)
            if event == "fail":
                breaker.failed(now)
            elif event == "nothing":
                breaker.came_to_nothing()
            else:
                breaker.answered()
                assert not breaker.away
                begun = [False] * len(begun)
        if now < FORGOTTEN_SECONDS:
            assert sum(begun) <= 1
    for _ in begun:
        breaker.failed(now)
    assert call(breaker, now + FORGOTTEN_SECONDS + TRY_MAX_SECONDS), "it is never shut for good"
