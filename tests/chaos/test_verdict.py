"""Reading logs and the timeline, and finding the generation that a broken promise names."""

from __future__ import annotations

from sandbox.image_api import Mood
from tests.chaos.experiment import Command, Place
from tests.chaos.report import named_generations
from tests.chaos.rows import Rows
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import polls_too_close, unexpected_faults, was_interrupted, was_lost_after_its_post

OURS = "2026-11-22 12:00:01,000 ERROR   qwen_imagine.worker: generation 7: its step failed"
LIBRARY = "2026-11-22 12:00:02,000 ERROR   discord.shard: Attempting a reconnect for shard ID 0 in 0.18s"
TRACE = ["Traceback (most recent call last):", '  File "x.py", line 1, in f', "    f()"]
CHAINED = [*TRACE, "KeyError: 1", "", "During handling of the above exception, another exception occurred:", "", *TRACE]


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def test_a_traceback_is_reported_with_its_log_entry_and_its_error() -> None:
    assert list(unexpected_faults([OURS, *indented([*TRACE, "KeyError: 1"]), OURS])) == [f"{OURS}: KeyError: 1"]
    assert list(unexpected_faults([OURS, *TRACE, "x.Wrong: no"])) == [f"{OURS}: x.Wrong: no"]


def test_of_a_chain_of_errors_the_last_is_reported() -> None:
    assert list(unexpected_faults([OURS, *indented([*CHAINED, "ValueError: 2"]), OURS])) == [f"{OURS}: ValueError: 2"]


def test_reconnects_of_the_library_are_not_reported_but_later_errors_are() -> None:
    assert not list(unexpected_faults([LIBRARY, *indented([*CHAINED, "ValueError: 2"])]))
    assert len(list(unexpected_faults([LIBRARY, *indented([*TRACE, "E: 1"]), OURS, *indented([*TRACE, "E: 2"])]))) == 1


def test_the_timeline_knows_which_process_was_killed_and_which_mood_applied() -> None:
    times = iter((0, 10, 20, 30, 40))
    timeline = Timeline(lambda: next(times), lambda: 0)
    for killed, mood in ((None, Mood.BUSY), (1, None), (None, Mood.NORMAL)):
        timeline.note("action", killed=killed, mood=mood)
    timeline.note("SIGCONT", resumed=1)
    assert [timeline.was_killed_within(1, *span) for span in ((0, 19), (20, 20), (21, 40))] == [False, True, False]
    assert [timeline.was_killed_within(process, 0, 40) for process in (0, None)] == [False, True]
    assert [timeline.resumed_within(*span) for span in ((0, 39), (40, 41))] == [False, True]
    assert timeline.moods_within(0, 5) == {Mood.NORMAL}
    assert timeline.moods_within(15, 25) == {Mood.BUSY}
    assert timeline.moods_within(15, 30) == {Mood.BUSY, Mood.NORMAL}


def test_a_command_needs_no_first_response_if_its_own_process_was_killed_or_stopped_meanwhile() -> None:
    times = iter((0, 10_000, 50_000, 60_000, 90_000))
    timeline = Timeline(lambda: next(times), lambda: 0)
    timeline.note("kill -9", killed=1)
    timeline.note("SIGSTOP", stopped=4)
    timeline.note("SIGCONT", resumed=4)
    timeline.note("SIGSTOP", stopped=1)  # until the end
    own, other = Place(bot=1, spare=4), Place(bot=0, spare=3)
    sent = (6_000, 7_000, 13_000, 13_001, 46_999, 47_000, 63_000, 63_001, 86_999, 87_000, 99_000)
    interrupted = [at_ms for at_ms in sent if was_interrupted(Command("mira", own, at_ms), timeline)]
    assert interrupted == [7_000, 13_000, 47_000, 63_000, 87_000, 99_000]
    assert not any(was_interrupted(Command("mira", other, at_ms), timeline) for at_ms in sent)


def test_an_image_may_be_posted_and_lost_if_a_process_was_stopped_soon_after_it_was_ready() -> None:
    times = iter((0, 20_000))
    timeline = Timeline(lambda: next(times), lambda: 1_000_000)
    timeline.note("SIGSTOP", stopped=1)
    ready = (1_009_999, 1_010_000, 1_020_000, 1_020_001, None)
    lost = [{"ending": "image_lost", "ready_at_ms": at_ms} for at_ms in ready]
    assert [was_lost_after_its_post(image, timeline) for image in lost] == [False, True, True, False, False]
    assert not was_lost_after_its_post({"ending": "failed", "ready_at_ms": 1_015_000}, timeline)


def test_a_poll_may_come_soon_after_another_one_if_a_callback_came_between_them_once_in_five_seconds() -> None:
    assert list(polls_too_close([0, 5000, 10_000], [])) == []
    assert list(polls_too_close([0, 5000, 6000], [])) == [(5000, 6000)]
    assert list(polls_too_close([0, 5000, 6000], [900])) == [(5000, 6000)]
    assert list(polls_too_close([0, 5000, 6000, 11_000], [5900])) == []
    assert list(polls_too_close([0, 5000, 6000, 8000], [5900, 7900])) == [(6000, 8000)]


def test_a_broken_promise_names_its_generation_by_id_image_task_or_seed() -> None:
    images = [
        {"generation_id": 70, "seed": 20, "task_id": "n1-a"},
        {"generation_id": 80, "seed": 30, "task_id": None},
        {"generation_id": 90, "seed": 40, "task_id": "n2"},
    ]
    rows = Rows([], [], [{"id": image["generation_id"]} for image in images], images, {}, [])
    assert named_generations(rows, ["seed 30 was posted 2 times", "image 70-3 has 2 holds"]) == [80, 70]
    assert named_generations(rows, ["task n1-a was polled twice within 8 ms", "the card of 90 is gone"]) == [70, 90]
    assert named_generations(rows, ["credits are still held: seed 300"]) == []
