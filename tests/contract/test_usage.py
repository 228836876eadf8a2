"""What is counted of requests and images, and the limits of spending, on both databases and in two processes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from credits.allowance import CreditPeriod
from credits.errors import InsufficientCredits
from generations.model import Origin, Request
from generations.service import Accepted
from limits import records as limit_records
from limits import usage as counters
from limits.errors import Budget, BudgetUsedUp
from limits.model import Cap, GuildRules, UsageKey
from limits.spend_alerts import SpendAlerts
from limits.tables import usage
from limits.usage import Calendar, Returned, SpendLimits
from store.database import Database
from store.errors import DatabaseLost
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, GUILD, MIRA, NOON_MS, OTTO, Harness, make_harness, origin

TODAY_MS = NOON_MS - DAY_MS // 2
BIG = 2**53 + 1  # the first whole number that a JavaScript number can't be

Totals = dict[tuple[int, int], tuple[int, ...]]


async def totals(harness: Harness) -> Totals:
    """Return held, charged, unknown, images, made and failed by guild and person."""

    def load(tx: Transaction) -> Totals:
        rows = tx.execute(select(usage))
        return {(r.guild_id, r.user_id): (r.held, r.charged, r.unknown, r.images, r.made, r.failed) for r in rows}

    return await harness.database.run(load)


async def set_rules(harness: Harness, rules: GuildRules, guild_id: int = GUILD) -> None:
    def save(tx: Transaction) -> None:
        limit_records.save_guild_settings(tx, guild_id, rules)
        limit_records.next_version(tx, guild_id)

    await harness.database.run(save)


def daily(images: int) -> Cap:
    return Cap(images, CreditPeriod.DAY)


async def test_a_request_is_counted_for_everybody_the_server_and_the_person(harness: Harness) -> None:
    await harness.ask(1, BIG, count=2)
    await harness.ask(2, OTTO)
    assert await totals(harness) == {
        (0, 0): (15, 0, 0, 3, 0, 0),
        (GUILD, 0): (15, 0, 0, 3, 0, 0),
        (GUILD, BIG): (10, 0, 0, 2, 0, 0),
        (GUILD, OTTO): (5, 0, 0, 1, 0, 0),
    }


async def test_direct_messages_are_counted_under_no_server(harness: Harness) -> None:
    await harness.request(Request("x"), replace(origin(1), guild_id=None))
    assert (await totals(harness)).keys() == {(0, 0), (0, MIRA)}


async def test_the_same_interaction_again_is_counted_once(harness: Harness) -> None:
    for _ in range(2):
        await harness.request(Request("x"), origin(1))
    assert (await totals(harness))[0, 0] == (5, 0, 0, 1, 0, 0)


async def test_what_is_cancelled_is_counted_no_more_and_not_as_failed(harness: Harness) -> None:
    await harness.ask(1, count=3)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    await harness.ask(2, answered=False)
    await harness.generations.abandon(2)
    assert set((await totals(harness)).values()) == {(0, 0, 0, 0, 0, 0)}


@pytest.mark.parametrize(
    ("returned", "after", "late"),
    [
        (Returned(may_be_paid=True), (0, 0, 5, 1, 0, 1), (0, 7, 0, 1, 1, 0)),
        (Returned(may_be_paid=False), (0, 0, 0, 0, 0, 1), None),
    ],
)
async def test_what_may_have_been_paid_is_kept_apart_until_it_comes_late(
    harness: Harness, returned: Returned, after: tuple[int, ...], late: tuple[int, ...] | None
) -> None:
    generation = await harness.ask(1)
    key = generation.usage
    await harness.database.run(counters.count_returned, key, images=1, price=5, returned=returned)
    assert set((await totals(harness)).values()) == {after}
    if late is not None:
        await harness.database.run(counters.count_made, key, price=5, charged=7, is_late=True)
        assert set((await totals(harness)).values()) == {late}


async def test_an_image_is_counted_under_the_day_of_its_request(harness: Harness) -> None:
    generation = await harness.ask(1)
    assert generation.usage == UsageKey(TODAY_MS, GUILD, MIRA)
    harness.clock.at_ms += DAY_MS
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    assert set((await totals(harness)).values()) == {(0, 0, 0, 0, 0, 0)}


@pytest.mark.parametrize(
    ("spend", "ends"), [(SpendLimits(day=10), TODAY_MS + DAY_MS), (SpendLimits(month=10), NOON_MS + 28 * DAY_MS)]
)
async def test_what_would_pass_the_operators_limit_holds_nothing_and_says_when_it_is_back(
    database: Database, spend: SpendLimits, ends: int
) -> None:
    harness = make_harness(database, spend=spend)
    await harness.ask(1)
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(2, OTTO, count=2)
    assert (caught.value.budget, caught.value.cap) == (Budget.BOT, None)
    assert TODAY_MS < caught.value.back_at_ms <= ends
    assert await harness.numbers(OTTO) == (50, 0)
    await harness.ask(3, OTTO)
    harness.clock.at_ms = caught.value.back_at_ms
    await harness.ask(4, OTTO)


async def test_a_month_counts_the_days_before_and_not_the_month_before(database: Database) -> None:
    harness = make_harness(database, spend=SpendLimits(month=10))
    harness.clock.at_ms = NOON_MS - 4 * DAY_MS  # 30 September
    await harness.ask(1, count=2)
    harness.clock.at_ms = NOON_MS - 2 * DAY_MS
    await harness.ask(2)
    harness.clock.at_ms = NOON_MS
    await harness.ask(3)
    with pytest.raises(BudgetUsedUp):
        await harness.ask(4)


async def test_a_limit_of_a_day_beside_one_of_a_month_counts_its_day_alone(database: Database) -> None:
    harness = make_harness(database, spend=SpendLimits(day=10, month=25))
    await harness.ask(1, count=2)
    harness.clock.at_ms += DAY_MS
    await harness.ask(2, count=2)
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(3)
    assert caught.value.back_at_ms == TODAY_MS + 2 * DAY_MS
    harness.clock.at_ms += DAY_MS
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(4, count=2)
    assert caught.value.back_at_ms > TODAY_MS + 20 * DAY_MS
    await harness.ask(5)


async def test_a_servers_budget_and_each_persons_cap_count_images_there_alone(harness: Harness) -> None:
    await set_rules(harness, GuildRules(person_cap=daily(2), budget=daily(3)))
    await harness.ask(1, count=2)
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(2)
    assert (caught.value.budget, caught.value.cap, caught.value.used) == (Budget.PERSON, daily(2), 2)
    await harness.ask(3, OTTO)
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(4, OTTO)
    assert (caught.value.budget, caught.value.used, caught.value.back_at_ms) == (Budget.SERVER, 3, TODAY_MS + DAY_MS)
    await harness.request(Request("x"), replace(origin(5), guild_id=BIG))
    await harness.request(Request("x"), replace(origin(6), guild_id=None))


async def test_a_cap_counts_what_was_used_before_it_was_set(harness: Harness) -> None:
    await harness.ask(1, count=2)
    await set_rules(harness, GuildRules(person_cap=Cap(2, CreditPeriod.WEEK)))
    with pytest.raises(BudgetUsedUp):
        await harness.ask(2)


async def test_exempt_people_pass_caps_and_not_what_the_operator_spends(database: Database) -> None:
    harness = make_harness(database, spend=SpendLimits(day=10), requests_per_minute=1)
    await set_rules(harness, GuildRules(person_cap=daily(0), budget=daily(0)))
    await database.run(limit_records.set_exempt, MIRA, exempt=True)
    await database.run(limit_records.next_version, 0)
    await harness.ask(1)
    await harness.ask(2)
    with pytest.raises(BudgetUsedUp) as caught:
        await harness.ask(3)
    assert caught.value.budget is Budget.BOT


async def test_of_a_thousand_requests_at_once_in_two_processes_no_limit_is_passed_by_one_credit(
    database: Database, other_database: Database
) -> None:
    """Everybody's allowance is for 3 images; a person's cap is 2 in one server; servers and the bot have less."""
    spend = SpendLimits(day=5 * 300)
    processes = [make_harness(each, credits=15, max_queue=10**4, spend=spend) for each in (database, other_database)]
    await set_rules(processes[0], GuildRules(person_cap=daily(2), budget=daily(90)), BIG)

    async def ask(number: int, user: int, harness: Harness) -> Accepted:
        by = Origin(number, 1, BIG + user, 700, BIG if user % 2 else GUILD, "token", 10**7)
        while True:
            try:
                return await harness.request(Request("x", seed=1), by)
            except DatabaseLost as lost:  # on a slow machine, with nothing held
                assert "became free in time" in str(lost)

    people_and_tries = enumerate(itertools.product(range(1, 201), range(5)), 1)
    asked = [ask(number, user, processes[(user + each) % 2]) for number, (user, each) in people_and_tries]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    unexpected = {repr(error) for error in refused if not isinstance(error, BudgetUsedUp | InsufficientCredits)}
    assert not unexpected
    found = await totals(processes[0])
    taken = len(outcomes) - len(refused)
    assert found[0, 0] == (5 * taken, 0, 0, taken, 0, 0)
    assert taken == 300 and found[BIG, 0][3] <= 90
    people = {owner: row[3] for owner, row in found.items() if owner[1]}
    assert sum(people.values()) == taken
    assert max(images for (guild_id, _), images in people.items() if guild_id == BIG) <= 2
    assert max(people.values()) <= 3
    assert await database.run(processes[0].ledger.audit) == []
    assert await heard_by_the_owner(processes, spend) == [100]


async def heard_by_the_owner(processes: Sequence[Harness], spend: SpendLimits) -> list[int]:
    """Run the maintenance of all processes at once, twice. Return the percent of each message to the owner."""
    heard = list[int]()

    def alerts_of(harness: Harness) -> SpendAlerts:
        return SpendAlerts(
            *(harness.database, Calendar(ZoneInfo("UTC")), spend),
            price=5,
            now_ms=harness.clock.now_ms,
            describe=lambda alert: str(alert.percent),
            tell=lambda alert, _: heard.append(alert.percent),
        )

    for _ in range(2):
        await asyncio.gather(*(alerts_of(harness).run_maintenance() for harness in processes))
    return heard


async def test_a_day_and_a_month_are_those_of_the_operators_time_zone() -> None:
    calendar = Calendar(ZoneInfo("Pacific/Auckland"))
    at_ms = 20_454 * DAY_MS - 11 * 3_600_000  # 31 December 2025, 13:00 UTC: 1 January, 02:00 there
    assert calendar.key(None, MIRA, at_ms).day_ms == at_ms - 2 * 3_600_000
    assert calendar.window(CreditPeriod.MONTH, at_ms).starts_at_ms == at_ms - 2 * 3_600_000
