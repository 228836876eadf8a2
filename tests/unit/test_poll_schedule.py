"""The poll schedule: durations that were learned, and when to poll."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.poll_schedule import (
    BACKSTOP_SECONDS,
    FIRST_POLL_MAX_SECONDS,
    OWN_SAMPLES,
    POLL_SECONDS,
    READY_TARGET,
    PollSchedule,
    backoff_seconds,
    late_poll_seconds,
    quantile,
)
from qwen.models import Size


def poll_until_ready(schedule: PollSchedule, duration: float) -> tuple[bool, float]:
    """Poll one image of *duration* seconds as the worker does. Return (ready at the first poll, delay)."""
    polls, at, before = 1, schedule.first_poll_seconds(Size.SQUARE), 0.0
    while at < duration:
        polls, before, at = polls + 1, at, at + POLL_SECONDS
    schedule.observe(Size.SQUARE, last_poll_seconds=before, noticed_seconds=at, polls=polls)
    return polls == 1, at - duration


def play(schedule: PollSchedule, rng: random.Random, median: float, sigma: float, images: int) -> tuple[float, float]:
    """Return (share ready at the first poll, mean delay) over *images* with log-normal durations."""
    outcomes = [poll_until_ready(schedule, median * math.exp(rng.gauss(0, sigma))) for _ in range(images)]
    return sum(ready for ready, _ in outcomes) / images, sum(delay for _, delay in outcomes) / images


@pytest.mark.parametrize(("median", "sigma"), [(15.0, 0.4), (30.0, 0.2), (30.0, 0.4)])
def test_about_one_image_in_ten_is_ready_at_its_first_poll(median: float, sigma: float) -> None:
    schedule, rng = PollSchedule(), random.Random(1)
    play(schedule, rng, median, sigma, 400)
    share, delay = play(schedule, rng, median, sigma, 2000)
    assert share == pytest.approx(READY_TARGET, abs=0.06)
    assert delay < 3.2  # polls every 5 s cost 2.5 s on average; much more would mean that delays add up


def test_a_service_that_became_faster_is_followed_down() -> None:
    schedule, rng = PollSchedule(), random.Random(2)
    play(schedule, rng, 30.0, 0.2, 500)
    slow_first_poll = schedule.first_poll_seconds(Size.SQUARE)
    play(schedule, rng, 10.0, 0.2, 300)
    _, delay = play(schedule, rng, 10.0, 0.2, 300)
    assert slow_first_poll > 18
    assert schedule.first_poll_seconds(Size.SQUARE) < 11
    assert delay < 3.5


def test_a_service_that_became_slower_is_followed_up() -> None:
    schedule, rng = PollSchedule(), random.Random(3)
    play(schedule, rng, 8.0, 0.2, 300)
    play(schedule, rng, 40.0, 0.2, 2000)
    assert 25 < schedule.first_poll_seconds(Size.SQUARE) < 40


def test_with_few_durations_the_first_poll_is_after_five_seconds_and_there_is_no_estimate() -> None:
    schedule = PollSchedule()
    for _ in range(2):
        poll_until_ready(schedule, 20.0)
    assert schedule.usual_seconds(Size.SQUARE) is None
    for _ in range(OWN_SAMPLES - 3):
        poll_until_ready(schedule, 20.0)
    assert schedule.first_poll_seconds(Size.SQUARE) == POLL_SECONDS
    poll_until_ready(schedule, 20.0)
    assert schedule.first_poll_seconds(Size.SQUARE) > 15


def test_a_size_goes_by_the_images_of_all_sizes_until_it_has_ten_of_its_own() -> None:
    schedule = PollSchedule()
    for _ in range(OWN_SAMPLES):
        schedule.observe(Size.SQUARE, last_poll_seconds=18.0, noticed_seconds=22.0, polls=2)
    assert schedule.first_poll_seconds(Size.PORTRAIT) == schedule.first_poll_seconds(Size.SQUARE) == 20.0
    assert schedule.backstop_seconds(Size.PORTRAIT) == 20.0
    assert schedule.usual_seconds(Size.PORTRAIT) is None, "what a card says goes by its own size"
    for _ in range(OWN_SAMPLES):
        schedule.observe(Size.PORTRAIT, last_poll_seconds=38.0, noticed_seconds=42.0, polls=2)
    assert schedule.first_poll_seconds(Size.PORTRAIT) == schedule.backstop_seconds(Size.PORTRAIT) == 40.0
    assert schedule.first_poll_seconds(Size.SQUARE) == 20.0


def test_a_saved_schedule_is_the_same_after_a_restart() -> None:
    schedule, rng = PollSchedule(), random.Random(4)
    play(schedule, rng, 15.0, 0.3, 120)
    reborn = PollSchedule()
    reborn.load(schedule.dump())
    assert reborn.first_poll_seconds(Size.SQUARE) == pytest.approx(schedule.first_poll_seconds(Size.SQUARE), abs=0.01)
    assert reborn.usual_seconds(Size.SQUARE) == schedule.usual_seconds(Size.SQUARE)


@given(st.text() | st.sampled_from(['{"1024*1024": 3}', "[]", "null", '{"1024*1024": {"samples": "x"}}']))
def test_an_unreadable_saved_schedule_is_replaced_by_an_empty_one(text: str) -> None:
    schedule = PollSchedule()
    schedule.load(text)
    assert schedule.first_poll_seconds(Size.SQUARE) == POLL_SECONDS


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 200)), max_size=80))
def test_the_first_poll_is_always_between_five_and_sixty_seconds(
    seen: list[tuple[float, float, int]],
) -> None:
    schedule = PollSchedule()
    for before, gap, polls in seen:
        schedule.observe(Size.SQUARE, last_poll_seconds=before, noticed_seconds=before + gap, polls=polls)
    assert POLL_SECONDS <= schedule.first_poll_seconds(Size.SQUARE) <= FIRST_POLL_MAX_SECONDS


@given(st.integers(1, 1000), st.floats(0, 1))
def test_a_backoff_keeps_polls_five_seconds_apart_and_ends_near_a_minute(failures: int, jitter: float) -> None:
    assert POLL_SECONDS <= backoff_seconds(failures, jitter) <= 61


def test_a_late_image_is_polled_for_a_day() -> None:
    assert late_poll_seconds(10) == 60
    assert late_poll_seconds(2 * 3600) == 900
    assert late_poll_seconds(25 * 3600) is None
    assert [late_poll_seconds(age) for age in (3599, 3600, 86_399, 86_400)] == [60, 900, 900, None]


def test_a_backoff_doubles_from_five_seconds_to_a_minute() -> None:
    assert [backoff_seconds(failures, 1.0) for failures in (0, 1, 2, 3, 4, 5, 9)] == [6, 6, 11, 21, 41, 61, 61]
    assert backoff_seconds(3, 0.5) == 13.0
    assert backoff_seconds(9, 0.0) == POLL_SECONDS


def test_a_quantile_is_the_nearest_rank() -> None:
    assert [quantile([5.0, 1.0, 3.0, 2.0, 4.0], share) for share in (0.0, 0.25, 0.5, 0.95, 1.0)] == [1, 2, 3, 5, 5]
    assert quantile([7.0], 0.5) == 7


def seen(*durations: float, size: Size = Size.SQUARE) -> PollSchedule:
    schedule = PollSchedule()
    for seconds in durations:
        schedule.observe_duration(size, seconds)
    return schedule


def test_an_estimate_needs_three_images() -> None:
    two, three, five = seen(10, 20), seen(10, 20, 30), seen(10, 20, 30, 40, 50)
    assert two.usual_seconds(Size.SQUARE) == two.typical_seconds(Size.SQUARE) == two.slow_seconds(Size.SQUARE) is None
    assert (three.usual_seconds(Size.SQUARE), three.typical_seconds(Size.SQUARE)) == ((10, 30), 20)
    assert (five.usual_seconds(Size.SQUARE), five.typical_seconds(Size.SQUARE)) == ((20, 40), 30)
    assert three.slow_seconds(Size.SQUARE) == 30 + POLL_SECONDS
    assert seen(*range(1, 22)).slow_seconds(Size.SQUARE) == 20 + POLL_SECONDS
    assert (two.backstop_seconds(Size.SQUARE), three.backstop_seconds(Size.SQUARE)) == (BACKSTOP_SECONDS, 30)


def test_a_range_is_never_empty_nor_begins_below_a_second() -> None:
    assert seen(0.2, 0.2, 0.2).usual_seconds(Size.SQUARE) == (1, 2)
    assert seen(7, 7, 7).usual_seconds(Size.SQUARE) == (7, 8)


def test_the_median_is_of_one_size_or_of_all() -> None:
    schedule = seen(10, 10, 10)
    for _ in range(5):
        schedule.observe_duration(Size.PORTRAIT, 60)
    assert [schedule.typical_seconds(size) for size in (Size.SQUARE, Size.PORTRAIT, Size.LANDSCAPE, None)] == [
        *(10, 60, None, 60)
    ]


def test_the_first_poll_is_aimed_from_the_fiftieth_image_on_in_steps_that_become_smaller() -> None:
    schedule = seen(*[20.0] * 50)
    assert schedule.first_poll_seconds(Size.SQUARE) == 20.0
    schedule.observe_duration(Size.SQUARE, 30.0)  # was not ready at 20 s
    assert schedule.first_poll_seconds(Size.SQUARE) == pytest.approx(20.0 + 0.1 * 4 / (1 + 1 / 20))
    for _ in range(200):
        schedule.observe_duration(Size.SQUARE, 60.0)
    before = schedule.first_poll_seconds(Size.SQUARE)
    schedule.observe_duration(Size.SQUARE, before)  # ready in time
    assert schedule.first_poll_seconds(Size.SQUARE) == pytest.approx(before - 0.9 * 0.5)


def test_a_saved_schedule_is_short_and_only_the_newest_durations_are_loaded() -> None:
    schedule = seen(7.1251, 8.0)
    stored = json.loads(schedule.dump())[Size.SQUARE.value]
    assert stored == {"first_poll_seconds": 7.125, "samples": 2, "durations": [7.13, 8.0]}
    many = {"first_poll_seconds": 9, "samples": 70, "durations": [5.0] * 6 + [50.0] * 64}
    schedule.load(json.dumps({Size.SQUARE.value: many}))
    assert json.loads(schedule.dump())[Size.SQUARE.value]["durations"] == [50.0] * 64
