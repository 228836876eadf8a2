"""Snowflakes: ids that contain the time at which they were made (Discord docs: Reference, 'Snowflakes')."""

from __future__ import annotations

from sandbox.clock import Clock

DISCORD_EPOCH_MS = 1_420_070_400_000


class Snowflakes:
    """Makes ids whose upper bits are the clock's time and whose lower 12 bits count within the millisecond.

    Every id is above the one before, also when the clock stands still or goes back. All are odd, so that no JavaScript
    number holds one: a page or a bot that makes a number of an id is noticed at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next_id(self) -> int:
        self._last = max(snowflake_at(self._clock.now_ms(), 1), self._last + 2)
        return self._last


def snowflake_at(unix_ms: int, sequence: int = 0) -> int:
    """Return the id of a thing made at *unix_ms*."""
    return ((unix_ms - DISCORD_EPOCH_MS) << 22) | sequence


def snowflake_time_ms(snowflake: int) -> int:
    """Return when the thing with this id was made, in unix milliseconds."""
    return (snowflake >> 22) + DISCORD_EPOCH_MS


def is_snowflake(text: str) -> bool:
    """Return whether *text* is a whole number of at most 20 digits."""
    return text.isascii() and text.isdigit() and len(text) <= 20


def shard_of(guild_id: int | None, shard_count: int) -> int:
    """Return the shard of a guild's events; without a guild it is shard 0 (Discord docs: Gateway, 'Sharding')."""
    return 0 if guild_id is None else (guild_id >> 22) % shard_count
