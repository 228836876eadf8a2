"""The report of what was used, from the counters and the images, on both databases."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from charts.records import MAX_TOP, load_usage
from charts.usage_report import DayUsage, TopEntry, UsageReport, Waits
from discord_api.snowflakes import snowflake_at
from generations.model import Request
from generations.records.tables import images
from limits.tables import usage
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, GUILD, MIRA, NOON_MS, OTTO, YUKI, Harness, origin

UTC = ZoneInfo("UTC")
TODAY_MS = NOON_MS - DAY_MS // 2
TODAY = datetime.date(2024, 10, 4)
OTHER = 2**63 - 1  # the highest id there can be
COUNTERS = ("held", "charged", "unknown", "images", "made", "failed", "forget_at_ms")


async def add(database: Database, *rows: Mapping[str, Any]) -> None:
    """Add counters; what a row does not name is 0."""
    default = {"guild_id": 0, "user_id": 0, "day_ms": TODAY_MS, **dict.fromkeys(COUNTERS, 0), "forget_at_ms": None}
    await database.run(lambda tx: tx.execute(insert(usage), [{**default, **row} for row in rows]))


async def load(database: Database, guild_id: int = GUILD, days: int = 3, timezone: ZoneInfo = UTC) -> UsageReport:
    return await database.run(load_usage, guild_id, TODAY_MS - (days - 1) * DAY_MS, TODAY_MS, timezone)


async def make_image(harness: Harness, number: int, waits_ms: Sequence[int], user_id: int = MIRA, **place: Any) -> None:
    """Ask for an image at a moment of the clock, and let it be ready after each of *waits_ms*."""
    request_id = snowflake_at(harness.clock.at_ms) + number
    await harness.request(Request("x", count=len(waits_ms)), replace(origin(request_id, user_id), **place))
    created_at_ms = harness.clock.at_ms

    def make_ready(tx: Transaction) -> None:
        for position, wait_ms in enumerate(waits_ms):
            image = (images.c.generation_id == request_id) & (images.c.position == position)
            tx.execute(update(images).where(image).values(ready_at_ms=created_at_ms + wait_ms))
        counted = usage.c.day_ms == created_at_ms - created_at_ms % DAY_MS
        tx.execute(update(usage).where(counted).values(made=usage.c.images))

    await harness.database.run(make_ready)


async def test_days_are_complete_and_of_one_server(database: Database) -> None:
    big = 2**53 + 1
    await add(
        database,
        {"guild_id": GUILD, "held": 5, "charged": big, "unknown": 15, "made": 2, "failed": 3},
        {"guild_id": GUILD, "day_ms": TODAY_MS - 2 * DAY_MS, "made": 7},
        {"guild_id": GUILD, "day_ms": TODAY_MS - 3 * DAY_MS, "made": 1000},
        {"guild_id": GUILD, "day_ms": TODAY_MS + DAY_MS, "made": 1000},
        {"guild_id": OTHER, "made": 1000},
        {"made": 1000},
    )
    assert (await load(database)).days == [
        DayUsage(TODAY - datetime.timedelta(2), made=7),
        DayUsage(TODAY - datetime.timedelta(1)),
        DayUsage(TODAY, made=2, failed=3, charged=big, held=5, unknown=15),
    ]


async def test_the_report_of_the_bot_counts_everybody_and_names_servers(database: Database) -> None:
    await add(
        database,
        {"made": 9},
        {"made": 3, "user_id": MIRA},
        {"guild_id": GUILD, "made": 2},
        {"guild_id": GUILD, "user_id": MIRA, "made": 2},
        {"guild_id": OTHER, "made": 4},
        {"guild_id": OTHER, "user_id": OTTO, "made": 4},
    )
    report = await load(database, 0)
    assert report.made == 9
    assert report.top == [TopEntry(OTHER, 4), TopEntry(GUILD, 2)]
    assert not report.of_server


async def test_the_top_is_of_this_server_and_without_those_who_had_everything_deleted(database: Database) -> None:
    yesterday_ms = TODAY_MS - DAY_MS
    await add(
        database,
        {"guild_id": GUILD, "user_id": MIRA, "made": 2},
        {"guild_id": GUILD, "user_id": MIRA, "made": 3, "day_ms": yesterday_ms},
        {"guild_id": GUILD, "user_id": OTHER, "made": 4},
        {"guild_id": GUILD, "user_id": OTTO, "made": 50, "forget_at_ms": TODAY_MS + DAY_MS},
        {"guild_id": GUILD, "user_id": 1, "failed": 5},
        {"guild_id": OTHER, "user_id": YUKI, "made": 50},
        {"user_id": YUKI, "made": 50},
        {"guild_id": GUILD, "made": 9},
    )
    assert (await load(database)).top == [TopEntry(MIRA, 5), TopEntry(OTHER, 4)]


async def test_the_top_is_short(database: Database) -> None:
    await add(database, *({"guild_id": GUILD, "user_id": number, "made": number} for number in range(1, MAX_TOP + 5)))
    assert [entry.id for entry in (await load(database)).top] == list(range(MAX_TOP + 4, 4, -1))


async def test_waits_run_from_the_request_until_the_image_is_ready(harness: Harness) -> None:
    await make_image(harness, 1, [9_000, 11_000, 40_000])
    await make_image(harness, 2, [10_000], OTTO)
    harness.clock.at_ms -= DAY_MS
    await make_image(harness, 3, [-5_000], YUKI)
    report = await load(harness.database)
    assert [day.waits for day in report.days] == [None, Waits(0, 0, 1), Waits(10.5, 40, 4)]
    assert report.waits == Waits(10, 40, 5)


async def test_waits_are_of_this_server_alone(harness: Harness) -> None:
    await make_image(harness, 1, [9_000])
    await make_image(harness, 2, [70_000], guild_id=OTHER)
    await make_image(harness, 3, [80_000], guild_id=None)
    await harness.ask(snowflake_at(NOON_MS) + 4)  # not ready
    assert (await load(harness.database)).waits == Waits(9, 9, 1)
    assert (await load(harness.database, 0)).waits == Waits(70, 80, 3)


async def test_a_wait_before_the_window_is_not_measured(harness: Harness) -> None:
    harness.clock.at_ms -= 3 * DAY_MS
    await make_image(harness, 1, [9_000])
    assert (await load(harness.database)).waits is None


async def test_the_95th_percentile_is_a_wait_that_somebody_had(harness: Harness) -> None:
    for number in range(5):
        await make_image(harness, number, [1000 * (4 * number + place) for place in range(1, 5)], 500 + number)
    assert (await load(harness.database)).waits == Waits(10.5, 19, 20)


@pytest.mark.parametrize("guild_id", [GUILD, 0])
async def test_waits_are_measured_of_the_newest_days_that_are_not_too_many(harness: Harness, guild_id: int) -> None:
    harness.clock.at_ms -= DAY_MS  # none on the last day
    for number, waits_ms in enumerate(([1_000, 2_000, 3_000], [4_000], [5_000, 6_000])):
        await make_image(harness, number, waits_ms)
        harness.clock.at_ms -= DAY_MS

    async def measured(max_waits: int) -> list[int]:
        window = (guild_id, TODAY_MS - 3 * DAY_MS, TODAY_MS, UTC)
        report = await harness.database.run(load_usage, *window, max_waits=max_waits)
        return [day.waits.images if day.waits else 0 for day in report.days]

    assert await measured(6) == [2, 1, 3, 0]
    assert await measured(5) == await measured(4) == [0, 1, 3, 0]
    assert await measured(3) == [0, 0, 3, 0]
    assert await measured(2) == [0, 0, 2, 0]


async def test_days_of_an_earlier_time_zone_count_under_their_date(database: Database) -> None:
    await add(
        database,
        {"guild_id": GUILD, "made": 1, "day_ms": TODAY_MS - DAY_MS},
        {"guild_id": GUILD, "made": 2, "day_ms": TODAY_MS - DAY_MS + 3_600_000},
    )
    assert [day.made for day in (await load(database)).days] == [0, 3, 0]


async def test_days_of_23_and_25_hours_are_one_each(database: Database) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, last = (round(datetime.datetime(2024, 10, day, tzinfo=berlin).timestamp() * 1000) for day in (26, 28))
    await add(database, {"guild_id": GUILD, "made": 1, "day_ms": last}, {"guild_id": GUILD, "made": 2, "day_ms": first})
    report = await database.run(load_usage, GUILD, first, last, berlin)
    assert [(day.date.day, day.made) for day in report.days] == [(26, 2), (27, 0), (28, 1)]
