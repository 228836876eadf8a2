"""Record when each action of a run happened, by the clocks of the image API and of the local Discord."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.image_api import Mood


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One action. *at_ms*: monotonic, by the clock of the image API."""

    at_ms: int
    what: str
    killed: int | None = None  # the process that was killed
    stopped: int | None = None  # the process that was sent SIGSTOP
    resumed: int | None = None  # the process that was sent SIGCONT
    mood: Mood | None = None  # of the image API, from now on


class Timeline:
    """*monotonic_ms*: the image API's clock; *wall_ms*: the local Discord's and the bots'."""

    def __init__(self, monotonic_ms: Callable[[], int], wall_ms: Callable[[], int]) -> None:
        self.entries: list[TimelineEntry] = []
        self._monotonic_ms = monotonic_ms
        self._wall_ms = wall_ms
        self.begin()

    def begin(self) -> None:
        """Start counting seconds."""
        self.began_ms = self._monotonic_ms()
        self.began_wall_ms = self._wall_ms()

    @property
    def now_ms(self) -> int:
        return self._monotonic_ms()

    def note(
        self,
        what: str,
        *,
        killed: int | None = None,
        stopped: int | None = None,
        resumed: int | None = None,
        mood: Mood | None = None,
    ) -> None:
        self.entries.append(TimelineEntry(self._monotonic_ms(), what, killed, stopped, resumed, mood))

    def was_killed_within(self, process: int | None, since_ms: int, until_ms: int) -> bool:
        """Return whether *process* (None: any) was killed between these times."""
        return any(
            entry.killed is not None and process in (None, entry.killed) and since_ms <= entry.at_ms <= until_ms
            for entry in self.entries
        )

    def resumed_within(self, since_ms: int, until_ms: int) -> bool:
        """Return whether a stopped process went on between these times."""
        return any(entry.resumed is not None and since_ms <= entry.at_ms <= until_ms for entry in self.entries)

    def was_stopped_within(self, process: int, since_ms: int, until_ms: int) -> bool:
        """Return whether *process* was stopped for a part of this time."""
        begins = (entry.at_ms for entry in self.entries if entry.stopped == process)
        ends = [entry.at_ms for entry in self.entries if entry.resumed == process]
        return any(
            begin <= until_ms and since_ms <= end
            for begin, end in itertools.zip_longest(begins, ends, fillvalue=until_ms)
        )

    def was_any_interrupted_within(self, since_ms: int, until_ms: int) -> bool:
        """Return whether a process was killed or began to be stopped between these times."""
        interrupted = (entry.at_ms for entry in self.entries if (entry.killed, entry.stopped) != (None, None))
        return any(since_ms <= at_ms <= until_ms for at_ms in interrupted)

    def moods_within(self, since_ms: int, until_ms: int) -> set[Mood]:
        """Return every mood of the image API between these times, the one at the beginning included."""
        dated = [(entry.at_ms, entry.mood) for entry in self.entries if entry.mood is not None]
        before = [mood for at_ms, mood in dated if at_ms < since_ms]
        return {before[-1] if before else Mood.NORMAL, *(mood for at, mood in dated if since_ms <= at <= until_ms)}
