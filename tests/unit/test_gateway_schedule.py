"""The waits before reconnecting to the gateway."""

from __future__ import annotations

from discord_api.gateway_schedule import RECONNECT_SECONDS_MAX, reconnect_seconds


def test_without_failures_a_reconnect_has_no_wait() -> None:
    assert reconnect_seconds(0, 0.7) == 0


def test_the_wait_doubles_from_a_second_to_a_minute_and_jitter_takes_up_to_half() -> None:
    assert [reconnect_seconds(failures, 0.0) for failures in (1, 2, 3, 6, 7, 10_000)] == [1, 2, 4, 32, 60, 60]
    assert reconnect_seconds(99, 1.0) == RECONNECT_SECONDS_MAX / 2
