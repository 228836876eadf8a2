"""Rate guard: refused calls are counted and paused, since Discord bans an address after too many of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from discord_api.errors import ClientClosed, NotLoggedIn, UnreadableAnswer
from generations.errors import DeliveryDelayed
from tests.doubles import ManualClock
from ui.delivery.circuit_breaker import AWAY_AFTER, TRY_FIRST_SECONDS
from ui.delivery.rate_guard import LOGIN_SECONDS, PAUSE_MAX_SECONDS, REFUSALS_MAX, WINDOW_SECONDS, RateGuard


def refusal(status: int, code: int = 0, headers: dict[str, str] | None = None) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="no", headers=headers or {})
    return discord.HTTPException(response, {"code": code, "message": "no"})


def wait_of(rate_guard: RateGuard, *, by_token: bool) -> float:
    try:
        rate_guard.check(by_token=by_token)
    except DeliveryDelayed as delayed:
        return delayed.retry_after_seconds
    return 0.0


def waits(rate_guard: RateGuard) -> tuple[float, float]:
    """Return the waits of a call by an interaction's token and of one by the bot's."""
    return wait_of(rate_guard, by_token=True), wait_of(rate_guard, by_token=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rate_guard(clock: ManualClock) -> RateGuard:
    return RateGuard(clock)


@pytest.mark.parametrize(
    ("status", "code", "by_token"),
    [(401, 50027, True), (403, 50001, False), (403, 50013, False), (404, 10008, False), (429, 30046, False)],
)
def test_a_refusal_of_one_card_delays_no_other(rate_guard: RateGuard, status: int, code: int, by_token: bool) -> None:
    rate_guard.refused(refusal(status, code), by_token=by_token)
    assert waits(rate_guard) == (0.0, 0.0)


def test_a_refused_bot_token_is_tried_less_often_while_interaction_tokens_work(
    rate_guard: RateGuard, clock: ManualClock
) -> None:
    paused: list[float] = []
    for _ in range(9):
        rate_guard.refused(refusal(401), by_token=False)
        by_token, by_bot = waits(rate_guard)
        assert by_token == 0.0
        paused.append(by_bot)
        clock.advance(by_bot)
        assert waits(rate_guard) == (0.0, 0.0)
    assert paused == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, PAUSE_MAX_SECONDS, PAUSE_MAX_SECONDS, PAUSE_MAX_SECONDS]
    rate_guard.answered(by_token=False)
    rate_guard.refused(refusal(401), by_token=False)
    assert waits(rate_guard) == (0.0, 5.0)


def test_a_ban_delays_every_call_for_as_long_as_it_says(rate_guard: RateGuard, clock: ManualClock) -> None:
    rate_guard.refused(refusal(429, headers={"Retry-After": "42"}), by_token=True)
    assert waits(rate_guard) == (42.0, 42.0)
    clock.advance(42)
    assert waits(rate_guard) == (0.0, 0.0)


def test_a_limit_of_discords_own_servers_is_no_ban(rate_guard: RateGuard) -> None:
    rate_guard.refused(refusal(429, headers={"Via": "1.1 google"}), by_token=True)
    assert waits(rate_guard) == (0.0, 0.0)


def test_far_fewer_calls_are_refused_in_ten_minutes_than_discord_takes(
    rate_guard: RateGuard, clock: ManualClock
) -> None:
    refused = 0
    for _ in range(20 * 600):
        if waits(rate_guard) == (0.0, 0.0):
            rate_guard.refused(refusal(403, 50001), by_token=False)
            refused += 1
        clock.advance(0.05)
    assert refused == REFUSALS_MAX
    clock.advance(WINDOW_SECONDS / 2)
    assert waits(rate_guard) == (0.0, 0.0)


def is_away(rate_guard: RateGuard) -> bool:
    """Whether calls are put off; makes none."""
    return wait_of(rate_guard, by_token=True) > 0


@pytest.mark.parametrize("status", [500, 502, 503])
def test_several_server_errors_in_a_row_delay_every_call(rate_guard: RateGuard, status: int) -> None:
    for by_token in (True, False, True):
        rate_guard.check(by_token=by_token)
        rate_guard.refused(refusal(status), by_token=by_token)
    by_token, by_bot = waits(rate_guard)
    assert by_token >= TRY_FIRST_SECONDS
    assert by_bot >= TRY_FIRST_SECONDS


@pytest.mark.parametrize("error", [refusal(500), ConnectionResetError()])
def test_calls_for_one_card_alone_put_off_no_others(rate_guard: RateGuard, error: Exception) -> None:
    for _ in range(10 * AWAY_AFTER):
        rate_guard.check(by_token=True)
        if isinstance(error, discord.HTTPException):
            rate_guard.refused(error, by_token=True, card=1)
        else:
            rate_guard.unanswered(error, card=1)
    assert not is_away(rate_guard)


@pytest.mark.parametrize("fault", [ConnectionResetError(), TimeoutError(), UnreadableAnswer()])
def test_calls_without_an_answer_count_like_errors(rate_guard: RateGuard, fault: Exception) -> None:
    for _ in range(AWAY_AFTER):
        rate_guard.check(by_token=True)
        rate_guard.unanswered(fault)
    assert is_away(rate_guard)


@pytest.mark.parametrize("fault", [ClientClosed(), NotLoggedIn(), discord.RateLimited(40.0)])
def test_calls_that_were_not_sent_do_not_count(rate_guard: RateGuard, fault: Exception) -> None:
    for _ in range(10 * AWAY_AFTER):
        rate_guard.check(by_token=True)
        rate_guard.unanswered(fault)
    assert not is_away(rate_guard)


def test_before_the_login_no_call_is_made_or_prepared_and_after_it_at_once(clock: ManualClock) -> None:
    logged_in: list[bool] = []
    rate_guard = RateGuard(clock, lambda: bool(logged_in))
    assert waits(rate_guard) == (LOGIN_SECONDS, LOGIN_SECONDS)
    assert rate_guard.preparing_seconds(by_token=True) == LOGIN_SECONDS
    assert not rate_guard.away
    logged_in.append(True)
    assert waits(rate_guard) == (0.0, 0.0)
    assert rate_guard.preparing_seconds(by_token=True) == 0.0


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_refusal_ends_a_row_of_errors(rate_guard: RateGuard, clock: ManualClock, status: int) -> None:
    for _ in range(AWAY_AFTER):
        rate_guard.check(by_token=True)
        rate_guard.refused(refusal(500), by_token=True)
    clock.advance(TRY_FIRST_SECONDS)
    rate_guard.check(by_token=True)
    assert is_away(rate_guard), "one call at a time"
    rate_guard.refused(refusal(status), by_token=True)
    assert not is_away(rate_guard)


def test_the_start_and_end_of_an_outage_are_logged(
    rate_guard: RateGuard, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qwen_imagine.delivery")
    for _ in range(10):
        if not is_away(rate_guard):
            rate_guard.refused(refusal(500), by_token=True)
        clock.advance(TRY_FIRST_SECONDS)
    rate_guard.answered(by_token=True)
    rate_guard.answered(by_token=True)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "Discord does not answer",
        "Discord answers again",
    ]


def test_whether_a_call_may_be_made_can_be_asked_without_making_it(rate_guard: RateGuard, clock: ManualClock) -> None:
    rate_guard.refused(refusal(401), by_token=False)
    assert rate_guard.preparing_seconds(by_token=True) == 0.0
    assert rate_guard.preparing_seconds(by_token=False) == wait_of(rate_guard, by_token=False) > 0
    for _ in range(AWAY_AFTER):
        rate_guard.unanswered(TimeoutError())
    assert rate_guard.preparing_seconds(by_token=True) >= TRY_FIRST_SECONDS
    clock.advance(TRY_FIRST_SECONDS)
    assert rate_guard.preparing_seconds(by_token=True) == 0.0
    assert rate_guard.preparing_seconds(by_token=True) > 0, "one at a time"
    assert wait_of(rate_guard, by_token=True) == 0.0, "the try is still free for the call"
