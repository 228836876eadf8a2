"""The throttle: when the image service says "too many", everything waits, and fewer images are made for a while."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.throttle import PAUSE_MAX_SECONDS, RECOVERY_SECONDS, LookBudget, Throttle


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


def test_one_wave_of_refusals_makes_the_pause_no_longer_than_one_refusal_would() -> None:
    throttle = Throttle(20)
    assert [throttle.refused(50.0 + number / 100, None, jitter=1.0) for number in range(16)] == [10.0] * 16
    assert throttle.refused(70.0, None, jitter=1.0) == 15.0, "the next wave"


def test_a_normal_answer_forgets_earlier_refusals() -> None:
    throttle = Throttle(20)
    for turn in range(6):
        throttle.refused(100.0 * turn, None, jitter=1.0)
    throttle.answered(5000.0)
    assert throttle.refused(5001.0, None, jitter=1.0) == 10.0


def test_on_an_ordinary_day_no_look_waits() -> None:
    budget = LookBudget(20)
    for turn in range(50):
        assert [budget.wait_seconds(f"task {number}", 100 + 5.01 * turn) for number in range(20)] == [0.0] * 20


def test_what_comes_all_at_once_is_looked_at_in_turn_first_come_first_served() -> None:
    budget = LookBudget(500)
    waits = [budget.wait_seconds(f"task {number}", 1000.0) for number in range(500)]
    assert waits[:100] == [0.0] * 100
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(4.0)


def test_a_turn_is_kept_for_the_task_it_was_given_to() -> None:
    budget = LookBudget(1)
    tasks = [f"task {number}" for number in range(22)]
    waits = {task: budget.wait_seconds(task, 1000.0) for task in tasks}
    late = tasks[-1]
    assert waits[late] == pytest.approx(10.0)
    assert budget.wait_seconds(late, 1004.0) == pytest.approx(6.0)
    assert budget.wait_seconds("newcomer", 1005.0) == pytest.approx(10.0)
    assert budget.wait_seconds(late, 1010.0) == 0.0
    assert budget.turns.keys() == {tasks[-2], "newcomer"}


def test_a_turn_that_nobody_comes_for_is_forgotten() -> None:
    budget = LookBudget(1)
    for number in range(40):
        budget.wait_seconds(f"task {number}", 1000.0)
    budget.wait_seconds("task 39", 1090.0)
    assert list(budget.turns) == [f"task {number}" for number in range(37, 40)]


def test_turns_that_were_slept_through_do_not_pile_up() -> None:
    budget = LookBudget(500)
    tasks = [f"task {number}" for number in range(500)]
    for task in tasks:
        budget.wait_seconds(task, 1000.0)
    assert [budget.wait_seconds(task, 1300.0) for task in tasks].count(0.0) == 100


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 99), st.floats(0, 2)), max_size=200))
def test_no_second_sees_more_looks_than_the_budget_has(tasks: int, asked: list[tuple[int, float]]) -> None:
    budget, now, looks = LookBudget(tasks), 0.0, list[float]()
    for task, pause in asked:
        now += pause
        if budget.wait_seconds(f"task {task}", now) == 0.0:
            looks.append(now)
    for began in looks:
        assert sum(began <= look < began + 1 for look in looks) <= 20 + budget.per_second + 1
