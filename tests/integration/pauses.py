"""A stand-in for sleep, for tests of tries and pauses."""

from __future__ import annotations


class Pauses:
    """Takes the place of sleep: no time passes, but each pause is written down."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
