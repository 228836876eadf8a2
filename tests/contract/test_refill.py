"""Refills across holds: no person gets a credit too many or too few (docs/decisions/0002-refill-across-a-hold.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Engine

from credits.allowance import Allowance, CreditPeriod
from credits.errors import InsufficientCredits
from credits.ledger import Ledger
from credits.model import Balance
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


async def test_a_present_is_used_up_before_a_hold_is_made_good(account: Account) -> None:
    await account.do(account.ledger.grant, MIRA, 3, "present", "thanks", NOON_MS)
    await account.hold("1-0", NOON_MS)
    await account.balance(TOMORROW_MS)
    await account.hold("2-0", TOMORROW_MS)
    await account.settle("2-0", TOMORROW_MS)
    await account.settle("1-0", TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (45, 0), "53 - 5, filled up to 50, - 5"


async def test_a_present_is_used_up_only_once_by_several_holds(account: Account) -> None:
    await account.do(account.ledger.grant, MIRA, 7, "present", "thanks", NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.hold(image_id, NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.settle(image_id, TOMORROW_MS)
    assert await account.numbers(TOMORROW_MS) == (50, 0), "57 - 10, filled up to 50"


async def test_a_hold_over_two_refills_is_made_good_by_both(account: Account) -> None:
    await account.do(account.ledger.grant, MIRA, 1, "present", "thanks", NOON_MS)
    for image_id in ("1-0", "2-0"):
        await account.hold(image_id, NOON_MS, 1)
    await account.do(account.ledger.grant, MIRA, 1, "another", "thanks", TOMORROW_MS)
    for image_id in ("1-0", "2-0"):
        await account.settle(image_id, TOMORROW_MS + DAY_MS)
    assert await account.numbers(TOMORROW_MS + DAY_MS) == (51, 0), "51 - 2, filled up to 50, + 1, more than 50"


async def test_of_two_refills_the_one_with_less_above_the_allowance_still_counts_for_a_hold_before_both(
    account: Account,
) -> None:
    await account.hold("1-0", NOON_MS)
    await account.hold("2-0", TOMORROW_MS)  # after the first refill, which does not count for it
    await account.do(account.ledger.grant, MIRA, 10, "present", "thanks", TOMORROW_MS)
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
    await account.do(account.ledger.grant, MIRA, 7, "present", "thanks", TOMORROW_MS)
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
class Held:
    """A hold, and what its image will consume; None: it will be released."""

    image_id: str
    amount: int
    consumes: int | None

    @property
    def cost(self) -> int:
        return min(self.consumes or 0, self.amount)


some_cost = st.sampled_from([40, 5, 3, 0, None])


class RefillMachine(RuleBasedStateMachine):
    """Compare the ledger with the rule: *worth* is the balance as if each hold ended when it was made."""

    def __init__(self, engine: Engine, user_ids: list[int]) -> None:
        super().__init__()
        self.engine, self.ledger = engine, Ledger(daily(ALLOWANCE))
        user_ids.append(len(user_ids) + 1)
        self.user_id = user_ids[-1]
        self.now_ms, self.refilled_from_ms, self.worth = NOON_MS, 0, 0
        self.open: dict[str, Held] = {}
        self.number = 0

    held, settled = Bundle("held"), Bundle("settled")

    def do(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call *method* in one transaction, after a refill of both the ledger and the rule."""
        today_ms = self.now_ms // DAY_MS * DAY_MS
        if today_ms > self.refilled_from_ms:
            self.refilled_from_ms, self.worth = today_ms, max(self.worth, ALLOWANCE)
        with self.engine.begin() as tx:
            return method(tx, *arguments)

    @initialize(target=held, present=st.integers(1, 30), amount=st.integers(1, 30), consumes=some_cost)
    def begin_with_a_present_and_a_hold(self, present: int, amount: int, consumes: int | None) -> Any:
        self.give_a_present(present)
        return self.hold(amount, consumes)

    @rule(hours=st.sampled_from([24, 24, 12, 1, -30]))
    def time_passes_or_jumps_back(self, hours: int) -> None:
        self.now_ms += hours * 3_600_000

    @rule(target=held, amount=st.integers(1, 30), consumes=some_cost)
    def hold(self, amount: int, consumes: int | None) -> Held:
        self.number += 1
        made = Held(f"{self.user_id}{self.number:04}-0", amount, consumes)
        try:
            self.do(self.ledger.hold, self.user_id, made.image_id, amount, self.now_ms)
        except InsufficientCredits as refused:
            assert refused.balance.available < amount
            return Held(made.image_id, 0, None)
        self.worth -= made.cost
        self.open[made.image_id] = made
        return made

    @rule(target=settled, held=consumes(held))
    def end(self, held: Held) -> Held:
        if held.amount:
            self._end(held)
        return held

    @rule(held=settled)
    def end_again(self, held: Held) -> None:
        if held.amount:
            assert self.do(self.ledger.settle, held.image_id, 1, self.now_ms) == held.cost
            returned = self.do(self.ledger.release, held.image_id, self.now_ms)
            assert returned == (held.amount if held.consumes is None else 0)

    @rule(held=consumes(settled))
    def refund_twice(self, held: Held) -> None:
        if held.amount:
            assert self.do(self.ledger.refund, held.image_id, self.now_ms) == held.cost
            self.worth += held.cost
            assert self.do(self.ledger.refund, held.image_id, self.now_ms) == held.cost

    @rule(amount=st.integers(1, 30))
    def give_a_present(self, amount: int) -> None:
        self.number += 1
        given = (self.user_id, amount, f"{self.user_id}-{self.number}", "thanks", self.now_ms)
        assert self.do(self.ledger.grant, *given)
        assert not self.do(self.ledger.grant, *given)
        self.worth += amount

    @invariant()
    def what_is_held_is_what_is_open(self) -> None:
        balance: Balance = self.do(self.ledger.balance, self.user_id, self.now_ms)
        assert balance.held == sum(held.amount for held in self.open.values())
        assert balance.available >= 0
        if not self.open:
            assert balance.available == self.worth

    def teardown(self) -> None:
        for held in list(self.open.values()):
            self._end(held)
        assert self.do(self.ledger.balance, self.user_id, self.now_ms).available == self.worth
        assert self.do(self.ledger.audit) == []

    def _end(self, held: Held) -> None:
        if held.consumes is None:
            assert self.do(self.ledger.release, held.image_id, self.now_ms) == held.amount
        else:
            assert self.do(self.ledger.settle, held.image_id, held.consumes, self.now_ms) == held.cost
        del self.open[held.image_id]


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
                max_examples=30, stateful_step_count=20, deadline=None, phases=[Phase.reuse, Phase.generate]
            ),
        )
    finally:
        engine.dispose()
