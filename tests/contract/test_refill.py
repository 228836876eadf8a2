"""Refills across holds: no person gets a credit too many or too few (docs/decisions/0002-refill-across-a-hold.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import Row, create_engine, select
from sqlalchemy.engine import Engine

from credits.allowance import Allowance, CreditPeriod
from credits.errors import InsufficientCredits
from credits.ledger import Ledger
from credits.model import Balance, Entitled
from credits.records import newest_number
from credits.tables import accounts, entries, refills
from store.database import Database
from store.tables import metadata
from tests.contract.harness import DAY_MS, MIRA, NOON_MS, OTTO, daily

TOMORROW_MS = NOON_MS + DAY_MS
ALLOWANCE = 50


@dataclass
class Account:
    """The account of one person, with each ledger call in a transaction of its own."""

    database: Database
    ledger: Ledger = field(default_factory=lambda: Ledger(daily(ALLOWANCE)))

    async def do(self, method: Callable[..., Any], *arguments: Any) -> Any:
        return await self.database.run(method, *arguments)

    async def hold(self, image_id: str, now_ms: int, amount: int = 5) -> None:
        await self.do(self.ledger.hold, MIRA, image_id, amount, now_ms)

    async def settle(self, image_id: str, now_ms: int, consumed: int | None = None) -> int:
        return await self.do(self.ledger.settle, image_id, consumed, now_ms)

    async def release(self, image_id: str, now_ms: int) -> int:
        return await self.do(self.ledger.release, image_id, now_ms)

    async def refund(self, image_id: str, now_ms: int) -> int:
        return await self.do(self.ledger.refund, image_id, now_ms)

    async def spend_the_day_before(self, **amounts: int) -> None:
        """Spend credits of the period before NOON_MS, so that a refund is above the allowance of a later one."""
        for image_id, amount in amounts.items():
            await self.hold(image_id, NOON_MS - DAY_MS, amount)
            await self.settle(image_id, NOON_MS - DAY_MS)

    async def balance(self, now_ms: int) -> Balance:
        return await self.do(self.ledger.balance, MIRA, now_ms)

    async def numbers(self, now_ms: int) -> tuple[int, int]:
        balance = await self.balance(now_ms)
        return balance.available, balance.held

    async def grants(self) -> list[str]:
        entries = await self.do(self.ledger.history, MIRA, 100)
        return [entry.id for entry in reversed(entries) if entry.kind == "grant"]


@pytest.fixture
def account(database: Database) -> Account:
    return Account(database)


async def test_a_new_period_fills_the_balance_up_to_the_allowance(account: Account) -> None:
    await account.hold("1-0", NOON_MS, 20)
    await account.settle("1-0", NOON_MS)
    assert await account.numbers(NOON_MS + DAY_MS // 2 - 1) == (30, 0)
    assert await account.numbers(NOON_MS + DAY_MS // 2) == (50, 0)
    assert await account.numbers(NOON_MS + 40 * DAY_MS) == (50, 0)


async def test_a_hold_that_is_settled_after_the_refill_is_made_good(account: Account) -> None:
    await account.hold("1-0", NOON_MS)
    assert await account.numbers(TOMORROW_MS) == (45, 5)
    await account.settle("1-0", TOMORROW_MS)
    await account.settle("1-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0)
    first, today = (NOON_MS - DAY_MS // 2 + days * DAY_MS for days in (0, 1))
    assert await account.grants() == [f"grant:refill:{MIRA}:{first}", f"grant:refill:{MIRA}:{today}:1-0"]


async def test_a_hold_that_is_released_after_the_refill_gives_nothing_extra(account: Account) -> None:
    await account.hold("1-0", NOON_MS)
    await account.balance(TOMORROW_MS)
    await account.release("1-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0)


async def test_a_hold_whose_end_triggers_the_refill_is_made_good_too(account: Account) -> None:
    await account.hold("1-0", NOON_MS)
    await account.settle("1-0", TOMORROW_MS, 3)
    assert await account.numbers(TOMORROW_MS) == (50, 0)


async def test_a_hold_of_the_new_period_is_not_made_good(account: Account) -> None:
    await account.hold("1-0", NOON_MS)
    await account.hold("2-0", TOMORROW_MS)
    assert await account.settle("2-0", TOMORROW_MS) == 5
    assert await account.numbers(TOMORROW_MS) == (40, 5)
    await account.settle("1-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (45, 0)


async def test_what_is_above_the_allowance_is_used_up_before_a_hold_is_made_good(account: Account) -> None:
    await account.spend_the_day_before(refunded=3)
    await account.refund("refunded", NOON_MS)
    await account.hold("1-0", NOON_MS)
    await account.balance(TOMORROW_MS)
    await account.hold("2-0", TOMORROW_MS)
    await account.settle("2-0", TOMORROW_MS)
    await account.settle("1-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (45, 0), "53 - 5, filled up to 50, - 5"


async def test_what_is_above_the_allowance_is_used_up_only_once_by_several_holds(account: Account) -> None:
    await account.spend_the_day_before(refunded=7)
    await account.refund("refunded", NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.hold(image_id, NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.settle(image_id, TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0), "57 - 10, filled up to 50"


async def test_a_hold_over_two_refills_is_made_good_by_both(account: Account) -> None:
    await account.spend_the_day_before(refunded=1, another=1)
    await account.refund("refunded", NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.hold(image_id, NOON_MS, 1)
    await account.refund("another", TOMORROW_MS)
    for image_id in ("1-0", "2-0"):
        await account.settle(image_id, TOMORROW_MS + DAY_MS)
    assert await account.numbers(TOMORROW_MS + DAY_MS) == (51, 0), "51 - 2, filled up to 50, + 1, more than 50"


async def test_of_two_refills_the_one_with_less_above_the_allowance_still_counts_for_a_hold_before_both(
    account: Account,
) -> None:
    await account.spend_the_day_before(refunded=10)
    await account.hold("1-0", NOON_MS)
    await account.hold("2-0", TOMORROW_MS)  # after the first refill, which does not count for it
    await account.refund("refunded", TOMORROW_MS)
    later_ms = TOMORROW_MS + DAY_MS
    await account.settle("2-0", later_ms)
    assert await account.numbers(later_ms) == (50, 5), "60 - 5, more than 50"
    await account.settle("1-0", later_ms)
    assert await account.numbers(later_ms) == (55, 0), "50 - 5, filled up to 50, - 5 + 10, more than 50"


async def test_a_hold_settled_after_a_refill_is_made_good_by_its_own_price_at_most(
    account: Account,
) -> None:
    await account.hold("1-0", NOON_MS, 20)
    await account.settle("1-0", NOON_MS)
    await account.hold("2-0", NOON_MS)
    assert await account.numbers(TOMORROW_MS) == (45, 5)
    await account.settle("2-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0)


async def test_a_single_credit_that_is_missing_is_filled_up(account: Account) -> None:
    await account.hold("1-0", NOON_MS, 1)
    await account.settle("1-0", NOON_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0)


async def test_a_refill_is_remembered_only_while_something_is_held_and_for_its_person_alone(account: Account) -> None:
    async def remembered() -> list[int]:
        return await account.database.run(lambda tx: sorted(tx.scalars(select(refills.c.user_id))))

    await account.hold("1-0", NOON_MS)
    await account.do(account.ledger.hold, OTTO, "2-0", 5, NOON_MS)
    await account.balance(TOMORROW_MS)
    await account.do(account.ledger.balance, OTTO, TOMORROW_MS)
    assert await remembered() == [MIRA, OTTO]
    await account.balance(TOMORROW_MS + DAY_MS)
    assert await remembered() == [MIRA, OTTO], "the later one asks for as much"
    await account.settle("1-0", TOMORROW_MS + DAY_MS)
    await account.balance(TOMORROW_MS + 2 * DAY_MS)
    assert await remembered() == [OTTO]
    await account.do(account.ledger.settle, "2-0", None, TOMORROW_MS + DAY_MS)
    assert (await account.do(account.ledger.balance, OTTO, TOMORROW_MS + DAY_MS)).available == 50


async def test_a_present_is_added_to_a_refill_that_is_due(account: Account) -> None:
    await account.hold("1-0", NOON_MS, 20)
    await account.settle("1-0", NOON_MS)
    await account.do(account.ledger.grant, MIRA, 7, "present", "thanks", None, TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (57, 0)


async def test_a_clock_that_jumps_back_refills_nothing(account: Account) -> None:
    await account.balance(TOMORROW_MS)
    await account.hold("1-0", NOON_MS)  # dated yesterday by the clock, but held in today's period
    await account.settle("1-0", NOON_MS)
    assert await account.numbers(NOON_MS) == (45, 0)
    assert await account.numbers(TOMORROW_MS) == (45, 0)
    assert (await account.balance(NOON_MS)).refills_at_ms == TOMORROW_MS + DAY_MS // 2, "when it really comes"


async def test_a_changed_time_zone_refills_only_forwards(account: Account) -> None:
    await account.hold("1-0", NOON_MS)
    await account.settle("1-0", NOON_MS)
    west = Account(account.database, Ledger(Allowance(50, CreditPeriod.DAY, ZoneInfo("America/New_York"))))
    week = Account(account.database, Ledger(Allowance(50, CreditPeriod.WEEK, ZoneInfo("UTC"))))
    assert await week.numbers(NOON_MS) == (45, 0), "this week began before today's refill"
    assert await west.numbers(NOON_MS) == (50, 0), "this day began after it"


async def test_a_lowered_allowance_takes_nothing_away_and_a_raised_one_counts_from_the_next_period(
    account: Account,
) -> None:
    await account.hold("1-0", NOON_MS)
    lower, higher = (Account(account.database, Ledger(daily(credits))) for credits in (20, 80))
    assert await lower.numbers(TOMORROW_MS) == (45, 5)
    await lower.settle("1-0", TOMORROW_MS)
    assert await lower.numbers(TOMORROW_MS) == (45, 0)
    assert await higher.numbers(TOMORROW_MS) == (45, 0)
    assert await higher.numbers(TOMORROW_MS + DAY_MS) == (80, 0)


async def test_the_period_never_refills_once(account: Account) -> None:
    once = Account(account.database, Ledger(Allowance(50, CreditPeriod.NEVER, ZoneInfo("UTC"))))
    await once.hold("1-0", NOON_MS)
    await once.settle("1-0", NOON_MS + 1000 * DAY_MS)
    assert await once.numbers(NOON_MS + 2000 * DAY_MS) == (45, 0)
    assert (await once.balance(NOON_MS)).refills_at_ms is None


async def test_an_allowance_of_zero_opens_an_account_with_zero(account: Account) -> None:
    nothing = Account(account.database, Ledger(daily(0)))
    assert await nothing.numbers(NOON_MS) == (0, 0)
    with pytest.raises(InsufficientCredits):
        await nothing.hold("1-0", NOON_MS)


async def test_many_simultaneous_first_uses_refill_once(database: Database, other_database: Database) -> None:
    for now_ms in (NOON_MS, TOMORROW_MS):
        polls = [Account(each).numbers(now_ms) for each in (database, other_database) * 5]
        assert set(await asyncio.gather(*polls)) == {(50, 0)}


@dataclass(frozen=True)
class Zone:
    """An allowance of 50 in one time zone, and a moment shortly before its clocks change."""

    period: CreditPeriod
    name: str
    begins: str

    @property
    def allowance(self) -> Allowance:
        return Allowance(ALLOWANCE, self.period, ZoneInfo(self.name))

    @property
    def now_ms(self) -> int:
        return round(datetime.fromisoformat(self.begins).timestamp() * 1000)


ZONES = [
    Zone(CreditPeriod.DAY, "UTC", "2024-10-04T12:00Z"),
    Zone(CreditPeriod.DAY, "Europe/Berlin", "2024-10-26T20:00Z"),
    Zone(CreditPeriod.HOUR, "Australia/Lord_Howe", "2024-04-06T13:00Z"),
    Zone(CreditPeriod.DAY, "America/Havana", "2024-03-10T03:00Z"),  # the clock leaves out midnight
    Zone(CreditPeriod.DAY, "Pacific/Apia", "2011-12-29T20:00Z"),  # and here a whole day
    Zone(CreditPeriod.WEEK, "America/New_York", "2024-11-02T20:00Z"),
]
TIERS = {"silver": 65, "gold": 90}


@dataclass(frozen=True)
class Held:
    """A hold, and what its image will consume; None: it will be released."""

    person: Person
    image_id: str
    amount: int = 0
    bonus: int = 0
    consumes: int | None = None

    @property
    def cost(self) -> int:
        return min(self.consumes or 0, self.amount)

    @property
    def cost_in_bonus(self) -> int:
        return max(0, self.cost - (self.amount - self.bonus))


@dataclass(eq=False)
class Person:
    """The rule. *worth*: what is left of the allowance if each hold had ended when it was made; *level*: what this
    period was filled to."""

    user_id: int
    worth: int = 0
    level: int = 0
    bonus: int = 0
    refilled_from_ms: int = -1
    everybody: int = ALLOWANCE
    tiers: set[str] = field(default_factory=set[str])
    open: dict[str, Held] = field(default_factory=dict[str, Held])
    grants: dict[int, int] = field(default_factory=dict[int, int])  # number -> amount

    def entitled(self, source: str | None) -> Entitled:
        best = Entitled(self.everybody, None)
        for tier in sorted(self.tiers):
            best = max(best, Entitled(TIERS[tier], tier), key=lambda one: one.credits)
        return best

    def begin_period(self, starts_at_ms: int, target: int) -> None:
        if starts_at_ms > self.refilled_from_ms:
            self.refilled_from_ms, self.worth = starts_at_ms, max(self.worth, target)
            self.level = self.worth


some_cost = st.sampled_from([45, 45, 5, 3, 0, None, None])
either = st.sampled_from([0, 0, 0, 1])
amounts = st.sampled_from([1, 7, 20, 45])


class RefillMachine(RuleBasedStateMachine):
    """Compare the ledger with the rule, for two people who use it in turn."""

    def __init__(self, engine: Engine, user_ids: list[int]) -> None:
        super().__init__()
        self.engine = engine
        self.people = [Person(2**53 + 1 + len(user_ids)), Person(2**63 - 1 - len(user_ids))]
        user_ids.extend(person.user_id for person in self.people)
        self.number = 0

    held, settled = Bundle("held"), Bundle("settled")

    def do(self, method: Callable[..., Any], *arguments: Any) -> Any:
        with self.engine.begin() as tx:
            return method(tx, *arguments)

    def row(self, person: Person) -> Row[Any] | None:
        return self.do(lambda tx: tx.execute(select(accounts).where(accounts.c.user_id == person.user_id)).first())

    def look(self, person: Person, *, asks: bool = True) -> Balance:
        """Have the account refilled, and adjusted if the ledger *asks* what the person is entitled to."""
        before, last = self.row(person), self.newest(person)
        target = person.entitled(None).credits if asks else self.stored(before)
        person.begin_period(self.ledger.allowance.window(self.now_ms).starts_at_ms, target)
        entitled = person.entitled if asks else None
        balance = self.do(self.ledger.balance, person.user_id, self.now_ms, entitled)
        adjusted = sum(row.available_delta for row in self.since(person, last) if ":after:" in row.id)
        person.worth, person.level = person.worth + adjusted, person.level + adjusted
        after = self.row(person)
        assert after is not None
        if asks:
            assert after.source == person.entitled(None).source
            assert after.allowance == target or (after.allowance > target and balance.available == balance.bonus)
        if not person.open:
            assert after.allowance == person.level
        return balance

    def stored(self, account: Row[Any] | None) -> int:
        return ALLOWANCE if account is None or account.source is None else max(0, account.allowance)

    def newest(self, person: Person) -> int:
        return self.do(newest_number, person.user_id)

    def since(self, person: Person, number: int) -> list[Row[Any]]:
        newer = select(entries).where(entries.c.user_id == person.user_id, entries.c.number > number)
        return self.do(lambda tx: tx.execute(newer).all())

    @initialize(target=held, zone=st.sampled_from(ZONES), present=amounts, amount=amounts, consumes=some_cost)
    def begin_with_a_present_and_a_hold(self, zone: Zone, present: int, amount: int, consumes: int | None) -> Any:
        self.ledger, self.now_ms = Ledger(zone.allowance), zone.now_ms
        self.give(0, present)
        return self.hold(0, amount, consumes)

    @rule(hours=st.sampled_from([24, 24, 12, 1, 200, -30]))
    def time_passes_or_jumps_back(self, hours: int) -> None:
        self.now_ms += hours * 3_600_000

    @rule(who=either, tiers=st.sets(st.sampled_from(sorted(TIERS))), everybody=st.sampled_from([50, 50, 20, 0]))
    def tiers_change(self, who: int, tiers: set[str], everybody: int) -> None:
        self.people[who].tiers, self.people[who].everybody = tiers, everybody
        self.look(self.people[who])

    @rule(target=held, who=either, amount=amounts, consumes=some_cost)
    def hold(self, who: int, amount: int, consumes: int | None) -> Held:
        self.number += 1
        person = self.people[who]
        image_id = f"{person.user_id}-{self.number}"
        balance = self.look(person)
        price = (person.user_id, [image_id], amount, self.now_ms, person.entitled)
        try:
            self.do(self.ledger.hold_each, *price)
        except InsufficientCredits as refused:
            assert refused.balance.available == balance.available < amount
            return Held(person, image_id)
        self.do(self.ledger.hold_each, *price)
        assert amount <= balance.available
        made = Held(person, image_id, amount, max(0, amount - (balance.available - person.bonus)), consumes)
        person.bonus -= made.bonus
        person.worth -= made.cost - made.cost_in_bonus
        person.open[image_id] = made
        return made

    @rule(target=settled, held=consumes(held))
    def end_and_end_again(self, held: Held) -> Held:
        if held.amount:
            self._end(held)
            assert self.do(self.ledger.settle, held.image_id, 1, self.now_ms) == held.cost
            returned = self.do(self.ledger.release, held.image_id, self.now_ms)
            assert returned == (held.amount if held.consumes is None else 0)
        return held

    @rule(held=consumes(settled), by_hand_first=st.booleans())
    def refund_twice(self, held: Held, *, by_hand_first: bool) -> None:
        if not held.amount:
            return
        if held.cost:
            self.look(held.person, asks=False)
        booked = list[bool]()
        for by_hand in (by_hand_first, not by_hand_first):
            if by_hand:
                done = self.do(self.ledger.refund_by_hand, held.image_id, "sorry", OTTO, self.now_ms)
                assert done.amount == held.cost
                booked.append(done.is_new)
            else:
                assert self.do(self.ledger.refund, held.image_id, self.now_ms) == held.cost
        assert booked == [by_hand_first and held.cost > 0]
        held.person.worth += held.cost - held.cost_in_bonus
        held.person.bonus += held.cost_in_bonus

    @rule(who=either, amount=amounts)
    def give(self, who: int, amount: int) -> None:
        self.number += 1
        person = self.people[who]
        self.look(person, asks=False)
        given = (person.user_id, amount, f"{person.user_id}-{self.number}", "thanks", OTTO, self.now_ms)
        booking = self.do(self.ledger.grant, *given)
        assert booking.is_new and booking == replace(self.do(self.ledger.grant, *given), is_new=True)
        person.bonus += amount
        person.grants[booking.number] = amount

    @rule(who=either, amount=st.integers(1, 100))
    def take(self, who: int, amount: int) -> None:
        self.number += 1
        person = self.people[who]
        balance = self.look(person, asks=False)
        taken = (person.user_id, amount, f"{person.user_id}-{self.number}", "sorry", OTTO, self.now_ms)
        assert self.do(self.ledger.take, *taken).amount == min(amount, balance.available)
        assert not self.do(self.ledger.take, *taken).is_new
        of_bonus = min(amount, person.bonus)
        person.bonus -= of_bonus
        person.worth -= min(amount, balance.available) - of_bonus

    @rule(who=either, data=st.data())
    def take_back(self, who: int, data: st.DataObject) -> None:
        person = self.people[who]
        if not person.grants:
            return
        number = data.draw(st.sampled_from(sorted(person.grants)))
        self.look(person, asks=False)
        taken = min(person.grants[number], person.bonus)
        for _ in range(2):
            assert self.do(self.ledger.take_back, number, "a mistake", OTTO, self.now_ms).amount == taken
        person.bonus -= taken
        if taken:
            del person.grants[number]

    @invariant()
    def what_is_held_is_what_is_open(self) -> None:
        if not self.number:
            return
        for person in self.people:
            row = self.row(person)
            if row is None:
                continue
            assert row.held == sum(held.amount for held in person.open.values())
            assert row.held_bonus == sum(held.bonus for held in person.open.values())
            assert row.bonus == person.bonus
            if not person.open:
                assert row.available - row.bonus == person.worth

    def teardown(self) -> None:
        for person in self.people:
            for held in list(person.open.values()):
                self._end(held)
            balance = self.look(person)
            assert (balance.available - balance.bonus, balance.held) == (person.worth, 0)
        assert self.do(self.ledger.audit) == []

    def _end(self, held: Held) -> None:
        if held.consumes is None:
            assert self.do(self.ledger.release, held.image_id, self.now_ms) == held.amount
        else:
            assert self.do(self.ledger.settle, held.image_id, held.consumes, self.now_ms) == held.cost
        held.person.bonus += held.bonus - held.cost_in_bonus
        del held.person.open[held.image_id]


def test_after_any_sequence_the_account_follows_the_refill_rule() -> None:
    """On SQLite in memory: the statements are tried on both databases by the tests above."""
    engine, user_ids = create_engine("sqlite://"), list[int]()
    metadata.create_all(engine, [accounts, refills, entries])

    class Machine(RefillMachine):
        def __init__(self) -> None:
            super().__init__(engine, user_ids)

    try:
        run_machine(
            Machine,
            # Shrinking takes minutes here; add Phase.shrink to find the smallest case of a failure.
            settings=settings(
                max_examples=30, stateful_step_count=25, deadline=None, phases=[Phase.reuse, Phase.generate]
            ),
        )
    finally:
        engine.dispose()
