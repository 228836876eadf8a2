"""How hard the image service may be pressed just now. Pure: time comes in as monotonic seconds.

A 429 concerns the key, not one task, so everything waits; and for a while fewer images are made at once. Looks have a
budget of their own: what an outage has held up comes back in turn, not all at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from generations.pace import LOOK_SECONDS

LOOKS_AT_ONCE_MIN = 20  # so few are no stampede, and on an ordinary day nobody waits
STALE_TURN_SECONDS = 1.0  # a turn that nobody came for is lost: many kept ones would be a stampede again
PAUSE_MAX_SECONDS = 300.0
PAUSE_FIRST_SECONDS = 5.0
RECOVERY_SECONDS = 60.0  # after a quiet minute one more image at a time is tried


@dataclass(slots=True)
class LookBudget:
    """No more looks a second than *tasks* need that are each looked at every LOOK_SECONDS, one second's worth at once.

    Whoever comes when it is spent is given a turn, first come, first served, and finds it kept for them.
    """

    tasks: int
    next_at: float = -math.inf
    turns: dict[str, float] = field(default_factory=dict[str, float])  # task id -> when it may be looked at

    @property
    def per_second(self) -> float:
        return max(1, self.tasks) / LOOK_SECONDS

    def wait_seconds(self, task_id: str, now: float) -> float:
        """How long this task has to wait for its turn; 0: it is looked at now, and the look is spent."""
        turn = self.turns.pop(task_id, None)
        if turn is None or now - turn > STALE_TURN_SECONDS:
            at_once = max(LOOKS_AT_ONCE_MIN, math.ceil(self.per_second))
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
class Throttle:
    """The whole client's state of grace. *limit* is QWEN_MAX_TASKS."""

    limit: int
    paused_until: float = 0.0
    refusals: int = 0
    allowed: int = 0  # 0: the full limit
    changed_at: float = 0.0
    looks: LookBudget = field(init=False)

    def __post_init__(self) -> None:
        self.looks = LookBudget(self.limit)

    def refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """The service said "too many". Returns the seconds for which everything waits."""
        if now >= self.paused_until:  # requests that were under way when the pause began are of the same wave
            self.refusals += 1
        grown = min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** min(max(0, self.refusals - 1), 6))
        wait = retry_after_seconds if retry_after_seconds is not None else PAUSE_FIRST_SECONDS + grown * jitter
        wait = min(PAUSE_MAX_SECONDS, max(1.0, wait))
        if now >= self.changed_at + PAUSE_FIRST_SECONDS:  # one wave of refusals halves it once
            self.allowed = max(1, self.in_flight(now) // 2)
            self.changed_at = now
        self.paused_until = max(self.paused_until, now + wait)
        return wait

    def answered(self, now: float) -> None:
        """The service answered normally."""
        if now >= self.paused_until:
            self.refusals = 0

    def wait_seconds(self, now: float) -> float:
        """How long everything still waits; 0 when it may go on."""
        return max(0.0, self.paused_until - now)

    def in_flight(self, now: float) -> int:
        """How many images may be made at once just now."""
        if self.allowed == 0:
            return self.limit
        recovered = self.allowed + int((now - self.changed_at) // RECOVERY_SECONDS)
        if recovered >= self.limit:
            self.allowed = 0
            return self.limit
        return recovered
