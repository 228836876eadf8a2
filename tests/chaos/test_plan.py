"""The plan of a chaos run depends on the seed alone."""

from __future__ import annotations

import itertools

from tests.chaos.plan import STOP_PHASE_SECONDS, Imagine, Kill, RestartDatabase, Stop, StopWhilePosting, draw_plan


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first, again, other = (draw_plan(seed, seconds=90, processes=2, restarts_database=True) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_every_plan_kills_and_stops_each_process_and_restarts_the_database() -> None:
    for seed in range(50):
        actions = [event.action for event in draw_plan(seed, seconds=90, processes=2, restarts_database=True)]
        for process in (0, 1):
            assert sum(isinstance(action, Kill) and action.process == process for action in actions) >= 2, seed
            assert any(isinstance(action, Stop) and action.process == process for action in actions), seed
        assert any(isinstance(action, RestartDatabase) for action in actions), seed


def test_no_process_is_killed_within_the_stop_phase_at_the_end() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=60, processes=2, restarts_database=True, callbacks=True)
        (stop_phase,) = [event.at_seconds for event in plan if isinstance(event.action, StopWhilePosting)]
        kills_and_stops = [
            event.at_seconds for event in plan if isinstance(event.action, Kill | Stop | RestartDatabase)
        ]
        assert kills_and_stops and max(kills_and_stops) < stop_phase == 60 - STOP_PHASE_SECONDS


def test_no_two_requests_share_a_seed_so_each_image_is_identified_by_its_seed() -> None:
    requests = [event.action for event in draw_plan(1, seconds=90, processes=1, restarts_database=False)]
    seeds = [
        request.options["seed"] + position
        for request in requests
        if isinstance(request, Imagine)
        for position in range(request.options["count"])
    ]
    assert len(seeds) == len(set(seeds)) > 50


def test_kills_and_stops_of_one_process_do_not_overlap() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=90, processes=1, restarts_database=False)
        kills_and_stops = [(event.at_seconds, event.action) for event in plan if isinstance(event.action, Kill | Stop)]
        for (at, action), (following, _) in itertools.pairwise(kills_and_stops):
            assert at + (action.seconds if isinstance(action, Stop) else action.down_seconds) < following
