"""When an IDENTIFY may be sent, beside those that were sent by all processes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from processes.identify_turns import ASK_AGAIN_MS, HOUR_MS, SPACING_MS, TURN_MS, Identify, StartLimit, wait_ms

DAY_MS = 24 * HOUR_MS


def identifies(limit: StartLimit, until_ms: int) -> list[int]:
    """Return when IDENTIFYs are sent if each is followed by another one at once."""
    now_ms, known = 0, list[Identify]()
    while now_ms < until_ms:
        last_hour = [identify for identify in known if identify.at_ms > now_ms - HOUR_MS]
        if wait := wait_ms(last_hour, 0, limit, now_ms):
            now_ms += wait
        else:
            known.append(Identify(0, now_ms, sent=True))
    return [identify.at_ms for identify in known]


def test_two_identifies_are_five_seconds_apart() -> None:
    assert min(later - sooner for sooner, later in pairwise(identifies(StartLimit(), 100_000))) == SPACING_MS


def test_repeated_identifies_use_at_most_three_quarters_of_the_daily_limit() -> None:
    assert len(identifies(StartLimit(), DAY_MS)) <= 1000 * 3 / 4 + 1


@pytest.mark.parametrize("shards", [1, 16, 60])
def test_all_shards_can_be_started_twice_in_an_hour(shards: int) -> None:
    assert len(identifies(StartLimit(shards=shards), HOUR_MS)) >= 2 * shards


@pytest.mark.parametrize(("shard_id", "wait"), [(1, 0), (16, SPACING_MS), (32, SPACING_MS), (17, 0)])
def test_only_shards_of_one_bucket_wait_for_each_other(shard_id: int, wait: int) -> None:
    assert wait_ms([Identify(0, 7, sent=True)], shard_id, StartLimit(concurrency=16), 7) == wait


def test_while_another_shard_has_the_turn_it_is_asked_for_again_until_its_process_is_given_up() -> None:
    taken = [Identify(0, 0, sent=False)]
    waits = [wait_ms(taken, 1, StartLimit(), now_ms) for now_ms in (0, TURN_MS - 1, TURN_MS)]
    assert waits == [ASK_AGAIN_MS, ASK_AGAIN_MS, 0]
