"""Learn from past tasks when to poll the next ones. Pure; knows no clock, no network, no database.

The first poll is timed so that about one image in ten is ready by then, from ten images on (of any size, until a size
has ten of its own). Further polls follow every 5 s, the shortest interval the API's document recommends ("polling every
5-10 seconds"). From the 51st image of a size on the time is learned by Robbins-Monro from one bit, "was it ready at the
first poll?". To learn from the times at which images were *noticed* would make it grow without end, since nothing is
noticed before the first poll.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from backoff import doubled_seconds
from qwen.models import Size

POLL_SECONDS = 5.0  # never closer than this for one task
FIRST_POLL_MAX_SECONDS = 60.0
BACKSTOP_SECONDS = 10.0  # between polls that only make up for a lost callback
BACKSTOP_SHARE = 0.95  # of the images should have called back before their first poll
READY_TARGET = 0.10  # the share of images that should be ready at their first poll
OWN_SAMPLES = 10  # with fewer than these a size goes by the images of all sizes
WARM_UP_SAMPLES = 50  # up to these the first poll goes by the durations themselves
USUAL_MIN_SAMPLES = 3  # with fewer than these the card names no range
REMEMBERED = 64
LATE_POLL_SECONDS = ((3600, 60.0), (24 * 3600, 900.0))  # after a deadline: (until this age, poll so often)
BACKOFF_MAX_SECONDS = 60.0


@dataclass(slots=True)
class SizeSchedule:
    """What is known of one size: seconds to the first poll, and how long past images took."""

    first_poll_seconds: float = POLL_SECONDS
    samples: int = 0
    durations: deque[float] = field(default_factory=lambda: deque[float](maxlen=REMEMBERED))


class PollSchedule:
    """What was learned, by size. One per process; dump() and load() keep it over a restart."""

    def __init__(self) -> None:
        self._sizes: dict[Size, SizeSchedule] = {size: SizeSchedule() for size in Size}

    def first_poll_seconds(self, size: Size) -> float:
        """Return the seconds from a task's POST to its first poll: 5 to 60."""
        schedule = self._sizes[size]
        if schedule.samples >= OWN_SAMPLES:
            return schedule.first_poll_seconds
        durations = self._durations()
        return _clamp(quantile(durations, READY_TARGET)) if len(durations) >= OWN_SAMPLES else POLL_SECONDS

    def observe(self, size: Size, *, last_poll_seconds: float, noticed_seconds: float, polls: int) -> None:
        """Learn from one finished image.

        *last_poll_seconds* is the age at the last poll that found it unfinished (0 when there was none),
        *noticed_seconds* its age when it was found finished, *polls* the number of polls.
        """
        schedule = self._sizes[size]
        schedule.durations.append((last_poll_seconds + noticed_seconds) / 2)  # the middle of the gap it fell into
        self._aim(schedule, ready_at_first_poll=polls == 1)

    @staticmethod
    def _aim(schedule: SizeSchedule, *, ready_at_first_poll: bool) -> None:
        schedule.samples += 1
        if schedule.samples <= WARM_UP_SAMPLES:
            schedule.first_poll_seconds = _clamp(quantile(schedule.durations, READY_TARGET))
            return
        gain = max(0.5, 4.0 / (1 + (schedule.samples - WARM_UP_SAMPLES) / 20))
        schedule.first_poll_seconds = _clamp(schedule.first_poll_seconds - gain * (ready_at_first_poll - READY_TARGET))

    def backstop_seconds(self, size: Size) -> float:
        """Return the seconds from a task's POST to its first poll when a callback is expected: 5 to 60; 10 at first.

        Learned from whole durations and not from one bit: a callback tells when an image was ready.
        """
        own = self._sizes[size].durations
        durations = own if len(own) >= USUAL_MIN_SAMPLES else self._durations()
        return _clamp(quantile(durations, BACKSTOP_SHARE)) if len(durations) >= USUAL_MIN_SAMPLES else BACKSTOP_SECONDS

    def observe_duration(self, size: Size, seconds: float) -> None:
        """Learn from one image whose duration is known from a callback."""
        schedule = self._sizes[size]
        schedule.durations.append(seconds)
        self._aim(schedule, ready_at_first_poll=seconds <= schedule.first_poll_seconds)

    def usual_seconds(self, size: Size) -> tuple[int, int] | None:
        """What half of the recent images of this size took, as (least, most); None while too few were seen."""
        durations = self._sizes[size].durations
        if len(durations) < USUAL_MIN_SAMPLES:
            return None
        least = max(1, round(quantile(durations, 0.25)))
        return least, max(least + 1, round(quantile(durations, 0.75)))

    def typical_seconds(self, size: Size | None = None) -> float | None:
        """The median of recent images of this size, or of all; None while too few were seen."""
        durations = self._durations() if size is None else self._sizes[size].durations
        return quantile(durations, 0.5) if len(durations) >= USUAL_MIN_SAMPLES else None

    def slow_seconds(self, size: Size) -> float | None:
        """The age after which an image takes longer than usual (the 95 % quantile)."""
        durations = self._sizes[size].durations
        return quantile(durations, 0.95) + POLL_SECONDS if len(durations) >= USUAL_MIN_SAMPLES else None

    def _durations(self) -> list[float]:
        """The durations of recent images of all sizes."""
        return [seconds for schedule in self._sizes.values() for seconds in schedule.durations]

    def dump(self) -> str:
        """Everything learned, as JSON."""
        return json.dumps(
            {
                size.value: {
                    "first_poll_seconds": round(schedule.first_poll_seconds, 3),
                    "samples": schedule.samples,
                    "durations": [round(seconds, 2) for seconds in schedule.durations],
                }
                for size, schedule in self._sizes.items()
            }
        )

    def load(self, text: str) -> None:
        """Take over what dump() wrote. What can't be read is dropped."""
        try:
            stored = json.loads(text)
            for size in Size:
                known = stored.get(size.value)
                if known is not None:
                    self._sizes[size] = SizeSchedule(
                        first_poll_seconds=_clamp(float(known["first_poll_seconds"])),
                        samples=int(known["samples"]),
                        durations=deque((float(seconds) for seconds in known["durations"]), maxlen=REMEMBERED),
                    )
        except (ValueError, KeyError, TypeError, AttributeError):
            self._sizes = {size: SizeSchedule() for size in Size}


def quantile(values: Sequence[float] | deque[float], share: float) -> float:
    """The value below which *share* of *values* lie (nearest rank). *values* must not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def backoff_seconds(failures: int, jitter: float) -> float:
    """How long to wait after *failures* temporary faults in a row: 5 s, then growing to a minute.

    *jitter* is a random number from 0 to 1; it spreads tasks that failed together (never below 5 s, so
    that the polls of one task stay apart).
    """
    ceiling = doubled_seconds(failures, first=POLL_SECONDS, most=BACKOFF_MAX_SECONDS)
    return POLL_SECONDS + (ceiling - POLL_SECONDS + 1.0) * jitter


def late_poll_seconds(age_seconds: float) -> float | None:
    """Return the seconds to the next poll of a task past its deadline; None: stop polling."""
    for until, every in LATE_POLL_SECONDS:
        if age_seconds < until:
            return every
    return None


def _clamp(seconds: float) -> float:
    return min(FIRST_POLL_MAX_SECONDS, max(POLL_SECONDS, seconds))
