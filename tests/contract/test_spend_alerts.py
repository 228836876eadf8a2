"""The owner hears once at 80 % and once at 100 % of each limit of spending and period, over all processes."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from credits.allowance import CreditPeriod
from limits.model import GuildRules, UsageKey
from limits.spend_alerts import TOLD_KEY, SpendAlert, SpendAlerts, reached_percent
from limits.tables import outbox
from limits.usage import Calendar, Returned, SpendLimits, count_request, count_returned
from store.database import Database
from store.key_values import save_value
from tests.contract.harness import DAY_MS, GUILD, MIRA, NOON_MS

CALENDAR = Calendar(ZoneInfo("UTC"))
PRICE = 5


class Owner:
    """What the owner heard from one process. *now_ms* is its clock."""

    def __init__(self, database: Database, *, day: int = 0, month: int = 0) -> None:
        self.database = database
        self.now_ms = NOON_MS
        self.heard: list[SpendAlert] = []
        self.alerts = SpendAlerts(
            *(database, CALENDAR, SpendLimits(day, month)),
            price=PRICE,
            now_ms=lambda: self.now_ms,
            describe=lambda alert: f"{alert.period} {alert.percent}",
            tell=lambda alert, _: self.heard.append(alert),
        )

    async def spend(self, images: int) -> None:
        await self.database.run(
            count_request, self.key(), images=images, price=PRICE, spend=SpendLimits(), guild=GuildRules(),
            is_exempt=False, calendar=CALENDAR, now_ms=self.now_ms,
        )  # fmt: skip

    def key(self) -> UsageKey:
        return CALENDAR.key(GUILD, MIRA, self.now_ms)

    async def hears(self) -> list[tuple[str, int, int]]:
        """Run the maintenance, and return the period, percent and credits of what was told in it."""
        self.heard.clear()
        await self.alerts.run_maintenance()
        return [(alert.period.value, alert.percent, alert.spent) for alert in self.heard]


async def test_the_owner_hears_once_at_each_mark_of_a_day(database: Database) -> None:
    owner = Owner(database, day=100)
    heard = list[list[tuple[str, int, int]]]()
    for images in (15, 1, 1, 2, 1, 0):
        await owner.spend(images)
        heard.append(await owner.hears())
    assert heard == [[], [("day", 80, 80)], [], [], [("day", 100, 100)], []]


async def test_a_new_process_tells_nothing_again_and_the_next_day_everything_anew(database: Database) -> None:
    first = Owner(database, day=10)
    await first.spend(2)
    assert await first.hears() == [("day", 100, 10)], "the higher mark alone"
    later = Owner(database, day=10)
    assert await later.hears() == []
    later.now_ms += DAY_MS
    assert await later.hears() == []
    await later.spend(2)
    assert await later.hears() == [("day", 100, 10)]


async def test_day_and_month_are_told_apart_and_the_month_counts_all_its_days(database: Database) -> None:
    owner = Owner(database, day=50, month=100)
    await owner.spend(8)
    assert await owner.hears() == [("day", 80, 40)]
    owner.now_ms += DAY_MS
    await owner.spend(8)
    assert await owner.hears() == [("day", 80, 40), ("month", 80, 80)]
    window = CALENDAR.window(CreditPeriod.MONTH, owner.now_ms)
    assert owner.heard[1].ends_at_ms == window.ends_at_ms


async def test_what_was_returned_and_spent_again_is_not_told_again(database: Database) -> None:
    owner = Owner(database, day=100)
    await owner.spend(16)
    assert await owner.hears() == [("day", 80, 80)]
    cancelled = Returned(may_be_paid=False, is_failure=False)
    await database.run(count_returned, owner.key(), images=10, price=PRICE, returned=cancelled)
    assert await owner.hears() == []
    await owner.spend(10)
    assert await owner.hears() == []


async def test_each_alert_waits_in_the_outbox_until_it_is_sent(database: Database) -> None:
    owner = Owner(database, day=100)
    for images in (16, 4, 0):
        await owner.spend(images)
        await owner.hears()
    texts = await database.read(lambda tx: list(tx.scalars(select(outbox.c.text).order_by(outbox.c.number))))
    assert texts == ["day 80", "day 100"]


async def test_of_processes_that_look_at_once_one_tells(database: Database, other_database: Database) -> None:
    owners = [Owner(each, day=100) for each in (database, other_database) * 4]
    for _ in range(8):  # they overlap anew each day
        await owners[0].spend(16)
        heard = await asyncio.gather(*(owner.hears() for owner in owners))
        assert sorted(heard) == [[]] * 7 + [[("day", 80, 80)]]
        for owner in owners:
            owner.now_ms += DAY_MS


async def test_without_a_limit_nothing_is_read_and_told(database: Database) -> None:
    owner = Owner(database)
    await owner.spend(100)
    assert await owner.hears() == []


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"day": 7}'])
async def test_a_mark_that_cannot_be_read_counts_as_none(database: Database, stored: str) -> None:
    owner = Owner(database, day=100)
    await owner.spend(16)
    await database.run(save_value, TOLD_KEY, stored)
    assert await owner.hears() == [("day", 80, 80)]


@pytest.mark.parametrize(
    ("spent", "most", "percent"), [(79, 100, 0), (80, 100, 80), (95, 100, 80), (96, 100, 100), (0, 4, 100), (7, 9, 100)]
)
def test_a_limit_is_reached_when_no_further_image_fits_into_it(spent: int, most: int, percent: int) -> None:
    assert reached_percent(spent, most, PRICE) == percent
