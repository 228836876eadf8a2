"""Limit the calls to the image service. Pure: time comes in as monotonic seconds.

Three limits: pauses after a 429, the number of tasks that may run at once (not documented, so it is learned:
docs/decisions/0018-task-slots.md), and a budget of polls, so that polls after an outage come one after another.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from backoff import doubled_seconds
from generations.poll_schedule import POLL_SECONDS

POLLS_AT_ONCE_MIN = 20  # polls that are always allowed at once
STALE_TURN_SECONDS = 1.0  # a turn that was not taken is dropped: many kept ones would come at once again
PAUSE_MAX_SECONDS = 300.0
PAUSE_FIRST_SECONDS = 5.0
FIRST_SLOTS = 4  # tasks that are tried at once before anything is known; and so many more than are known to run
FIRST_TRY_SECONDS = 30.0  # from the first 429 on a POST to the try of one more task
TRY_SECONDS_MAX = 1800.0


@dataclass(slots=True)
class PollBudget:
    """Allow as many polls a second as *tasks* need that are each polled every POLL_SECONDS, one second's worth at once.

    Without budget a poll gets a turn, first come, first served, which is kept for it.
    """

    tasks: int
    next_at: float = -math.inf
    turns: dict[str, float] = field(default_factory=dict[str, float])  # task id -> when it may be polled

    @property
    def per_second(self) -> float:
        return max(1, self.tasks) / POLL_SECONDS

    @property
    def at_once(self) -> int:
        """How many polls may come at once after a quiet second."""
        return max(POLLS_AT_ONCE_MIN, math.ceil(self.per_second))

    def wait_seconds(self, task_id: str, now: float) -> float:
        """How long this task has to wait for its turn; 0: it is polled now, and the poll is spent."""
        turn = self.turns.pop(task_id, None)
        if turn is None or now - turn > STALE_TURN_SECONDS:
            turn = max(now - (self.at_once - 1) / self.per_second, self.next_at)
            self.next_at = turn + 1 / self.per_second
        if turn <= now:
            return 0.0
        self._forget_stale(now)
        self.turns[task_id] = turn
        return turn - now

    def _forget_stale(self, now: float) -> None:
        """Drop old turns. They are in the order of their times, but for those that were asked for again."""
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
    try_seconds: float = 0.0  # 0: there was no 429
    try_at: float = -math.inf

    def __post_init__(self) -> None:
        self.allowed = min(self.allowed, self.ceiling)

    def count(self, now: float) -> int:
        """How many tasks may run at once just now."""
        is_try = self.is_limited and now >= self.try_at
        return min(self.ceiling, self.allowed + is_try)

    @property
    def expected(self) -> int:
        """How many may run later: the ceiling, unless a 429 has set a limit."""
        return self.allowed if self.is_limited else self.ceiling

    def accepted(self, running: int, now: float) -> None:
        """Learn from an accepted POST; *running* tasks run, this one included."""
        if self.is_limited and now >= self.try_at and running > self.allowed:
            self.is_limited = False
        more = 0 if self.is_limited else 1 if self.try_seconds else FIRST_SLOTS
        self.allowed = min(self.ceiling, max(self.allowed, running + more))

    def refused(self, running: int, now: float) -> None:
        """Learn from a 429 on a POST while *running* tasks ran. All of one wave count as one; the last one decides."""
        if not self.is_limited or now >= self.try_at:
            was_quiet = now - self.try_at > TRY_SECONDS_MAX  # the last 429 was long ago
            grown = FIRST_TRY_SECONDS if was_quiet else self.try_seconds * 2
            self.try_seconds = min(TRY_SECONDS_MAX, max(FIRST_TRY_SECONDS, grown))
        self.is_limited = True
        self.try_at = now + self.try_seconds
        self.allowed = max(1, min(self.allowed, running))

    def dump(self) -> str:
        """Return what was learned, as JSON."""
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
    """A pause after a 429. Without a named time it grows from wave to wave, from 5 s to 5 min."""

    until: float = 0.0
    refusals: int = 0

    def refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """Begin or extend the pause after a 429. Returns the seconds to wait."""
        if now >= self.until:  # requests that were under way when the pause began belong to the same wave
            self.refusals += 1
        grown = doubled_seconds(self.refusals, first=PAUSE_FIRST_SECONDS, most=PAUSE_MAX_SECONDS)
        wait = retry_after_seconds if retry_after_seconds is not None else PAUSE_FIRST_SECONDS + grown * jitter
        wait = min(PAUSE_MAX_SECONDS, max(1.0, wait))
        self.until = max(self.until, now + wait)
        return wait

    def succeeded(self, now: float) -> None:
        """End the growth of pauses after a normal answer."""
        if now >= self.until:
            self.refusals = 0

    def join(self, until: float, refusals: int, now: float) -> None:
        """Take over the pause of another process if it lasts longer."""
        if now < until and self.until < until:
            self.until = min(until, now + PAUSE_MAX_SECONDS)
            self.refusals = max(self.refusals, refusals)

    def wait_seconds(self, now: float) -> float:
        """How long the pause still lasts; 0 when it is over."""
        return max(0.0, self.until - now)


@dataclass(slots=True)
class Throttle:
    """All limits of one process, which are those of its key: what processes share is in worker.stored_limits.

    *limit*: QWEN_MAX_TASKS.
    """

    limit: int
    calls: Pause = field(default_factory=Pause)  # after a 429 on a poll: no call is made
    posts: Pause = field(default_factory=Pause)  # after a 429 on a POST: no POST is made, polls go on
    slots: TaskSlots = field(init=False)
    polls: PollBudget = field(init=False)

    def __post_init__(self) -> None:
        self.slots = TaskSlots(self.limit)
        self.polls = PollBudget(self.limit)

    def poll_refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """Pause all calls after a 429 on a poll; it says nothing of tasks. Returns the seconds."""
        return self.calls.refused(now, retry_after_seconds, jitter)

    def post_refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """Pause POSTs after a 429 on a POST. Returns the seconds.

        It is most likely about tasks, also where it names a time, and only polls tell when one has ended: they go on.
        If there were too many calls, the next poll gets a 429 too.
        """
        return self.posts.refused(now, retry_after_seconds, jitter)

    def poll_succeeded(self, now: float) -> None:
        """Note a normal answer to a poll."""
        self.calls.succeeded(now)

    def post_succeeded(self, now: float) -> None:
        """Note a normal answer to a POST."""
        self.calls.succeeded(now)
        self.posts.succeeded(now)

    def wait_seconds(self, now: float) -> float:
        """How long every call still waits; 0 when polls may go on."""
        return self.calls.wait_seconds(now)

    def post_wait_seconds(self, now: float) -> float:
        """How long POSTs still wait; 0 when they may go on."""
        return max(self.calls.wait_seconds(now), self.posts.wait_seconds(now))

    def dump_pauses(self, now: float, now_ms: int) -> str:
        """Return the pauses as JSON, with their ends in unix milliseconds: monotonic clocks differ."""
        pauses = {"calls": self.calls, "posts": self.posts}
        ends = {name: now_ms + round(pause.wait_seconds(now) * 1000) for name, pause in pauses.items()}
        return json.dumps({name: [ends[name], pause.refusals] for name, pause in pauses.items()})

    def load_pauses(self, text: str, now: float, now_ms: int) -> None:
        """Join what dump_pauses() wrote in another process. What can't be read changes nothing."""
        try:
            known = json.loads(text)
            ends = [(now + (int(known[name][0]) - now_ms) / 1000, int(known[name][1])) for name in ("calls", "posts")]
        except (ValueError, KeyError, IndexError, TypeError, OverflowError):
            return
        for pause, (until, refusals) in zip((self.calls, self.posts), ends, strict=True):
            pause.join(until, refusals, now)
