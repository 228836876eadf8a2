"""The times in Discord's ids."""

from __future__ import annotations

from discord_api.snowflakes import snowflake_at, snowflake_time_ms

EXAMPLE, EXAMPLE_MS = 175928847299117063, 1_462_015_105_796  # Discord docs: Reference, "Snowflakes"


def test_the_time_of_discords_own_example_is_read() -> None:
    assert snowflake_time_ms(EXAMPLE) == EXAMPLE_MS


def test_the_lowest_id_of_a_millisecond_is_above_all_of_the_one_before() -> None:
    assert snowflake_at(EXAMPLE_MS) <= EXAMPLE < snowflake_at(EXAMPLE_MS + 1)
    assert snowflake_time_ms(snowflake_at(EXAMPLE_MS) - 1) == EXAMPLE_MS - 1
