"""The clock that everything gets as a parameter which waits or stores a time, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Wall time for rows and people, monotonic time for durations, and sleep."""

    def now_ms(self) -> int:
        """Unix time in milliseconds. May jump, in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        ...


class Deadline:
    """A moment *seconds* from now, shared by everything that has to end before it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    def left(self, reserve: float = 0.0) -> float:
        """The seconds until then, without the last *reserve* of them; never below 0."""
        return max(0.0, self._at - reserve - self._clock.monotonic())


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return int(time.time() * 1000)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def done_within(task: asyncio.Future[Any], seconds: float, clock: Clock) -> bool:
    """Whether *task* ended within *seconds*. It goes on either way, and its result or exception stays with it."""
    timer = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return task.done()
