"""When to connect to Discord's gateway again, and what a close code means. Pure: time and chance are parameters.

Source of every code and limit: Discord docs, Gateway ("Resuming", "Identifying", "Session Start Limit Object") and
Opcodes and Status Codes ("Gateway Close Event Codes").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from backoff import doubled_seconds

RECONNECT_SECONDS = 1.0
RECONNECT_SECONDS_MAX = 60.0
STEADY_SECONDS = 30.0  # after a connection that lasted so long the next one is opened at once
IDENTIFY_SPACING_SECONDS = 5.0  # one IDENTIFY in 5 s, unless Discord grants more to a large bot
IDENTIFIES_A_DAY = 1000
HOUR_SECONDS = 3600.0
SHARES_OF_A_DAY = 32  # an hour's share: 24 of them, and some left for restarts

# No later try succeeds until a person changes something.
REFUSALS = {
    4004: "the bot's token was refused; copy it again from the developer portal",
    4012: "Discord no longer takes the gateway version of this release; install a newer one",
    4013: "Discord knows no such gateway intents",
    4014: "these gateway intents are not allowed for this bot in the developer portal",
}
WRONG_SHARDS = frozenset({4010, 4011})  # the number of shards must be fetched again: the bot is in more servers now
NEW_SESSION = frozenset({4003, 4007, 4009})  # the session can't be resumed


def reconnect_seconds(failures: int, jitter: float) -> float:
    """How long to wait after *failures* connections in a row that failed or were short: 0 for none, then a second,
    growing to a minute. *jitter* is a random number from 0 to 1, which takes away up to half of it."""
    if failures <= 0:
        return 0.0
    return doubled_seconds(failures, first=RECONNECT_SECONDS, most=RECONNECT_SECONDS_MAX) * (1.0 - jitter / 2)


@dataclass(slots=True)
class IdentifyBudget:
    """Decide how soon the next IDENTIFY may be sent; seconds are of a monotonic clock.

    Discord allows *a_day* in 24 hours (`session_start_limit.total`); beyond that it ends every session and resets the
    bot's token. An hour has its share of a day, but always enough to start *shards* twice.
    """

    a_day: int = IDENTIFIES_A_DAY
    shards: int = 1
    not_before: float = float("-inf")  # set where Discord says that none are left
    _sent: deque[float] = field(default_factory=deque[float])

    def wait_seconds(self, now: float) -> float:
        """Return the seconds until the next one may be sent."""
        while self._sent and self._sent[0] <= now - HOUR_SECONDS:
            self._sent.popleft()
        at = max(now, self.not_before)
        if self._sent:
            at = max(at, self._sent[-1] + IDENTIFY_SPACING_SECONDS)
        share = max(self.a_day // SHARES_OF_A_DAY, 2 * self.shards)
        if len(self._sent) >= share:
            at = max(at, self._sent[-share] + HOUR_SECONDS)
        return at - now

    def note(self, now: float) -> None:
        """Count one that was sent."""
        self._sent.append(now)
