"""When the arena did what, by the two clocks that its witnesses know. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.image_api import Mood


@dataclass(frozen=True, slots=True)
class Moment:
    """One deed. *at_ms* is monotonic, as the image API counts."""

    at_ms: int
    what: str
    killed: int | None = None  # the process that died here
    woke: bool = False  # a process went on here after a stop
    mood: Mood | None = None  # the image API's from here on


class Diary:
    """*monotonic_ms*: the image API's clock; *wall_ms*: the local Discord's and the bots'."""

    def __init__(self, monotonic_ms: Callable[[], int], wall_ms: Callable[[], int]) -> None:
        self.moments: list[Moment] = []
        self._monotonic_ms = monotonic_ms
        self._wall_ms = wall_ms
        self.begin()

    def begin(self) -> None:
        """Seconds are counted from now on."""
        self.began_ms = self._monotonic_ms()
        self.began_wall_ms = self._wall_ms()

    def note(self, what: str, *, killed: int | None = None, woke: bool = False, mood: Mood | None = None) -> None:
        self.moments.append(Moment(self._monotonic_ms(), what, killed, woke, mood))

    def was_killed_within(self, process: int | None, since_ms: int, until_ms: int) -> bool:
        """Whether *process* (None: any) died between these two moments."""
        return any(
            moment.killed is not None and process in (None, moment.killed) and since_ms <= moment.at_ms <= until_ms
            for moment in self.moments
        )

    def woke_within(self, since_ms: int, until_ms: int) -> bool:
        """Whether a process went on after a stop between these two moments."""
        return any(moment.woke and since_ms <= moment.at_ms <= until_ms for moment in self.moments)

    def moods_within(self, since_ms: int, until_ms: int) -> set[Mood]:
        """Every mood that the image API was in between these two moments, the one it came with included."""
        dated = [(moment.at_ms, moment.mood) for moment in self.moments if moment.mood is not None]
        before = [mood for at_ms, mood in dated if at_ms < since_ms]
        return {before[-1] if before else Mood.NORMAL, *(mood for at, mood in dated if since_ms <= at <= until_ms)}
