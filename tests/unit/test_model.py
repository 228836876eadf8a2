"""The model of generations: valid requests, and the moves between states."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.errors import (
    DeliveryDelayed,
    IllegalMove,
    LineFull,
    LostClaim,
    MovedOn,
    NotYours,
    StillAtWork,
    TooManyRequests,
)
from generations.model import (
    HELD,
    IN_FLIGHT,
    MADE,
    MOVES,
    RETURNED,
    VISIBLE_ENDINGS,
    WAITING,
    Ending,
    Generation,
    Image,
    Line,
    Origin,
    Request,
    State,
)
from generations.prices import charged_for
from qwen.models import SEED_MAX, OutputFormat, Size

ORIGIN = Origin(175928847299117063, 1, 2, 3, 4, "a secret", 10_000_000)


def parse(**changes: Any) -> Request:
    asked: dict[str, Any] = {
        "prompt": "a lighthouse",
        "size": Size.SQUARE,
        "seed": 7,
        "format": OutputFormat.JPEG,
        "count": 1,
        "private": False,
        "spoiler": False,
        "rng": random.Random(1),
    }
    return Request.parse(**asked | changes)


def generation(*states: State) -> Generation:
    images = tuple(Image(1, position, seed=position, state=state) for position, state in enumerate(states))
    return Generation(1, Request("x", count=len(states)), ORIGIN, 0, images)


def reachable(source: State) -> set[State]:
    """Return every state that can follow *source*, itself included."""
    found, new = {source}, {source}
    while new:
        new = {target for state in new for target in MOVES[state]} - found
        found |= new
    return found


@given(st.none() | st.just(-1), st.integers())
def test_a_seed_that_is_left_out_is_drawn_so_that_every_image_of_the_request_has_one(
    seed: int | None, dice: int
) -> None:
    request = parse(seed=seed, count=4, rng=random.Random(dice))
    assert 0 <= request.seed <= SEED_MAX - 4
    assert parse(seed=seed, count=4, rng=random.Random(dice)) == request


@given(st.integers(0, SEED_MAX), st.integers(1, 4))
def test_the_images_of_one_request_have_different_seeds_that_the_service_takes(seed: int, count: int) -> None:
    request = parse(seed=seed, count=count)
    seeds = [request.seed_at(position) for position in range(count)]
    assert seeds[0] == seed
    assert len(set(seeds)) == count
    assert all(0 <= each <= SEED_MAX for each in seeds)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": ""},
        {"prompt": " \n\t"},
        {"prompt": "x" * 2001},
        {"seed": -2},
        {"seed": SEED_MAX + 1},
        {"count": 0},
        {"count": 5},
    ],
    ids=str,
)
def test_a_request_that_the_service_would_refuse_is_refused_with_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        parse(**wrong)


def test_a_token_runs_out_fifteen_minutes_after_its_interaction() -> None:
    # Discord docs: Reference, "Snowflakes": this id is of 1462015105796.
    assert ORIGIN.token_expires_at_ms == 1_462_015_105_796 + 900_000


def test_no_text_of_an_origin_holds_its_token() -> None:
    assert "a secret" not in repr(ORIGIN)
    assert "a secret" not in repr(replace(generation(State.REQUESTED), origin=ORIGIN))


def test_every_state_has_its_moves_and_belongs_to_one_kind() -> None:
    assert set(MOVES) == set(State)
    kinds = (WAITING, IN_FLIGHT, MADE, RETURNED)
    assert sorted(state for kind in kinds for state in kind) == sorted(State)


def test_no_move_holds_credits_again_or_submits_twice() -> None:
    for state in set(State) - HELD:
        assert not reachable(state) & HELD
    assert reachable(State.RUNNING).isdisjoint({State.REQUESTED, State.SUBMITTING})
    assert reachable(State.UNKNOWN).isdisjoint({State.REQUESTED, State.SUBMITTING})


def test_every_state_leads_to_a_visible_ending() -> None:
    ends = {state for state in State if not MOVES[state]}
    assert all(reachable(state) & ends for state in State)
    assert VISIBLE_ENDINGS.isdisjoint(HELD)
    for state in HELD:
        assert not MOVES[state] - HELD - VISIBLE_ENDINGS, "no move leaves the hold behind without news for the card"


def test_only_waiting_images_can_be_cancelled() -> None:
    assert generation(State.RUNNING, State.REQUESTED).cancellable
    assert not generation(*[state for state in State if state is not State.REQUESTED][:4]).cancellable


def test_a_generation_is_finished_when_none_of_its_images_holds_credits() -> None:
    for state in State:
        assert generation(State.DELIVERED, state).finished == (state not in HELD)


def test_a_generation_is_unpublished_until_its_newest_revision_is() -> None:
    made = replace(generation(State.CANCELLED), revision=2, published_revision=1)
    assert made.is_unpublished
    assert not replace(made, published_revision=2).is_unpublished


def test_an_image_id_is_generation_and_position() -> None:
    assert [image.image_id for image in generation(State.REQUESTED, State.RUNNING).images] == ["1-0", "1-1"]


def test_a_place_waits_for_own_images_only_at_the_cap() -> None:
    assert Line(4, own_running=3, own_cap=3, own_position=1, about_seconds=None).waits_for_own
    assert not Line(4, own_running=2, own_cap=3, own_position=1, about_seconds=None).waits_for_own


@pytest.mark.parametrize(
    ("state", "ending", "consumed", "charged"),
    [
        *(
            (state, None, consumed, charged)
            for state in sorted(MADE)
            for consumed, charged in ((None, 5), (3, 3), (9, 5), (0, 0))
        ),
        *((state, Ending.DEADLINE, 5, 0) for state in sorted(MADE)),
        *((state, None, 5, 0) for state in sorted(HELD | RETURNED)),
    ],
)
def test_an_image_costs_what_was_consumed_and_at_most_its_price(
    state: State, ending: Ending | None, consumed: int | None, charged: int
) -> None:
    assert charged_for(Image(1, 0, 42, state, ending=ending, consumed_credits=consumed)) == charged


def test_a_refusal_holds_its_details() -> None:
    full, many, busy = LineFull(7, 99), TooManyRequests(3, 99), StillAtWork(2)
    assert (full.limit, full.free_at_ms, str(full)) == (7, 99, "7 images wait already")
    assert (many.limit, many.next_at_ms, str(many)) == (3, 99, "3 requests were taken on within a minute")
    assert (busy.images, str(busy)) == (2, "2 images are under way")
    assert (NotYours(5).owner_id, str(NotYours(5))) == (5, "it belongs to somebody else")
    assert (DeliveryDelayed(7.4).retry_after_seconds, str(DeliveryDelayed(7.4))) == (
        *(7.4, "Discord can't take it now, again in 7 s"),
    )


def test_a_lost_claim_names_its_generation() -> None:
    lost, moved, illegal = LostClaim(5), MovedOn("5-0", "running"), IllegalMove("5-0", "running", "requested")
    assert (lost.generation_id, str(lost)) == (5, "generation 5 is claimed by another worker")
    assert (moved.image_id, str(moved)) == ("5-0", "image 5-0 is no longer running")
    assert (illegal.image_id, str(illegal)) == ("5-0", "image 5-0 can't go from running to requested")
