"""Wake the worker when another process announces work that it can't do itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

from backoff import doubled_seconds
from generations.clock import Clock
from observability.repeats import REPEATS
from store.errors import DatabaseLost
from store.notifications import listen

log = logging.getLogger("qwen_imagine.processes")

WORK = "qwen_imagine_work"  # the channel of store.notifications
RECONNECT_SECONDS_MAX = 60.0


async def keep_listening(address: str, clock: Clock, nudge: Callable[[], None]) -> None:
    """Call *nudge* after each notification on WORK. A connection that breaks is opened again, later each time.

    Returns where nothing can be heard: the worker's own rounds find the work, a second later at most.
    """
    failures = 0
    while True:
        began_at = clock.monotonic()
        try:
            await listen(address, WORK, nudge, sleep=clock.sleep)
            log.info("other processes' notifications can't be heard here; rows are looked at every second")
            return
        except DatabaseLost as lost:
            failures = 1 if clock.monotonic() - began_at > RECONNECT_SECONDS_MAX else failures + 1
            seconds = doubled_seconds(failures, first=1.0, most=RECONNECT_SECONDS_MAX)
            log.warning("%s; the next try comes in %.0f s", lost, seconds, extra=REPEATS)
            await clock.sleep(seconds)
