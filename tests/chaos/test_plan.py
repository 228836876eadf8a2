"""The plan of a chaos run depends on the seed alone."""

from __future__ import annotations

import itertools

from tests.chaos.plan import (
    ORDERS,
    STOP_PHASE_SECONDS,
    CheckCredits,
    Imagine,
    Kill,
    RestartDatabase,
    RollingRestart,
    Stop,
    StopWhilePosting,
    draw_plan,
)
from tests.chaos.worlds import WORLDS

ONE, TWO, SHARDS = WORLDS["sqlite"], WORLDS["postgresql"], WORLDS["shards"]


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first, again, other = (draw_plan(seed, seconds=90, world=TWO) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_every_plan_kills_and_stops_each_process_and_restarts_the_database() -> None:
    for seed in range(50):
        actions = [event.action for event in draw_plan(seed, seconds=90, world=TWO)]
        for process in (0, 1):
            assert sum(isinstance(action, Kill) and action.process == process for action in actions) >= 2, seed
            assert any(isinstance(action, Stop) and action.process == process for action in actions), seed
        assert any(isinstance(action, RestartDatabase) for action in actions), seed


def test_no_process_is_killed_within_the_stop_phase_at_the_end() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=60, world=TWO)
        (stop_phase,) = [event.at_seconds for event in plan if isinstance(event.action, StopWhilePosting)]
        kills_and_stops = [
            event.at_seconds for event in plan if isinstance(event.action, Kill | Stop | RestartDatabase)
        ]
        assert kills_and_stops and max(kills_and_stops) < stop_phase == 60 - STOP_PHASE_SECONDS


def test_no_two_requests_share_a_seed_so_each_image_is_identified_by_its_seed() -> None:
    requests = [event.action for event in draw_plan(1, seconds=90, world=ONE)]
    seeds = [
        request.options["seed"] + position
        for request in requests
        if isinstance(request, Imagine)
        for position in range(request.options["count"])
    ]
    assert len(seeds) == len(set(seeds)) > 50


def test_kills_and_stops_of_one_process_do_not_overlap() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=90, world=ONE)
        kills_and_stops = [(event.at_seconds, event.action) for event in plan if isinstance(event.action, Kill | Stop)]
        for (at, action), (following, _) in itertools.pairwise(kills_and_stops):
            assert at + (action.seconds if isinstance(action, Stop) else action.down_seconds) < following


def test_a_crowd_types_twenty_commands_a_second_in_channels_of_every_process() -> None:
    plan = draw_plan(3, seconds=60, world=SHARDS)
    commands = [event.action for event in plan if isinstance(event.action, Imagine | CheckCredits)]
    assert 59 * 20 <= len(commands) <= 60 * 20
    assert {command.channel for command in commands} == {"gallery", "studio", "dm", "pier", "slipway"}


def test_every_process_is_replaced_in_turn_after_the_kills_and_both_orders_occur() -> None:
    for seed in range(50):
        plan = draw_plan(seed, seconds=60, world=SHARDS)
        ((at, roll),) = [(event.at_seconds, each) for event in plan if isinstance(each := event.action, RollingRestart)]
        faults = [(event.at_seconds, each) for event in plan if isinstance(each := event.action, Kill | Stop)]
        assert {each.process for _, each in faults} == {0, 1, 2, 3}
        assert max(seconds for seconds, _ in faults) < at
        assert len(roll.orders) == 4 and {*roll.orders} == {*ORDERS}


def test_the_shards_of_a_world_are_divided_evenly_and_the_worker_has_none() -> None:
    assert [SHARDS.process_of(shard_id) for shard_id in range(6)] == [0, 0, 1, 1, 2, 2]
    assert [bool(SHARDS.settings_of(process)) for process in range(4)] == [True, True, True, False]
    assert TWO.settings_of(0) == {}
