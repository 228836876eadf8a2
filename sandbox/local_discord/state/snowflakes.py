"""Snowflakes: ids that carry their own time (Discord docs: Reference, 'Snowflakes').

Knows nothing of what gets an id.
"""

from __future__ import annotations

from typing import Protocol

DISCORD_EPOCH_MS = 1_420_070_400_000


class Clock(Protocol):
    """Unix time in milliseconds. The sandbox's clock can be moved; ids, deadlines and signatures follow it."""

    def now_ms(self) -> int: ...


class Snowflakes:
    """Hands out ids whose upper bits are the clock's time and whose lower 12 bits count within the millisecond.

    Ids never repeat and never fall, even when the clock stands still or goes back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next_id(self) -> int:
        self._last = max(snowflake_at(self._clock.now_ms()), self._last + 1)
        return self._last


def snowflake_at(unix_ms: int, sequence: int = 0) -> int:
    """The id of a thing made at `unix_ms`."""
    return ((unix_ms - DISCORD_EPOCH_MS) << 22) | sequence


def snowflake_time_ms(snowflake: int) -> int:
    """When the thing with this id was made, in unix milliseconds."""
    return (snowflake >> 22) + DISCORD_EPOCH_MS


def shard_of(guild_id: int | None, shard_count: int) -> int:
    """The shard that gets a guild's events; what has no guild goes to shard 0 (Discord docs: Gateway, 'Sharding')."""
    return 0 if guild_id is None else (guild_id >> 22) % shard_count
