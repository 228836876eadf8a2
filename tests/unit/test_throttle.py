"""The throttle: pauses after "too many", task slots that are learned, and the budget of polls."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.worker.throttle import (
    FIRST_SLOTS,
    FIRST_TRY_SECONDS,
    PAUSE_MAX_SECONDS,
    TRY_SECONDS_MAX,
    Pause,
    PollBudget,
    TaskSlots,
    Throttle,
)


def test_without_a_named_wait_pauses_grow_up_to_a_limit() -> None:
    pause = Pause()
    waits = [pause.refused(1000.0 * turn, None, jitter=1.0) for turn in range(12)]
    assert waits == sorted(waits)
    assert waits[0] >= 5.0
    assert waits[-1] <= PAUSE_MAX_SECONDS


def test_several_refusals_within_a_pause_count_as_one() -> None:
    pause = Pause()
    assert [pause.refused(50.0 + number / 100, None, jitter=1.0) for number in range(16)] == [10.0] * 16
    assert pause.refused(70.0, None, jitter=1.0) == 15.0, "the next wave"


def test_a_normal_answer_resets_the_pauses() -> None:
    pause = Pause()
    for turn in range(6):
        pause.refused(100.0 * turn, None, jitter=1.0)
    pause.succeeded(5000.0)
    assert pause.refused(5001.0, None, jitter=1.0) == 10.0


def test_a_named_wait_pauses_all_calls_after_a_poll_and_posts_alone_after_a_post() -> None:
    for throttle in (polls := Throttle(20), posts := Throttle(20)):
        assert (throttle.wait_seconds(100.0), throttle.post_wait_seconds(100.0)) == (0.0, 0.0)
    assert polls.poll_refused(100.0, 7.0, jitter=0.5) == posts.post_refused(100.0, 7.0, jitter=0.5) == 7.0
    assert (polls.wait_seconds(100.0), polls.post_wait_seconds(100.0)) == (7.0, 7.0)
    assert (posts.wait_seconds(100.0), posts.post_wait_seconds(100.0)) == (0.0, 7.0)
    for throttle in (polls, posts):
        assert (throttle.wait_seconds(107.0), throttle.post_wait_seconds(107.0)) == (0.0, 0.0)


def test_a_refused_poll_without_a_named_wait_pauses_everything_and_says_nothing_about_tasks() -> None:
    throttle = Throttle(20)
    throttle.poll_refused(100.0, None, jitter=1.0)
    assert throttle.wait_seconds(100.0) == throttle.post_wait_seconds(100.0) == 10.0
    assert throttle.slots == TaskSlots(20)


def test_a_refused_post_without_a_named_wait_pauses_posts_alone() -> None:
    throttle = Throttle(20)
    throttle.post_refused(100.0, None, jitter=1.0)
    throttle.poll_succeeded(103.0)
    assert (throttle.wait_seconds(104.0), throttle.post_wait_seconds(104.0)) == (0.0, 6.0)
    assert throttle.post_refused(111.0, None, jitter=1.0) == 15.0, "polls that are answered shorten no pause of POSTs"
    throttle.post_succeeded(200.0)
    assert throttle.post_refused(201.0, None, jitter=1.0) == 10.0


def test_each_accepted_post_lets_one_more_task_be_tried_up_to_the_ceiling() -> None:
    slots = TaskSlots(20)
    counts = [slots.count(0.0)]
    for running in range(1, 21):
        slots.accepted(running, 0.0)
        counts.append(slots.count(0.0))
    assert counts == [*range(FIRST_SLOTS, 21), *[20] * FIRST_SLOTS]
    assert TaskSlots(2).count(0.0) == 2


def test_images_made_one_after_another_do_not_raise_the_slots() -> None:
    slots = TaskSlots(20)
    for _ in range(100):
        slots.accepted(1, 0.0)
    assert slots.count(0.0) == FIRST_SLOTS + 1


def test_a_429_on_a_post_sets_the_slots_to_the_running_tasks() -> None:
    slots = TaskSlots(20)
    for running in range(1, 8):
        slots.accepted(running, 0.0)
    for running in (6, 7, 7, 7):  # one pause; the row of an accepted task is written a little later
        slots.refused(running, 1.0)
    slots.accepted(7, 1.0)
    assert slots.count(1.0) == slots.count(FIRST_TRY_SECONDS) == 7
    slots.refused(0, 2.0)
    assert slots.count(2.0) == 1, "one is always tried"


def test_one_more_task_is_tried_at_growing_intervals_while_it_is_refused() -> None:
    slots, now, tries = TaskSlots(20), 0.0, list[float]()
    for _ in range(10):
        slots.refused(5, now)
        slots.accepted(5, now)
        began = now
        while slots.count(now) == 5:
            now += 1.0
        assert slots.count(now) == 6
        tries.append(now - began)
    assert tries[:4] == [FIRST_TRY_SECONDS * 2**number for number in range(4)]
    assert tries[-1] == TRY_SECONDS_MAX


def test_after_an_accepted_try_each_accepted_post_adds_a_slot() -> None:
    slots = TaskSlots(20)
    slots.refused(5, 0.0)
    slots.accepted(5, FIRST_TRY_SECONDS)
    assert slots.count(FIRST_TRY_SECONDS) == 6, "five were known before"
    counts: list[int] = []
    for running in range(6, 21):
        slots.accepted(running, FIRST_TRY_SECONDS)
        counts.append(slots.count(FIRST_TRY_SECONDS))
    assert counts == [*range(7, 21), 20]


def test_an_old_429_does_not_lengthen_the_next_interval() -> None:
    slots = TaskSlots(20)
    slots.refused(5, 0.0)
    slots.refused(5, FIRST_TRY_SECONDS)
    assert slots.try_seconds == 2 * FIRST_TRY_SECONDS
    slots.refused(5, 3 * FIRST_TRY_SECONDS + TRY_SECONDS_MAX + 1)
    assert slots.try_seconds == FIRST_TRY_SECONDS


def test_before_any_429_the_expected_slots_are_the_ceiling() -> None:
    slots = TaskSlots(20)
    assert slots.expected == 20
    slots.refused(3, 0.0)
    assert slots.expected == 3


def test_learned_slots_are_used_by_another_process_up_to_its_ceiling() -> None:
    first, second, small = TaskSlots(20), TaskSlots(20), TaskSlots(2)
    first.refused(7, 0.0)
    first.allowed = 7
    for slots in (second, small):
        slots.load(first.dump(), 5000.0)
    assert second.count(5000.0) == 7
    assert second.count(5000.0 + FIRST_TRY_SECONDS) == 8
    assert small.count(9999.0) == 2


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"allowed": "x"}', '{"allowed": 1e999}', "{", '{"allowed": 3}']
)
def test_unreadable_saved_slots_are_ignored(text: str) -> None:
    slots = TaskSlots(20)
    slots.load(text, 0.0)
    assert slots == TaskSlots(20)


@given(st.integers(1, 30), st.integers(1, 40), st.lists(st.tuples(st.floats(0, 400), st.integers(0, 40)), max_size=150))
def test_any_limit_is_fully_used_and_rarely_exceeded(
    ceiling: int, limit: int, moments: list[tuple[float, int]]
) -> None:
    """In each round some tasks end, then POSTs are made one by one, as many as the slots allow."""
    slots, now, running, refused = TaskSlots(ceiling), 0.0, 0, list[float]()
    for pause, ended in moments:
        now, running = now + pause, max(0, running - ended)
        while running < slots.count(now):
            if running < limit:
                running += 1
                slots.accepted(running, now)
            else:
                slots.refused(running, now)
                refused.append(now)
                break
        assert running == min(ceiling, limit), "no slot is left unused"
        assert 1 <= slots.count(now) <= ceiling
    for earlier, later in itertools.pairwise(refused):
        assert later - earlier >= FIRST_TRY_SECONDS
    assert len(refused) <= 9 + now / TRY_SECONDS_MAX * 2


def test_below_the_budget_no_poll_waits() -> None:
    budget = PollBudget(20)
    for turn in range(50):
        assert [budget.wait_seconds(f"task {number}", 100 + 5.01 * turn) for number in range(20)] == [0.0] * 20


def test_polls_that_come_at_once_get_turns_in_order() -> None:
    budget = PollBudget(500)
    waits = [budget.wait_seconds(f"task {number}", 1000.0) for number in range(500)]
    assert waits[:100] == [0.0] * 100
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(4.0)


def test_a_turn_is_kept_for_the_task_it_was_given_to() -> None:
    budget = PollBudget(1)
    tasks = [f"task {number}" for number in range(22)]
    waits = {task: budget.wait_seconds(task, 1000.0) for task in tasks}
    late = tasks[-1]
    assert waits[late] == pytest.approx(10.0)
    assert budget.wait_seconds(late, 1004.0) == pytest.approx(6.0)
    assert budget.wait_seconds("newcomer", 1005.0) == pytest.approx(10.0)
    assert budget.wait_seconds(late, 1010.0) == 0.0
    assert budget.turns.keys() == {tasks[-2], "newcomer"}


def test_an_unused_turn_is_dropped() -> None:
    budget = PollBudget(1)
    for number in range(40):
        budget.wait_seconds(f"task {number}", 1000.0)
    budget.wait_seconds("task 39", 1090.0)
    assert list(budget.turns) == [f"task {number}" for number in range(37, 40)]


def test_missed_turns_are_not_made_up_for() -> None:
    budget = PollBudget(500)
    tasks = [f"task {number}" for number in range(500)]
    for task in tasks:
        budget.wait_seconds(task, 1000.0)
    assert [budget.wait_seconds(task, 1300.0) for task in tasks].count(0.0) == 100


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 99), st.floats(0, 2)), max_size=200))
def test_no_second_sees_more_polls_than_the_budget_has(tasks: int, asked: list[tuple[int, float]]) -> None:
    budget, now, polls = PollBudget(tasks), 0.0, list[float]()
    for task, pause in asked:
        now += pause
        if budget.wait_seconds(f"task {task}", now) == 0.0:
            polls.append(now)
    for began in polls:
        assert sum(began <= poll < began + 1 for poll in polls) <= 20 + budget.per_second + 1


def test_a_refusal_after_the_pause_counts_again() -> None:
    pause = Pause()
    assert pause.refused(50.0, None, jitter=0.5) == 7.5
    assert pause.refused(57.5, None, jitter=0.5) == 10.0
    pause.succeeded(67.5)
    assert pause.refused(67.5, None, jitter=1.0) == 10.0, "the first again"


def test_a_named_wait_is_a_second_at_least() -> None:
    assert [Pause().refused(0.0, named, jitter=1.0) for named in (0.0, 0.5, 1.5, 9e9)] == [1, 1, 1.5, PAUSE_MAX_SECONDS]


def test_a_429_within_the_same_pause_does_not_lengthen_the_interval() -> None:
    slots = TaskSlots(20)
    slots.refused(3, 100.0)
    slots.refused(3, 101.0)
    assert (slots.allowed, slots.try_seconds, slots.try_at) == (3, FIRST_TRY_SECONDS, 101.0 + FIRST_TRY_SECONDS)
    slots.refused(3, 101.0 + FIRST_TRY_SECONDS)
    assert slots.try_seconds == 2 * FIRST_TRY_SECONDS


def test_a_429_within_the_longest_interval_still_counts() -> None:
    slots = TaskSlots(20)
    slots.refused(3, 0.0)
    slots.refused(3, FIRST_TRY_SECONDS + TRY_SECONDS_MAX)
    assert slots.try_seconds == 2 * FIRST_TRY_SECONDS


def test_a_try_counts_only_when_one_more_task_runs_than_allowed() -> None:
    slots = TaskSlots(20)
    slots.refused(3, 0.0)
    slots.accepted(3, FIRST_TRY_SECONDS)
    assert slots.is_limited and slots.allowed == 3
    slots.accepted(4, FIRST_TRY_SECONDS)
    assert not slots.is_limited and slots.allowed == 5


def test_saved_slots_are_loaded_unchanged() -> None:
    slots = TaskSlots(20)
    slots.load('{"allowed": 1, "is_limited": true, "try_seconds": 0.5}', 7.0)
    assert (slots.count(7.0), slots.try_seconds, slots.try_at) == (1, FIRST_TRY_SECONDS, 7.0 + FIRST_TRY_SECONDS)
    slots.load('{"allowed": 0, "is_limited": false, "try_seconds": 0}', 8.0)
    assert (slots.allowed, slots.try_seconds, slots.try_at) == (1, 0.0, 8.0)


def test_the_budget_of_polls_grows_with_the_tasks() -> None:
    assert Throttle(7).polls.tasks == 7


def test_a_turn_is_kept_for_a_whole_second() -> None:
    budget = PollBudget(5)  # one poll a second
    for number in range(20):
        assert budget.wait_seconds(f"early {number}", 0.0) == 0.0
    assert [budget.wait_seconds(name, 0.0) for name in ("late", "later")] == [1.0, 2.0]
    assert budget.wait_seconds("late", 2.0) == 0.0


def test_a_pause_holds_in_every_process_until_the_same_moment() -> None:
    refused, other = Throttle(20), Throttle(20)
    refused.poll_refused(100.0, 30.0, jitter=0.5)
    refused.post_refused(100.0, 60.0, jitter=0.5)
    stored = refused.dump_pauses(110.0, 5_000_000)
    other.load_pauses(stored, 70_005.0, 5_005_000)
    assert (other.wait_seconds(70_005.0), other.post_wait_seconds(70_005.0)) == (15.0, 45.0)


def test_a_pause_grows_from_where_another_process_began_it() -> None:
    refused, other = Throttle(20), Throttle(20)
    for turn in range(3):
        refused.post_refused(100.0 * turn, None, jitter=1.0)
    other.load_pauses(refused.dump_pauses(200.0, 0), 200.0, 0)
    assert other.post_refused(300.0, None, jitter=1.0) == refused.post_refused(300.0, None, jitter=1.0) == 45.0


def test_a_shorter_or_an_ended_pause_of_another_process_changes_nothing() -> None:
    throttle, other = Throttle(20), Throttle(20)
    other.poll_refused(100.0, 10.0, jitter=0.0)
    stored = other.dump_pauses(100.0, 0)
    throttle.load_pauses(stored, 110.0, 10_000)
    assert throttle == Throttle(20), "it is over"
    throttle.poll_refused(100.0, 20.0, jitter=0.0)
    throttle.load_pauses(stored, 100.0, 0)
    assert throttle.wait_seconds(100.0) == 20.0


def test_a_pause_that_a_wrong_clock_dates_far_ahead_ends_after_the_longest_pause() -> None:
    throttle, other = Throttle(20), Throttle(20)
    other.poll_refused(100.0, 10.0, jitter=0.0)
    throttle.load_pauses(other.dump_pauses(100.0, 10**12), 100.0, 0)
    assert throttle.wait_seconds(100.0) == PAUSE_MAX_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"calls": 3, "posts": 4}',
        '{"calls": [], "posts": []}',
        "null",
        '{"calls": [1e999, 1], "posts": [1, 1]}',
    ],
)
def test_stored_pauses_that_cannot_be_read_change_nothing(text: str) -> None:
    throttle = Throttle(20)
    throttle.load_pauses(text, 100.0, 0)
    assert throttle == Throttle(20)
