"""The one source of time. Everything that waits or stamps a row is handed one of these, so tests can move it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for rows and people, monotonic time for distances, and sleep."""

    def now_ms(self) -> int:
        """Unix time in milliseconds. May jump, in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return int(time.time() * 1000)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
