"""How much of this process unknown callers may use. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

BODY_MAX_BYTES = 64 * 1024
CALLS_PER_SECOND = 50.0  # twice the images that one bot can post in a second (Discord docs: Rate Limits)
CALLS_IN_A_BURST = 100


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of connections and requests. Those of callbacks and of health are counted apart."""

    body_seconds: float = 5.0
    connection_seconds: float = 15.0  # one request a connection; then it is cut off
    unread_connections: int = 256  # whose path is not known yet; for one more the oldest is cut off
    callback_connections: int = 256  # more are closed at once
    callback_connections_per_second: float = 200.0  # more are closed at once
    callback_connections_in_a_burst: int = 400
    callbacks_at_once: int = 64
    health_connections: int = 64  # for one more the oldest is cut off


@dataclass(slots=True)
class CallBudget:
    """A token bucket: how many calls are taken a second. Times are monotonic seconds."""

    per_second: float = CALLS_PER_SECOND
    burst: float = CALLS_IN_A_BURST
    left: float = CALLS_IN_A_BURST
    at: float = -math.inf

    def spend(self, now: float) -> bool:
        """Take one call out of the budget. Return False if it is empty."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
