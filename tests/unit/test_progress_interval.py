"""The interval of progress edits grows with a card's age."""

from __future__ import annotations

import itertools

import pytest

from ui.delivery.progress_interval import PROGRESS_AGE_MS, progress_gap_seconds

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
    assert progress_gap_seconds(age_ms, same_words=True) == max(10, seconds)


def test_a_card_has_at_most_110_edits_in_an_hour() -> None:
    age_ms = 0.0
    for edits in itertools.count(1):  # noqa: B007
        age_ms += progress_gap_seconds(int(age_ms)) * 1000
        if age_ms > PROGRESS_AGE_MS:
            break
    assert edits <= 110
