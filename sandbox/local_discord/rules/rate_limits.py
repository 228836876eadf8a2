"""Rate limits as buckets per route and top-level resource, with Discord's headers (Discord docs: Rate Limits).

Discord publishes no numbers; these are what its engineers and users report. A bot must read the headers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.local_discord.errors import DiscordError


@dataclass(frozen=True, slots=True)
class Limit:
    calls: int
    window_ms: int


WEBHOOK = Limit(5, 2_000)
CHANNEL_MESSAGES = Limit(5, 5_000)
ORDINARY = Limit(20, 5_000)
EVERYTHING = Limit(50, 1_000)
"""The global limit of one bot; it does not count interaction endpoints."""


@dataclass(slots=True)
class _Window:
    ends_at_ms: int
    used: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """The state of a bucket after one call; `granted`: the call is within the limit."""

    bucket: str
    limit: int
    remaining: int
    ends_at_ms: int
    now_ms: int
    granted: bool

    def headers(self) -> dict[str, str]:
        wait = max(0, self.ends_at_ms - self.now_ms) / 1000
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": f"{self.ends_at_ms / 1000:.3f}",
            "X-RateLimit-Reset-After": f"{wait:.3f}",
            "X-RateLimit-Bucket": self.bucket,
        }

    def error(self) -> DiscordError:
        wait = max(1, self.ends_at_ms - self.now_ms) / 1000
        return rate_limited(wait, headers=self.headers())


class RateLimits:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def take(self, bucket: str, resource: str, limit: Limit) -> Taken:
        """Count one call in a fixed window that begins with its first call."""
        now = self._clock.now_ms()
        window = self._windows.get((bucket, resource))
        if window is None or window.ends_at_ms <= now:
            self._forget(now)
            window = self._windows[bucket, resource] = _Window(now + limit.window_ms)
        granted = window.used < limit.calls
        window.used += granted
        name = hashlib.sha256(bucket.encode()).hexdigest()[:32]
        return Taken(name, limit.calls, limit.calls - window.used, window.ends_at_ms, now, granted)

    def _forget(self, now: int) -> None:
        if len(self._windows) > 1000:
            self._windows = {key: window for key, window in self._windows.items() if window.ends_at_ms > now}


def rate_limited(
    retry_after: float,
    *,
    headers: dict[str, str] | None = None,
    code: int = 0,
    scope: str = "user",
    with_via: bool = True,
    message: str = "You are being rate limited.",
) -> DiscordError:
    """429. *with_via* False: as Cloudflare bans an address; discord.py gives up at once without a Via header."""
    added = {"Retry-After": str(math.ceil(retry_after)), "X-RateLimit-Scope": scope}
    if with_via:
        added["Via"] = "1.1 google"
    if scope == "global":
        added["X-RateLimit-Global"] = "true"
    extra = {"retry_after": retry_after, "global": scope == "global"}
    return DiscordError(429, code, message, extra=extra, headers=(headers or {}) | added)


def too_many_late_edits(retry_after: float) -> DiscordError:
    """429 with 30046 for messages older than an hour. Discord documents neither the count nor the wait."""
    message = "Maximum number of edits to messages older than 1 hour reached. Try again later."
    return rate_limited(retry_after, code=30046, scope="shared", message=message)
