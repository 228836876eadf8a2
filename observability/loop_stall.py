"""Measure how much too late the event loop comes back from a short sleep: something has held it for so long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

from observability.metrics import Metrics

SLEEP_SECONDS = 0.25


async def watch_loop(
    metrics: Metrics, *, sleep: Callable[[float], Awaitable[None]], monotonic: Callable[[], float]
) -> NoReturn:
    """Measure again and again, until cancelled. A stall that begins within a sleep shows in part."""
    while True:
        began_at = monotonic()
        await sleep(SLEEP_SECONDS)
        metrics.loop_stalled(monotonic() - began_at - SLEEP_SECONDS)
