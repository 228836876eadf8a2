"""How long to wait between tries that keep failing. Pure; each caller adds the jitter that suits it."""

from __future__ import annotations

DOUBLINGS_MAX = 64  # a float can't be doubled for ever


def doubled_seconds(failures: int, *, first: float, most: float) -> float:
    """Return *first* after one failure in a row, twice as long after each further one, and never more than *most*."""
    return min(most, first * 2.0 ** min(max(0, failures - 1), DOUBLINGS_MAX))
