"""How hard the image service may be pressed just now. Pure: time comes in as monotonic seconds.

Three limits: pauses after a 429, the number of tasks that may run at once (its limit is not documented, so it is
learned: docs/decisions/0018-task-slots.md), and a budget for looks, so that what an outage has held up
comes back in turn.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from generations.poll_schedule import POLL_SECONDS

POLLS_AT_ONCE_MIN = 20  # so few are no stampede, and on an ordinary day nobody waits
STALE_TURN_SECONDS = 1.0  # a turn that nobody came for is lost: many kept ones would be a stampede again
PAUSE_MAX_SECONDS = 300.0
PAUSE_FIRST_SECONDS = 5.0
FIRST_SLOTS = 4  # tasks that are tried at once before anything is known; and so many more than are known to run
FIRST_TRY_SECONDS = 30.0  # from the first 429 on a POST to the try of one more task
TRY_SECONDS_MAX = 1800.0


@dataclass(slots=True)
class PollBudget:
    """No more looks a second than *tasks* need that are each looked at every POLL_SECONDS, one second's worth at once.

    Whoever comes when it is spent is given a turn, first come, first served, and finds it kept for them.
    """

    tasks: int
    next_at: float = -math.inf
    turns: dict[str, float] = field(default_factory=dict[str, float])  # task id -> when it may be looked at

    @property
    def per_second(self) -> float:
        return max(1, self.tasks) / POLL_SECONDS

    def wait_seconds(self, task_id: str, now: float) -> float:
        """How long this task has to wait for its turn; 0: it is looked at now, and the look is spent."""
        turn = self.turns.pop(task_id, None)
        if turn is None or now - turn > STALE_TURN_SECONDS:
            at_once = max(POLLS_AT_ONCE_MIN, math.ceil(self.per_second))
            turn = max(now - (at_once - 1) / self.per_second, self.next_at)
            self.next_at = turn + 1 / self.per_second
        if turn <= now:
            return 0.0
        self._forget_stale(now)
        self.turns[task_id] = turn
        return turn - now

    def _forget_stale(self, now: float) -> None:
        """Turns stand in the order of their times, but for those that were asked for again."""
        for task_id in list(self.turns):
            if now - self.turns[task_id] <= STALE_TURN_SECONDS:
                break
            del self.turns[task_id]


@dataclass(slots=True)
class TaskSlots:
    """How many tasks this key may have running at once: 1 to *ceiling* (QWEN_MAX_TASKS), learned from answers to POSTs.

    Until a 429 each accepted POST shows that one more can be tried. A 429 sets the number back to the tasks that run;
    after *try_seconds*, which double with each such 429, one more is tried: taken, the search goes on one by one.
    """

    ceiling: int
    allowed: int = FIRST_SLOTS
    is_limited: bool = False  # by a 429, and no more than `allowed` are tried before try_at
    try_seconds: float = 0.0  # 0: no 429 was ever met
    try_at: float = -math.inf

    def __post_init__(self) -> None:
        self.allowed = min(self.allowed, self.ceiling)

    def count(self, now: float) -> int:
        """How many tasks may run at once just now."""
        is_try = self.is_limited and now >= self.try_at
        return min(self.ceiling, self.allowed + is_try)

    @property
    def expected(self) -> int:
        """How many may be able to run in a while: all of the ceiling, as long as nothing speaks against it."""
        return self.allowed if self.is_limited else self.ceiling

    def accepted(self, running: int, now: float) -> None:
        """A POST was taken, and *running* tasks run with it."""
        if self.is_limited and now >= self.try_at and running > self.allowed:
            self.is_limited = False
        more = 0 if self.is_limited else 1 if self.try_seconds else FIRST_SLOTS
        self.allowed = min(self.ceiling, max(self.allowed, running + more))

    def refused(self, running: int, now: float) -> None:
        """A POST met a 429 while *running* tasks ran. All of one wave count as one, and the last one knows best."""
        if not self.is_limited or now >= self.try_at:
            was_quiet = now - self.try_at > TRY_SECONDS_MAX  # the last 429 is history
            grown = FIRST_TRY_SECONDS if was_quiet else self.try_seconds * 2
            self.try_seconds = min(TRY_SECONDS_MAX, max(FIRST_TRY_SECONDS, grown))
        self.is_limited = True
        self.try_at = now + self.try_seconds
        self.allowed = max(1, min(self.allowed, running))

    def dump(self) -> str:
        """What was learned, as JSON."""
        learned = {"allowed": self.allowed, "is_limited": self.is_limited, "try_seconds": self.try_seconds}
        return json.dumps(learned)

    def load(self, text: str, now: float) -> None:
        """Take over what dump() wrote, here or in another process. What can't be read changes nothing."""
        try:
            known = json.loads(text)
            allowed, is_limited, seconds = int(known["allowed"]), bool(known["is_limited"]), float(known["try_seconds"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return
        self.allowed = min(self.ceiling, max(1, allowed))
        self.is_limited = is_limited
        self.try_seconds = min(TRY_SECONDS_MAX, max(FIRST_TRY_SECONDS, seconds)) if seconds > 0 else 0.0
        self.try_at = now + self.try_seconds if is_limited else now


@dataclass(slots=True)
class Pause:
    """A wait that the service asked for by a 429. Without a named time it grows from wave to wave, 5 s to 5 min."""

    until: float = 0.0
    refusals: int = 0

    def refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """The service said "too many". Returns the seconds to wait."""
        if now >= self.until:  # requests that were under way when the pause began are of the same wave
            self.refusals += 1
        grown = min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** min(max(0, self.refusals - 1), 6))
        wait = retry_after_seconds if retry_after_seconds is not None else PAUSE_FIRST_SECONDS + grown * jitter
        wait = min(PAUSE_MAX_SECONDS, max(1.0, wait))
        self.until = max(self.until, now + wait)
        return wait

    def succeeded(self, now: float) -> None:
        """The service answered normally."""
        if now >= self.until:
            self.refusals = 0

    def wait_seconds(self, now: float) -> float:
        """How long the pause still lasts; 0 when it is over."""
        return max(0.0, self.until - now)


@dataclass(slots=True)
class Throttle:
    """The whole client's state of grace. *limit* is QWEN_MAX_TASKS."""

    limit: int
    calls: Pause = field(default_factory=Pause)  # nothing is asked of the service
    posts: Pause = field(default_factory=Pause)  # no task is asked for, polls go on
    slots: TaskSlots = field(init=False)
    polls: PollBudget = field(init=False)

    def __post_init__(self) -> None:
        self.slots = TaskSlots(self.limit)
        self.polls = PollBudget(self.limit)

    def poll_refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """A poll met a 429: too many calls, so everything waits; of tasks it says nothing. Returns the seconds."""
        return self.calls.refused(now, retry_after_seconds, jitter)

    def post_refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """A POST met a 429. Returns the seconds for which no POST is made.

        It most likely speaks of tasks, also where it names a time, and only polls tell when one has ended: they go on,
        and if there were too many calls the next poll meets a 429 of its own.
        """
        return self.posts.refused(now, retry_after_seconds, jitter)

    def poll_succeeded(self, now: float) -> None:
        """A poll was answered normally."""
        self.calls.succeeded(now)

    def post_succeeded(self, now: float) -> None:
        """A POST was answered normally."""
        self.calls.succeeded(now)
        self.posts.succeeded(now)

    def wait_seconds(self, now: float) -> float:
        """How long every call still waits; 0 when polls may go on."""
        return self.calls.wait_seconds(now)

    def post_wait_seconds(self, now: float) -> float:
        """How long POSTs still wait; 0 when they may go on."""
        return max(self.calls.wait_seconds(now), self.posts.wait_seconds(now))
