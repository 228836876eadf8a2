"""The interval of progress edits grows with a card's age."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from generations.model import Estimate, Progress
from tests.integration.delivery_scene import painting
from ui.delivery.progress_interval import PROGRESS_AGE_MS, progress_gap_seconds, words_of

MINUTE = 60_000


@pytest.mark.parametrize(
    ("age_ms", "seconds"),
    [
        (-5, 5),
        (0, 5),
        (2 * MINUTE - 1, 5),
        (2 * MINUTE, 15),
        (10 * MINUTE - 1, 15),
        (10 * MINUTE, 60),
        (59 * MINUTE, 60),
    ],
)
def test_the_gap_grows_with_the_age(age_ms: int, seconds: float) -> None:
    assert progress_gap_seconds(age_ms) == seconds
    assert progress_gap_seconds(age_ms, same_words=True) == max(15, seconds)


def test_a_card_has_at_most_110_edits_in_an_hour() -> None:
    age_ms = 0.0
    for edits in itertools.count(1):  # noqa: B007
        age_ms += progress_gap_seconds(int(age_ms)) * 1000
        if age_ms > PROGRESS_AGE_MS:
            break
    assert edits <= 110


ESTIMATE = Estimate(begun_at_ms=0, share=0.1, usual_seconds=(8, 12), ready_at_ms=9_000)


@pytest.mark.parametrize(
    ("later", "is_same"),
    [
        (replace(ESTIMATE, share=0.9, usual_seconds=(9, 12), ready_at_ms=9_500), True),
        (replace(ESTIMATE, overdue=True), False),
        (replace(ESTIMATE, service_slow=True), False),
        (replace(ESTIMATE, ready_at_ms=None), False),
    ],
    ids=["figures", "overdue", "slow", "the moment has passed"],
)
def test_words_are_the_same_while_only_the_bar_and_figures_change(later: Estimate, is_same: bool) -> None:
    generation = painting()[0]
    assert (
        words_of(generation, Progress(None, later)).same_as(words_of(generation, Progress(None, ESTIMATE))) is is_same
    )


def test_a_first_estimate_is_a_figure_and_a_new_state_is_not() -> None:
    generation = painting()[0]
    unknown = replace(ESTIMATE, share=None, usual_seconds=None, ready_at_ms=None)
    before = words_of(generation, Progress(None, unknown))
    assert words_of(generation, Progress(None, ESTIMATE)).same_as(before)
    assert not words_of(replace(generation, revision=2), Progress(None, unknown)).same_as(before)
    assert not before.same_as(None)


@pytest.mark.parametrize(("at_ms", "is_soon"), [(5_999, False), (6_000, True), (9_500, True)])
def test_an_image_is_expected_from_3_seconds_before_the_moment_on(at_ms: int, is_soon: bool) -> None:
    generation = painting()[0]
    assert words_of(generation, Progress(None, ESTIMATE)).is_expected_soon(at_ms) is is_soon
    assert not words_of(generation, Progress(None, replace(ESTIMATE, ready_at_ms=None))).is_expected_soon(at_ms)
