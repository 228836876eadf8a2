"""The throttle: when the image service says "too many", everything waits, and fewer images are made for a while."""

from __future__ import annotations

from generations.throttle import PAUSE_MAX_SECONDS, RECOVERY_SECONDS, Throttle


def test_a_named_wait_is_kept_by_the_whole_client() -> None:
    throttle = Throttle(20)
    assert throttle.refused(100.0, 7.0, jitter=0.5) == 7.0
    assert throttle.wait_seconds(100.0) == 7.0
    assert throttle.wait_seconds(107.0) == 0.0


def test_without_a_named_wait_the_pauses_grow_and_stay_bounded() -> None:
    throttle = Throttle(20)
    waits = [throttle.refused(1000.0 * turn, None, jitter=1.0) for turn in range(12)]
    assert waits == sorted(waits)
    assert waits[0] >= 5.0
    assert waits[-1] <= PAUSE_MAX_SECONDS


def test_one_wave_of_refusals_halves_the_images_in_flight_once() -> None:
    throttle = Throttle(20)
    for _ in range(15):
        throttle.refused(50.0, None, jitter=0.0)
    assert throttle.in_flight(50.0) == 10


def test_the_limit_comes_back_minute_by_minute() -> None:
    throttle = Throttle(4)
    throttle.refused(50.0, None, jitter=0.0)
    assert throttle.in_flight(50.0) == 2
    assert throttle.in_flight(50.0 + RECOVERY_SECONDS) == 3
    assert throttle.in_flight(50.0 + 2 * RECOVERY_SECONDS) == 4


def test_one_image_at_a_time_is_always_allowed() -> None:
    throttle = Throttle(1)
    for turn in range(10):
        throttle.refused(50.0 + 10 * turn, None, jitter=0.0)
    assert throttle.in_flight(200.0) == 1


def test_a_normal_answer_forgets_earlier_refusals() -> None:
    throttle = Throttle(20)
    for turn in range(6):
        throttle.refused(100.0 * turn, None, jitter=1.0)
    throttle.answered(5000.0)
    assert throttle.refused(5001.0, None, jitter=1.0) == 10.0
