"""The waits before reconnecting to the gateway, and the budget of IDENTIFYs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from discord_api.gateway_schedule import RECONNECT_SECONDS_MAX, IdentifyBudget, reconnect_seconds

DAY = 86_400


def test_without_failures_a_reconnect_has_no_wait() -> None:
    assert reconnect_seconds(0, 0.7) == 0


def test_the_wait_doubles_from_a_second_to_a_minute_and_jitter_takes_up_to_half() -> None:
    assert [reconnect_seconds(failures, 0.0) for failures in (1, 2, 3, 6, 7, 10_000)] == [1, 2, 4, 32, 60, 60]
    assert reconnect_seconds(99, 1.0) == RECONNECT_SECONDS_MAX / 2


def identifies(budget: IdentifyBudget, seconds: float) -> list[float]:
    """Return when IDENTIFYs are sent if each is followed by another one at once."""
    now, sent = 0.0, list[float]()
    while now < seconds:
        now += budget.wait_seconds(now)
        assert budget.wait_seconds(now) == 0
        budget.note(now)
        sent.append(now)
    return sent


def test_two_identifies_are_five_seconds_apart() -> None:
    assert min(later - sooner for sooner, later in pairwise(identifies(IdentifyBudget(), 100))) >= 5


def test_repeated_identifies_use_at_most_three_quarters_of_the_daily_limit() -> None:
    assert len(identifies(IdentifyBudget(), DAY)) <= 1000 * 3 / 4 + 1


@pytest.mark.parametrize("shards", [1, 16, 60])
def test_all_shards_can_be_started_twice_in_an_hour(shards: int) -> None:
    assert len(identifies(IdentifyBudget(shards=shards), 3599)) >= 2 * shards


def test_no_identify_is_sent_before_the_reset_that_discord_named() -> None:
    assert IdentifyBudget(not_before=500.0).wait_seconds(100.0) == 400
