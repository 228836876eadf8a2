"""The clock that everything gets as a parameter which waits or stores a time, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

DRIFT = 0.0002  # how much faster one machine's clock may run than another's: crystals differ by 0.0001 and less


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


class DatabaseClock:
    """The wall clock of the database server, so that the machines of several processes need not agree.

    It is what the last reading said plus the monotonic seconds since. A reading is wrong by half its round trip at
    most; it is used if it is more exact than the last one by now, or contradicts it, since then the server's clock was
    set. Before the first reading it is *machine*'s.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._ahead_ms: float | None = None  # of the monotonic clock
        self._error_ms = 0.0
        self._read_at = 0.0

    def now_ms(self) -> int:
        if self._ahead_ms is None:
            return self._machine.now_ms()
        return int(self._ahead_ms + self._machine.monotonic() * 1000)

    def monotonic(self) -> float:
        return self._machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._machine.sleep(seconds)

    def read(self, time_ms: float, asked_at: float, answered_at: float) -> None:
        """Note that the server said *time_ms* (unix) between two readings of monotonic()."""
        ahead_ms = time_ms - (asked_at + answered_at) / 2 * 1000
        error_ms = (answered_at - asked_at) / 2 * 1000
        if self._ahead_ms is not None:
            known_ms = self._error_ms + (answered_at - self._read_at) * 1000 * DRIFT
            if known_ms < error_ms and abs(ahead_ms - self._ahead_ms) <= error_ms + known_ms:
                return
        self._ahead_ms, self._error_ms, self._read_at = ahead_ms, error_ms, answered_at


async def done_within(task: asyncio.Future[Any], seconds: float, clock: Clock) -> bool:
    """Whether *task* ended within *seconds*. It goes on either way, and its result or exception stays with it."""
    timer = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return task.done()
