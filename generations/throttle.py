"""How hard the image service may be pressed just now. Pure: time comes in as monotonic seconds.

A 429 concerns the key, not one task, so everything waits; and for a while fewer images are made at once.
"""

from __future__ import annotations

from dataclasses import dataclass

PAUSE_MAX_SECONDS = 300.0
PAUSE_FIRST_SECONDS = 5.0
RECOVERY_SECONDS = 60.0  # after a quiet minute one more image at a time is tried


@dataclass(slots=True)
class Throttle:
    """The whole client's state of grace. *limit* is QWEN_MAX_TASKS."""

    limit: int
    paused_until: float = 0.0
    refusals: int = 0
    allowed: int = 0  # 0: the full limit
    changed_at: float = 0.0

    def refused(self, now: float, retry_after_seconds: float | None, jitter: float) -> float:
        """The service said "too many". Returns the seconds for which everything waits."""
        self.refusals += 1
        grown = min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** min(self.refusals - 1, 6))
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
