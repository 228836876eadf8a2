"""A replacement for sleep, for tests of retries and pauses."""

from __future__ import annotations


class Pauses:
    """Replaces sleep: no time passes, and each pause is recorded."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
