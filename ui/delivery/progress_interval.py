"""How often a card's progress is shown: less often with its age, and not at all after an hour. Pure.

Ages are milliseconds since Discord created the message. When the image is ready is a timestamp, which Discord's
clients count down by themselves (Discord docs: Reference, "Timestamp Styles"). So an edit that changes only the bar and
figures can wait longer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from generations.model import Generation, Progress

PROGRESS_AGE_MS = 60 * 60 * 1000  # Discord limits edits of messages older than an hour (code 30046)
PROGRESS_SECONDS = 5.0  # the least time between an edit and a progress edit of a young card with other words
FIGURES_SECONDS = 10.0  # with the same words
# From this age on, so many seconds between an edit and a progress edit of the same card.
_GAPS = ((10 * 60 * 1000, 60.0), (2 * 60 * 1000, 15.0))


def progress_gap_seconds(age_ms: int, *, same_words: bool = False) -> float:
    """Return the least time between two edits: 5 s, with the *same_words* 10 s; after 2 minutes 15 s, after 10 60 s."""
    young = FIGURES_SECONDS if same_words else PROGRESS_SECONDS
    return next((gap for since_ms, gap in _GAPS if age_ms >= since_ms), young)


def words_of(generation: Generation, progress: Progress) -> tuple[Any, ...]:
    """Return what decides the words of a card's progress, without its bar and figures of time."""
    estimate = progress.estimate
    if estimate is not None:
        usual = None if estimate.usual_seconds is None else (0, 0)
        ready_at_ms = None if estimate.ready_at_ms is None else 0
        share = None if estimate.share is None else 0.0
        estimate = replace(estimate, begun_at_ms=0, share=share, usual_seconds=usual, ready_at_ms=ready_at_ms)
    states = tuple(image.state for image in generation.images)
    return generation.revision, states, progress.line, estimate, progress.is_held_up
