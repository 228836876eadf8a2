"""Repeat a call after certain errors, with growing, fully jittered pauses. Must not know what is called."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from backoff import doubled_seconds

Sleep = Callable[[float], Awaitable[None]]

PAUSE_MAX_SECONDS = 8.0


def build_tries(
    times: int,
    *,
    again: Callable[[BaseException], bool],
    first_pause_seconds: float,
    rng: random.Random,
    sleep: Sleep | None,
) -> AsyncRetrying:
    """Make up to `times` tries of a call, as long as `again` is true of what it raised; the last error is raised.

    Each pause is drawn from 0 to a limit that starts at `first_pause_seconds` and doubles, up to 8 s. `sleep` None:
    tenacity's own.
    """

    def pause_seconds(state: RetryCallState) -> float:
        return rng.uniform(
            0.0, doubled_seconds(state.attempt_number, first=first_pause_seconds, most=PAUSE_MAX_SECONDS)
        )

    tries = AsyncRetrying(
        stop=stop_after_attempt(times), retry=retry_if_exception(again), wait=pause_seconds, reraise=True
    )
    return tries if sleep is None else tries.copy(sleep=sleep)
