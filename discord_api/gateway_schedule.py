"""When to connect to Discord's gateway again, and what a close code means. Pure: time and chance are parameters.

Source of every code and limit: Discord docs, Gateway ("Resuming", "Identifying", "Session Start Limit Object") and
Opcodes and Status Codes ("Gateway Close Event Codes").
"""

from __future__ import annotations

from backoff import doubled_seconds

RECONNECT_SECONDS = 1.0
RECONNECT_SECONDS_MAX = 60.0
STEADY_SECONDS = 30.0  # after a connection that lasted so long the next one is opened at once

# No later try succeeds until a person changes something.
REFUSALS = {
    4004: "the bot's token was refused; copy it again from the developer portal",
    4012: "Discord no longer takes the gateway version of this release; install a newer one",
    4013: "Discord knows no such gateway intents",
    4014: "these gateway intents are not allowed for this bot in the developer portal",
    # Only where SHARD_COUNT is set: else the number of shards is fetched again, since the bot is in more servers now.
    4010: "Discord does not take SHARD_COUNT: a very large bot needs a multiple of the number that Discord recommends",
    4011: "SHARD_COUNT is too small: a shard may have 2,500 servers at most",
}
WRONG_SHARDS = frozenset({4010, 4011})
NEW_SESSION = frozenset({4003, 4007, 4009})  # the session can't be resumed


def reconnect_seconds(failures: int, jitter: float) -> float:
    """How long to wait after *failures* connections in a row that failed or were short: 0 for none, then a second,
    growing to a minute. *jitter* is a random number from 0 to 1, which takes away up to half of it."""
    if failures <= 0:
        return 0.0
    return doubled_seconds(failures, first=RECONNECT_SECONDS, most=RECONNECT_SECONDS_MAX) * (1.0 - jitter / 2)
