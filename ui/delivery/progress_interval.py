"""How often a card's progress is shown: less often with its age, and not at all after an hour. Pure.

Ages are milliseconds since Discord created the message. When the image is ready is a timestamp, which Discord's
clients count down by themselves (Discord docs: Reference, "Timestamp Styles"). So an edit that changes only the bar and
figures can wait longer, and is left out when it would come shortly before that moment or after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generations.model import Generation, Progress

PROGRESS_AGE_MS = 60 * 60 * 1000  # Discord limits edits of messages older than an hour (code 30046)
PROGRESS_SECONDS = 5.0  # the least time between an edit and a progress edit of a young card with other words
FIGURES_SECONDS = 15.0  # with the same words
EXPECTED_SECONDS = 3.0  # figures are not shown so shortly before the image should be ready: it or other words follow
# From this age on, so many seconds between an edit and a progress edit of the same card.
_GAPS = ((10 * 60 * 1000, 60.0), (2 * 60 * 1000, 15.0))


def progress_gap_seconds(age_ms: int, *, same_words: bool = False) -> float:
    """Return the least time between two edits: 5 s, with the *same_words* 15 s; after 2 minutes 15 s, after 10 60 s."""
    young = FIGURES_SECONDS if same_words else PROGRESS_SECONDS
    return next((gap for since_ms, gap in _GAPS if age_ms >= since_ms), young)


@dataclass(frozen=True, slots=True)
class Words:
    """What decides the words of a card's progress. *ready_at_ms*: when it says that the image should be ready."""

    said: tuple[Any, ...]
    ready_at_ms: int | None

    def same_as(self, earlier: Words | None) -> bool:
        """Whether only the bar and figures differ from *earlier*. A moment that has passed is to be taken back."""
        if earlier is None or self.said != earlier.said:
            return False
        return self.ready_at_ms is not None or earlier.ready_at_ms is None

    def is_expected_soon(self, at_ms: float) -> bool:
        """Whether, at *at_ms*, the image should be ready within EXPECTED_SECONDS, or since."""
        return self.ready_at_ms is not None and self.ready_at_ms - at_ms <= EXPECTED_SECONDS * 1000


def words_of(generation: Generation, progress: Progress) -> Words:
    """Return what decides the words of a card's progress, without its bar and figures of time."""
    states, estimate = tuple(image.state for image in generation.images), progress.estimate
    faults = None if estimate is None else (estimate.overdue, estimate.service_slow)
    said = (generation.revision, states, progress.line, progress.stopped, progress.is_held_up, faults)
    return Words(said, None if estimate is None else estimate.ready_at_ms)
