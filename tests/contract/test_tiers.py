"""An allowance of one's own: what a person is entitled to counts at the next call, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from credits.errors import InsufficientCredits
from credits.ledger import Ledger
from credits.model import Balance, Entitled, EntryKind
from store.database import Database
from tests.contract.harness import DAY_MS, MIRA, NOON_MS, daily
from tests.contract.test_ledger import OWNER, ledger_audit

__all__ = ["ledger_audit"]  # runs after every test here too

TOMORROW_MS = NOON_MS + DAY_MS
NOTHING, GOLD = Entitled(50), Entitled(200, "800:7")


@dataclass
class Member:
    """A person with a ledger that asks what they are entitled to."""

    database: Database
    tier: Entitled = NOTHING
    asked_for: list[str | None] = field(default_factory=list[str | None])

    def entitled(self, source: str | None) -> Entitled:
        self.asked_for.append(source)
        return self.tier

    async def run(self, method: Callable[..., Any], *arguments: Any) -> Any:
        return await self.database.run(method, *arguments)

    async def look(self, tier: Entitled | None = None, now_ms: int = NOON_MS) -> tuple[int, int]:
        self.tier = tier or self.tier
        balance: Balance = await self.run(LEDGER.balance, MIRA, now_ms, self.entitled)
        assert balance.allowance == self.tier.credits
        return balance.available, balance.held

    async def hold(self, image_id: str, amount: int, now_ms: int = NOON_MS) -> None:
        await self.run(LEDGER.hold_each, MIRA, [image_id], amount, now_ms, self.entitled)


LEDGER = Ledger(daily(50))


@pytest.fixture
def member(database: Database) -> Member:
    return Member(database)


async def test_a_tier_counts_at_the_next_call_and_its_end_too(member: Member) -> None:
    assert await member.look() == (50, 0)
    assert await member.look(GOLD) == await member.look() == (200, 0)
    assert await member.look(NOTHING) == await member.look() == (50, 0)
    entries = await member.run(LEDGER.history, MIRA, 10)
    kinds = [(entry.kind, entry.available_delta, entry.reason) for entry in entries]
    assert kinds == [
        (EntryKind.TAKE, -150, "tier"),
        (EntryKind.GRANT, 150, "refill"),
        (EntryKind.GRANT, 50, "refill"),
    ]


async def test_a_new_account_and_a_new_period_are_filled_to_the_tier(member: Member) -> None:
    assert await member.look(GOLD) == (200, 0)
    await member.hold("1-0", 120)
    await member.run(LEDGER.settle, "1-0", None, NOON_MS)
    assert await member.look(now_ms=TOMORROW_MS) == (200, 0)
    assert len(await member.run(LEDGER.history, MIRA, 10)) == 4


async def test_the_stored_source_is_what_the_ledger_asks_about(member: Member) -> None:
    await member.look(GOLD)
    await member.look()
    assert set(member.asked_for[:1]) == {None} and member.asked_for[-1] == "800:7"
    await member.look(NOTHING)
    await member.look()
    assert member.asked_for[-1] is None


async def test_losing_a_tier_and_getting_it_again_mints_nothing(member: Member) -> None:
    spent = 0
    for number in range(8):
        await member.look(GOLD)
        with_gold = (await member.look())[0]
        assert spent + with_gold == 200
        if with_gold >= 30:
            await member.hold(f"{number}-0", 30)
            await member.run(LEDGER.settle, f"{number}-0", None, NOON_MS)
            spent += 30
        without = (await member.look(NOTHING))[0]
        assert without == max(0, 50 - spent)
    assert spent == 180


async def test_a_lower_tier_takes_nothing_that_is_held_and_the_rest_when_it_comes_back(member: Member) -> None:
    await member.look(GOLD)
    await member.hold("1-0", 170)
    assert await member.look(NOTHING) == (0, 170)
    with pytest.raises(InsufficientCredits):
        await member.hold("2-0", 1)
    await member.run(LEDGER.release, "1-0", NOON_MS)
    assert await member.look() == (50, 0)
    assert await member.look(GOLD) == (200, 0)


@pytest.mark.parametrize("is_made", [True, False])
async def test_a_tier_that_ends_while_credits_are_held_over_a_refill_mints_nothing(
    member: Member, *, is_made: bool
) -> None:
    await member.look(GOLD)
    await member.hold("1-0", 170)
    assert await member.look(NOTHING, TOMORROW_MS) == (0, 170)
    if is_made:
        await member.run(LEDGER.settle, "1-0", None, TOMORROW_MS)
    else:
        await member.run(LEDGER.release, "1-0", TOMORROW_MS)
    assert await member.look(now_ms=TOMORROW_MS) == (50, 0)
    assert await member.look(GOLD, TOMORROW_MS) == (200, 0)


async def test_a_new_period_leaves_nothing_above_a_lower_tier(member: Member) -> None:
    await member.look(GOLD)
    assert await member.look(NOTHING, TOMORROW_MS) == (50, 0)


async def test_a_tier_touches_no_bonus(member: Member) -> None:
    await member.look(GOLD)
    await member.run(LEDGER.grant, MIRA, 9, "a present", "", OWNER, NOON_MS)
    assert await member.look(Entitled(0, "800:0")) == (9, 0)


async def test_what_the_owner_took_stays_taken_when_a_tier_changes(member: Member) -> None:
    await member.look(GOLD)
    await member.run(LEDGER.take, MIRA, 40, "a take", "", OWNER, NOON_MS)
    assert await member.look(NOTHING) == (10, 0)
    assert await member.look(GOLD) == (160, 0)


async def test_calls_that_do_not_ask_keep_the_tier(member: Member) -> None:
    await member.look(GOLD)
    await member.hold("1-0", 200)
    await member.run(LEDGER.settle, "1-0", None, NOON_MS)
    await member.run(LEDGER.take, MIRA, 1, "a take", "", OWNER, TOMORROW_MS)
    assert (await member.run(LEDGER.balance, MIRA, TOMORROW_MS)).available == 199


async def test_a_clock_that_jumps_back_changes_the_tier_but_refills_nothing(member: Member) -> None:
    await member.look(GOLD, TOMORROW_MS)
    await member.hold("1-0", 60, TOMORROW_MS)
    await member.run(LEDGER.settle, "1-0", None, NOON_MS)
    assert await member.look(now_ms=NOON_MS) == (140, 0)
    assert await member.look(NOTHING, NOON_MS) == (0, 0)
    assert await member.look(GOLD, NOON_MS) == (140, 0)
