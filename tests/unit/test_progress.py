"""Progress of unfinished images: estimates come only from past images."""

from __future__ import annotations

from dataclasses import replace

from generations.model import Estimate, Generation, Image, Line, Origin, Progress, Request, State
from generations.poll_schedule import PollSchedule
from generations.worker.progress import SHARE_MAX, progress_of
from qwen.models import Size
from ui.interactions.buttons import card_buttons
from ui.views.cards import build_card

NOW_MS = 1_800_000_000_000
ORIGIN = Origin(1, 2, 3, 4, 5, "token", 10_000_000)
LINE = Line(position=3, own_running=0, own_cap=3, own_position=1, about_seconds=None)


def generation(*states: State, age_seconds: float = 0, failures: int = 0) -> Generation:
    begun = NOW_MS - round(age_seconds * 1000)
    images = tuple(
        Image(1, position, 42, state, submitted_at_ms=begun, failures=failures) for position, state in enumerate(states)
    )
    return Generation(1, Request("a fox", count=len(states)), ORIGIN, begun, images)


def schedule_of(seconds: float, images: int = 20) -> PollSchedule:
    schedule = PollSchedule()
    for _ in range(images):
        schedule.observe(Size.SQUARE, last_poll_seconds=seconds, noticed_seconds=seconds, polls=3)
    return schedule


def test_without_durations_there_is_no_estimate() -> None:
    progress = progress_of(
        generation(State.RUNNING, age_seconds=9), None, PollSchedule(), now_ms=NOW_MS, slots=5, in_flight=1
    )
    assert progress.estimate is not None
    assert (progress.estimate.share, progress.estimate.usual_seconds, progress.estimate.ready_at_ms) == (
        None,
        None,
        None,
    )


def test_a_card_says_steps_until_three_images_of_its_size_were_seen_and_then_a_bar() -> None:
    running = generation(State.RUNNING, age_seconds=9)
    schedule = schedule_of(15, images=2)
    for _ in range(50):
        schedule.observe_duration(Size.PORTRAIT, 60)  # another size, which must not count
    told: list[tuple[bool, bool]] = []
    for _ in range(2):
        progress = progress_of(running, None, schedule, now_ms=NOW_MS, slots=5, in_flight=1)
        assert progress.estimate is not None
        told.append((progress.shows_steps, progress.estimate.share is None))
        schedule.observe_duration(Size.SQUARE, 15)
    assert told == [(True, True), (False, False)]


def test_steps_do_not_change_as_time_passes_so_that_no_edit_is_due() -> None:
    made, cards = generation(State.RUNNING), list[object]()
    for now_ms in (NOW_MS, NOW_MS + 5_000, NOW_MS + 500_000):
        progress = progress_of(made, None, PollSchedule(), now_ms=now_ms, slots=5, in_flight=1)
        cards.append(build_card(made, progress, buttons=card_buttons, attached={}).to_components())
    assert cards[0] == cards[1] == cards[2]


def test_the_bar_follows_past_images_and_is_never_full() -> None:
    shares = [
        progress_of(
            generation(State.RUNNING, age_seconds=age), None, schedule_of(15), now_ms=NOW_MS, slots=5, in_flight=1
        )
        for age in (0, 5, 10, 15, 600)
    ]
    values = [progress.estimate.share or 0.0 for progress in shares if progress.estimate]
    assert values == sorted(values)
    assert values[-1] == SHARE_MAX


def test_after_the_usual_time_it_is_late_and_has_no_estimate() -> None:
    late = progress_of(
        generation(State.RUNNING, age_seconds=40), None, schedule_of(15), now_ms=NOW_MS, slots=5, in_flight=1
    )
    assert late.estimate is not None
    assert late.estimate.overdue
    assert late.estimate.ready_at_ms is None


def test_an_estimate_in_the_past_is_not_shown() -> None:
    soon, past = (
        progress_of(
            generation(State.RUNNING, age_seconds=age), None, schedule_of(15), now_ms=NOW_MS, slots=5, in_flight=1
        )
        for age in (10, 16)
    )
    assert soon.estimate is not None and soon.estimate.ready_at_ms is not None
    assert past.estimate is not None and past.estimate.ready_at_ms is None and not past.estimate.overdue


def test_a_service_that_does_not_answer_is_called_slow() -> None:
    progress = progress_of(
        generation(State.RUNNING, failures=2), None, PollSchedule(), now_ms=NOW_MS, slots=5, in_flight=1
    )
    assert progress.estimate is not None
    assert progress.estimate.service_slow


def test_a_place_in_line_has_a_wait_once_durations_are_known() -> None:
    told = progress_of(generation(State.REQUESTED), LINE, schedule_of(15), now_ms=NOW_MS, slots=1, in_flight=1)
    assert told.line is not None
    assert told.line.about_seconds == 45
    unknown = progress_of(generation(State.REQUESTED), LINE, PollSchedule(), now_ms=NOW_MS, slots=1, in_flight=1)
    assert unknown.line is not None
    assert unknown.line.about_seconds is None


def test_an_admitted_image_above_the_slots_waits_first_in_line() -> None:
    held = progress_of(generation(State.REQUESTED), None, schedule_of(15), now_ms=NOW_MS, slots=3, in_flight=5)
    assert held.line is not None and held.is_held_up
    assert (held.line.position, held.line.waits_for_own, held.line.about_seconds) == (2, False, 15)
    third = progress_of(generation(State.REQUESTED), LINE, schedule_of(15), now_ms=NOW_MS, slots=3, in_flight=5)
    assert third.line is not None
    assert (third.line.position, third.line.about_seconds) == (5, 30)
    sent = progress_of(generation(State.RUNNING), None, schedule_of(15), now_ms=NOW_MS, slots=3, in_flight=5)
    assert sent.line is None


def test_an_image_that_can_start_at_once_has_no_place_in_line() -> None:
    first = replace(LINE, position=1)
    assert (
        progress_of(generation(State.REQUESTED), first, PollSchedule(), now_ms=NOW_MS, slots=5, in_flight=4).line
        is None
    )
    assert (
        progress_of(generation(State.REQUESTED), first, PollSchedule(), now_ms=NOW_MS, slots=5, in_flight=5).line
        is not None
    )
    own = replace(first, own_running=3)
    assert (
        progress_of(generation(State.REQUESTED), own, PollSchedule(), now_ms=NOW_MS, slots=50, in_flight=3).line
        is not None
    )


def seen(now: Generation, *, in_flight: int = 1, line: Line | None = None, seconds: float = 15) -> Progress:
    schedule = schedule_of(seconds)
    for _ in range(50):
        schedule.observe_duration(Size.PORTRAIT, 60)  # another size, which must not count
    return progress_of(now, line, schedule, now_ms=NOW_MS, slots=5, in_flight=in_flight)


def test_an_estimate_has_every_field_of_a_running_image() -> None:
    begun_at_ms = NOW_MS - 5500
    estimate = seen(generation(State.RUNNING, age_seconds=5.5)).estimate
    assert estimate == Estimate(begun_at_ms, 5.5 / (15.0 * 1.1), (15, 16), begun_at_ms + 15_000)
    assert seen(generation(State.RUNNING)).estimate == Estimate(NOW_MS, 0.0, (15, 16), NOW_MS + 15_000)


def test_an_estimate_ends_at_its_time_and_an_image_is_late_after_the_slowest_usual_time() -> None:
    on_time = seen(generation(State.RUNNING, age_seconds=15)).estimate
    assert on_time is not None and on_time.ready_at_ms is None and not on_time.overdue
    lates = [seen(generation(State.RUNNING, age_seconds=age)).estimate for age in (20, 20.1)]
    assert [late.overdue for late in lates if late is not None] == [False, True]


def test_admitted_images_above_the_slots_wait_before_all_others() -> None:
    waiting = generation(State.REQUESTED)
    held_up = seen(waiting, in_flight=6)
    assert held_up.is_held_up
    assert held_up.line == Line(1, own_running=0, own_cap=1, own_position=1, about_seconds=15)
    assert not seen(waiting, in_flight=5, line=LINE).is_held_up


def test_a_wait_is_rounded_to_five_seconds_and_never_to_zero() -> None:
    waits = [seen(generation(State.REQUESTED), in_flight=5, line=LINE, seconds=each).line for each in (1, 12, 13)]
    assert [line.about_seconds for line in waits if line is not None] == [5, 10, 15]
