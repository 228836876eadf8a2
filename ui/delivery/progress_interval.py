"""How often a card's progress is shown: less often with its age, and not at all after an hour. Pure.

Ages are milliseconds since Discord created the message.
"""

from __future__ import annotations

PROGRESS_AGE_MS = 60 * 60 * 1000  # Discord limits edits of messages older than an hour (code 30046)
PROGRESS_SECONDS = 5.0  # the least time between an edit and a progress edit of a young card
# From this age on, so many seconds between an edit and a progress edit of the same card.
_GAPS = ((10 * 60 * 1000, 60.0), (2 * 60 * 1000, 15.0), (0, PROGRESS_SECONDS))


def progress_gap_seconds(age_ms: int) -> float:
    """Return the least time between two edits: 5 s, after 2 minutes 15 s, after 10 minutes 60 s."""
    return next((gap for since_ms, gap in _GAPS if age_ms >= since_ms), PROGRESS_SECONDS)
