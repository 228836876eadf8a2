"""A run of chaos can be asked for again: its plan comes from the seed alone."""

from __future__ import annotations

import itertools

from tests.chaos.plan import DUEL_SECONDS, Imagine, Kill, RestartDatabase, Stop, StopPoster, draw_plan


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first, again, other = (draw_plan(seed, seconds=90, processes=2, restarts_database=True) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_every_plan_kills_and_stops_each_process_and_restarts_the_database() -> None:
    for seed in range(50):
        deeds = [event.deed for event in draw_plan(seed, seconds=90, processes=2, restarts_database=True)]
        for process in (0, 1):
            assert sum(isinstance(deed, Kill) and deed.process == process for deed in deeds) >= 2, seed
            assert any(isinstance(deed, Stop) and deed.process == process for deed in deeds), seed
        assert any(isinstance(deed, RestartDatabase) for deed in deeds), seed


def test_no_process_dies_within_the_duel_that_ends_a_run() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=60, processes=2, restarts_database=True, callbacks=True)
        (duel,) = [event.at_seconds for event in plan if isinstance(event.deed, StopPoster)]
        blows = [event.at_seconds for event in plan if isinstance(event.deed, Kill | Stop | RestartDatabase)]
        assert blows and max(blows) < duel == 60 - DUEL_SECONDS


def test_no_two_requests_share_a_seed_so_that_each_image_can_be_told_from_every_other() -> None:
    requests = [event.deed for event in draw_plan(1, seconds=90, processes=1, restarts_database=False)]
    seeds = [
        request.options["seed"] + position
        for request in requests
        if isinstance(request, Imagine)
        for position in range(request.options["count"])
    ]
    assert len(seeds) == len(set(seeds)) > 50


def test_blows_to_one_process_come_one_after_the_other() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=90, processes=1, restarts_database=False)
        blows = [(event.at_seconds, event.deed) for event in plan if isinstance(event.deed, Kill | Stop)]
        for (at, deed), (following, _) in itertools.pairwise(blows):
            assert at + (deed.seconds if isinstance(deed, Stop) else deed.down_seconds) < following
