"""Snowflakes: Discord's ids, which begin with the time at which they were made. Pure.

Source: Discord docs, Reference, "Snowflakes".
"""

from __future__ import annotations

EPOCH_MS = 1_420_070_400_000
ID_MAX = 2**63 - 1  # the database holds no larger one; Discord's snowflakes are smaller


def snowflake_at(unix_ms: int) -> int:
    """Return the lowest id of what is made at *unix_ms*; below 0 for a time before 2015."""
    return (unix_ms - EPOCH_MS) << 22


def snowflake_time_ms(snowflake: int) -> int:
    """Return when the thing with this id was made, in unix milliseconds."""
    return (snowflake >> 22) + EPOCH_MS
