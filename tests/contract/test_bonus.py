"""Bonus credits: given and taken by hand, kept apart from the allowance, used last, never expiring."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from credits import accounts
from credits.errors import UnknownGrant, UnknownHold
from credits.ledger import KEPT, Ledger
from credits.model import Booking, EntryKind
from credits.tables import entries
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, MIRA, NOON_MS, ON_SQLITE, OTTO, daily
from tests.contract.test_ledger import LEDGER, OWNER, grant, hold, ledger_audit, release, settle

__all__ = ["ledger_audit"]  # runs after every test here too

TOMORROW_MS = NOON_MS + DAY_MS


async def take(database: Database, amount: int, occasion: str = "a take", now_ms: int = NOON_MS) -> Booking:
    return await database.run(LEDGER.take, MIRA, amount, occasion, "spam", OWNER, now_ms)


async def take_back(database: Database, number: int | None) -> Booking:
    assert number is not None
    return await database.run(LEDGER.take_back, number, "a mistake", OWNER, NOON_MS)


async def refund_by_hand(database: Database, image_id: str) -> Booking:
    return await database.run(LEDGER.refund_by_hand, image_id, "blurred", OWNER, NOON_MS)


async def parts(database: Database, user_id: int = MIRA, now_ms: int = NOON_MS) -> tuple[int, int, int, int]:
    """Return what is available of the allowance and of bonus, and what is held of both."""
    found = await database.run(LEDGER.balance, user_id, now_ms)
    return found.available - found.bonus, found.bonus, found.held - found.held_bonus, found.held_bonus


async def newest(database: Database) -> dict[str, Any]:
    (entry,) = await database.run(LEDGER.history, MIRA, 1)
    return {"kind": entry.kind, "available": entry.available_delta, "bonus": entry.bonus_delta}


async def test_bonus_is_used_after_the_allowance_and_does_not_expire(database: Database) -> None:
    await grant(database, 7, "a present")
    await hold(database, "1-0", 48)
    assert await parts(database) == (2, 7, 48, 0)
    await hold(database, "2-0", 5)
    assert await newest(database) == {"kind": EntryKind.HOLD, "available": -5, "bonus": -3}
    assert await parts(database) == (0, 4, 50, 3)
    for image_id in ("1-0", "2-0"):
        await settle(database, image_id)
    assert await parts(database) == (0, 4, 0, 0)
    assert await parts(database, now_ms=TOMORROW_MS + 40 * DAY_MS) == (50, 4, 0, 0)


async def test_of_several_holds_at_once_only_the_last_ones_are_of_bonus(database: Database) -> None:
    await grant(database, 20, "a present")
    await database.run(LEDGER.hold_each, MIRA, ["1-0", "1-1", "1-2"], 20, NOON_MS)
    assert await parts(database) == (0, 10, 50, 10)
    held = select(entries.c.bonus_delta).where(entries.c.kind == "hold").order_by(entries.c.image_id)
    assert await database.run(lambda tx: list(tx.scalars(held))) == [0, 0, -10]


@pytest.mark.parametrize(("consumed", "left"), [(4, (0, 6)), (2, (0, 8)), (1, (1, 8)), (0, (2, 8)), (5, (0, 5))])
async def test_a_settle_charges_the_allowance_first(database: Database, consumed: int, left: tuple[int, int]) -> None:
    await grant(database, 8, "a present")
    await hold(database, "1-0", 48)
    await hold(database, "2-0", 5)
    assert await settle(database, "2-0", consumed) == consumed
    assert (await parts(database))[:2] == left
    await database.run(LEDGER.refund, "2-0", NOON_MS)
    assert (await parts(database))[:2] == (2, 8), "a refund goes back to the part that was charged"


async def test_a_release_gives_back_to_the_part_it_came_from(database: Database) -> None:
    await grant(database, 8, "a present")
    await hold(database, "1-0", 53)
    assert await parts(database) == (0, 5, 50, 3)
    assert await release(database, "1-0") == 53
    assert await parts(database) == (50, 8, 0, 0)


async def test_a_refill_counts_no_bonus_available_or_held(database: Database) -> None:
    await grant(database, 8, "a present")
    await hold(database, "1-0", 53)
    assert await parts(database, now_ms=TOMORROW_MS) == (0, 5, 50, 3)
    await settle(database, "1-0", now_ms=TOMORROW_MS)
    assert await parts(database, now_ms=TOMORROW_MS) == (50, 5, 0, 0)


async def test_a_take_takes_bonus_first_and_nothing_that_is_held(database: Database) -> None:
    await grant(database, 8, "a present")
    await hold(database, "1-0", 20)
    first = await take(database, 10)
    assert (first.amount, first.is_new) == (10, True)
    assert await newest(database) == {"kind": EntryKind.TAKE, "available": -10, "bonus": -8}
    assert await parts(database) == (28, 0, 20, 0)
    assert await take(database, 99) == Booking(first.number, 10, is_new=False, user_id=MIRA), "the same occasion"
    assert (await take(database, 99, "another")).amount == 28
    assert await take(database, 99, "a third") == Booking(None, 0, is_new=False, user_id=MIRA)
    assert await parts(database) == (0, 0, 20, 0)


async def test_what_was_taken_of_the_allowance_comes_back_with_the_next_period(database: Database) -> None:
    await take(database, 30)
    assert await parts(database) == (20, 0, 0, 0)
    await take(database, 10, "another", TOMORROW_MS)
    assert await parts(database, now_ms=TOMORROW_MS) == (40, 0, 0, 0), "refilled first"


async def test_a_grant_is_taken_back_by_its_number_once_and_never_from_the_allowance(database: Database) -> None:
    mistake = await grant(database, 100, "a slip")
    await take(database, 40)
    taken = await take_back(database, mistake.number)
    assert (taken.amount, taken.is_new) == (60, True)
    await grant(database, 30, "a present")
    assert await take_back(database, mistake.number) == Booking(taken.number, 60, is_new=False, user_id=MIRA)
    assert await parts(database) == (50, 30, 0, 0)


async def test_a_grant_can_be_taken_back_whatever_its_reason_says(database: Database) -> None:
    given = await database.run(LEDGER.grant, MIRA, 9, "a slip", KEPT, OWNER, NOON_MS)
    assert given.number is not None
    assert (await take_back(database, given.number)).amount == 9


async def test_what_stays_with_somebody_who_left_is_no_grant_by_hand(database: Database) -> None:
    await grant(database, 9, "a present")
    assert await database.run(accounts.leave, LEDGER, MIRA, accounts.Nobody(-5, "ab"), NOON_MS) == 59
    (kept,) = await database.run(LEDGER.history, MIRA, 1)
    assert kept.bonus_delta == 9
    with pytest.raises(UnknownGrant):
        await take_back(database, kept.number)


async def test_only_grants_by_hand_can_be_taken_back(database: Database) -> None:
    await hold(database, "1-0")
    history = await database.run(LEDGER.history, MIRA, 10)
    assert [entry.kind.value for entry in history] == ["hold", "grant"]
    for number in (*(entry.number for entry in history), 10**9):
        with pytest.raises(UnknownGrant) as refused:
            await take_back(database, number)
        assert refused.value.number == number


@pytest.mark.parametrize("by_hand_first", [True, False])
async def test_an_image_is_refunded_once_by_hand_or_by_itself(database: Database, *, by_hand_first: bool) -> None:
    await hold(database, "1-0")
    await settle(database, "1-0")
    if by_hand_first:
        booked = await refund_by_hand(database, "1-0")
        assert (booked.amount, booked.is_new) == (5, True)
    assert await database.run(LEDGER.refund, "1-0", NOON_MS) == 5
    again = await refund_by_hand(database, "1-0")
    (entry,) = await database.run(LEDGER.history, MIRA, 1)
    assert (again, entry.kind) == (Booking(entry.number, 5, is_new=False, user_id=MIRA), EntryKind.REFUND)
    assert (entry.actor_id, entry.reason) == ((OWNER, "blurred") if by_hand_first else (None, ""))
    assert await parts(database) == (50, 0, 0, 0)


async def test_nothing_is_refunded_by_hand_for_an_image_that_cost_nothing(database: Database) -> None:
    await hold(database, "1-0")
    assert await refund_by_hand(database, "1-0") == Booking(None, 0, is_new=False, user_id=MIRA), (
        "it is still being made"
    )
    await release(database, "1-0")
    assert await refund_by_hand(database, "1-0") == Booking(None, 0, is_new=False, user_id=MIRA)
    with pytest.raises(UnknownHold):
        await refund_by_hand(database, "404-0")


async def test_the_largest_ids_and_their_neighbours_have_accounts_of_their_own(database: Database) -> None:
    people = [2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1]
    for position, user_id in enumerate(people):
        await grant(database, position + 1, f"for {user_id}", user_id)
        await hold(database, f"{user_id}-0", 50 + position, user_id=user_id)
    assert [await parts(database, user_id) for user_id in people] == [(0, 1, 50, part) for part in range(4)]


@ON_SQLITE
@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "grant", "available_delta": 5, "bonus_delta": 6},
        {"kind": "grant", "available_delta": 5, "bonus_delta": -1},
        {"kind": "refund", "available_delta": 5, "bonus_delta": 6, "image_id": "9-0"},
        {"kind": "take", "available_delta": 5},
        {"kind": "take", "available_delta": -5, "held_delta": 5},
        {"kind": "take", "available_delta": -5, "bonus_delta": -6},
        {"kind": "hold", "available_delta": -5, "held_delta": 5, "bonus_delta": -2, "image_id": "9-0"},
        {"kind": "release", "available_delta": 5, "held_delta": -5, "bonus_delta": 2, "image_id": "9-0"},
        {"kind": "settle", "available_delta": 2, "held_delta": -5, "bonus_delta": 2, "image_id": "9-0"},
        {"kind": "settle", "available_delta": 3, "held_delta": -5, "held_bonus_delta": -3, "image_id": "9-0"},
    ],
)
async def test_the_database_refuses_entries_whose_bonus_does_not_fit(database: Database, wrong: dict[str, Any]) -> None:
    await grant(database, 5, "a present")
    entry = {"id": "x", "user_id": MIRA, "reason": "", "created_at_ms": NOON_MS, "held_delta": 0} | wrong
    with pytest.raises(IntegrityError):
        await database.run(Transaction.execute, insert(entries).values(entry))


async def test_a_grant_opens_an_account_beside_its_allowance(database: Database) -> None:
    await database.run(Ledger(daily(0)).grant, OTTO, 5, "a present", "", OWNER, NOON_MS)
    assert await parts(database, OTTO) == (0, 5, 0, 0)
