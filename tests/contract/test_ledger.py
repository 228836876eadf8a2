"""The ledger: each move takes effect once, no credits are lost, no balance is negative."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError

from credits.errors import InsufficientCredits, UnknownHold
from credits.ledger import Ledger
from credits.model import Amounts, Booking, Discrepancy, Entry, EntryKind
from credits.tables import accounts, entries
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, MIRA, NOON_MS, ON_SQLITE, OTTO, daily

LEDGER = Ledger(daily(50))
OWNER = 2**63 - 1
MIDNIGHT_MS = NOON_MS - DAY_MS // 2


async def hold(database: Database, image_id: str, amount: int = 5, now_ms: int = NOON_MS, user_id: int = MIRA) -> None:
    await database.run(LEDGER.hold, user_id, image_id, amount, now_ms)


async def settle(database: Database, image_id: str, consumed: int | None = None, now_ms: int = NOON_MS) -> int:
    return await database.run(LEDGER.settle, image_id, consumed, now_ms)


async def release(database: Database, image_id: str, now_ms: int = NOON_MS) -> int:
    return await database.run(LEDGER.release, image_id, now_ms)


async def refund(database: Database, image_id: str) -> int:
    return await database.run(LEDGER.refund, image_id, NOON_MS)


async def grant(database: Database, amount: int, occasion: str, user_id: int = MIRA, now_ms: int = NOON_MS) -> Booking:
    return await database.run(LEDGER.grant, user_id, amount, occasion, "a present", OWNER, now_ms)


async def numbers(database: Database, user_id: int = MIRA, now_ms: int = NOON_MS) -> tuple[int, int]:
    balance = await database.run(LEDGER.balance, user_id, now_ms)
    return balance.available, balance.held


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def ledger_audit(database: Database) -> AsyncIterator[None]:
    """Assert after every test that each account is the sum of its entries."""
    yield
    assert await database.run(LEDGER.audit) == []


async def test_the_first_use_opens_the_account_with_one_allowance(database: Database) -> None:
    assert await numbers(database) == (50, 0)
    assert await numbers(database) == (50, 0)
    (entry,) = await database.run(LEDGER.history, MIRA, 10)
    balance = await database.run(LEDGER.balance, MIRA, NOON_MS)
    assert (entry.id, entry.kind, entry.available_delta) == (f"grant:refill:{MIRA}:{MIDNIGHT_MS}", EntryKind.GRANT, 50)
    assert (balance.allowance, balance.refills_at_ms) == (50, MIDNIGHT_MS + DAY_MS)


async def test_a_hold_reserves_credits_and_settle_charges_them(database: Database) -> None:
    await hold(database, "1-0")
    assert await numbers(database) == (45, 5)
    assert await settle(database, "1-0") == 5
    assert await numbers(database) == (45, 0)


@ON_SQLITE
@pytest.mark.parametrize(("consumed", "charged"), [(None, 5), (5, 5), (3, 3), (0, 0), (99, 5), (-1, 0)])
async def test_settle_charges_what_was_consumed_and_at_most_what_was_held(
    database: Database, consumed: int | None, charged: int
) -> None:
    await hold(database, "1-0")
    assert await settle(database, "1-0", consumed) == charged
    assert await settle(database, "1-0", 1) == charged, "the second call tells the first one's outcome"
    assert await numbers(database) == (50 - charged, 0)


async def test_each_call_is_idempotent(database: Database) -> None:
    for _ in range(2):
        await hold(database, "1-0")
        await hold(database, "2-0")
    assert await numbers(database) == (40, 10)
    assert [await release(database, "1-0"), await release(database, "1-0")] == [5, 5]
    assert [await settle(database, "2-0"), await settle(database, "2-0")] == [5, 5]
    assert [await refund(database, "2-0"), await refund(database, "2-0")] == [5, 5]
    assert await numbers(database) == (50, 0)
    kinds = [entry.kind.value for entry in await database.run(LEDGER.history, MIRA, 10)]
    assert kinds == ["refund", "settle", "release", "hold", "hold", "grant"]


async def test_a_hold_ends_once(database: Database) -> None:
    await hold(database, "1-0")
    await hold(database, "2-0")
    assert [await settle(database, "1-0"), await release(database, "1-0")] == [5, 0]
    assert [await release(database, "2-0"), await settle(database, "2-0")] == [5, 0]
    assert await numbers(database) == (45, 0)


async def test_a_refund_returns_only_what_was_charged(database: Database) -> None:
    for image_id, consumed in (("1-0", 2), ("2-0", 0)):
        await hold(database, image_id)
        await settle(database, image_id, consumed)
    await hold(database, "3-0")
    assert [await refund(database, image_id) for image_id in ("1-0", "2-0", "3-0")] == [2, 0, 0]
    await release(database, "3-0")
    assert await refund(database, "3-0") == 0
    assert await numbers(database) == (50, 0)


async def test_a_hold_above_the_balance_changes_nothing(database: Database) -> None:
    await hold(database, "1-0", 47)
    with pytest.raises(InsufficientCredits) as caught:
        await database.run(LEDGER.hold, MIRA, "2-0", 5, NOON_MS)
    assert (caught.value.needed, caught.value.balance.available, caught.value.balance.held) == (5, 3, 47)
    assert await numbers(database) == (3, 47)


async def test_of_fifty_holds_at_once_exactly_the_affordable_ten_succeed(
    database: Database, other_database: Database
) -> None:
    outcomes = await asyncio.gather(
        *(hold((database, other_database)[number % 2], f"{number}-0") for number in range(50)), return_exceptions=True
    )
    assert outcomes.count(None) == 10
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 40
    assert await numbers(database) == (0, 50)


async def test_settle_and_release_at_the_same_time_take_effect_once(
    database: Database, other_database: Database
) -> None:
    for number in range(5):
        await hold(database, f"{number}-0")
        charged, returned = await asyncio.gather(
            settle(database, f"{number}-0"), release(other_database, f"{number}-0")
        )
        assert {charged, returned} == {0, 5}


async def test_one_occasion_is_granted_once_for_all_people(database: Database) -> None:
    given = await grant(database, 20, "order-7")
    assert (given.amount, given.is_new) == (20, True)
    for user_id in (MIRA, OTTO):
        assert await grant(database, 25, "order-7", user_id) == Booking(given.number, 20, is_new=False, user_id=MIRA)
    assert (await numbers(database), await numbers(database, OTTO)) == ((70, 0), (50, 0))


async def test_accounts_do_not_touch_each_other(database: Database) -> None:
    await hold(database, "1-0", user_id=OTTO)
    assert await database.run(LEDGER.history, MIRA, 10) == []
    assert (await numbers(database), await numbers(database, OTTO)) == ((50, 0), (45, 5))


async def test_ending_an_unknown_hold_raises(database: Database) -> None:
    for ending in (settle, release, refund):
        with pytest.raises(UnknownHold, match="404-0") as caught:
            await ending(database, "404-0")
        assert caught.value.image_id == "404-0"


async def test_the_history_returns_whole_entries_up_to_its_limit(database: Database) -> None:
    await hold(database, "1-0", now_ms=NOON_MS + 1)
    third = (await grant(database, 7, "order-7", now_ms=NOON_MS + 2)).number
    assert third is not None
    newest = await database.run(LEDGER.history, MIRA, 2)
    assert (await database.run(LEDGER.balance, MIRA, NOON_MS)).user_id == MIRA
    assert newest == [
        Entry("grant:order-7", MIRA, EntryKind.GRANT, 7, 0, None, "a present", NOON_MS + 2, 7, 0, OWNER, third),
        Entry("1-0:hold", MIRA, EntryKind.HOLD, -5, 5, "1-0", "", NOON_MS + 1, 0, 0, None, third - 1),
    ]


@ON_SQLITE
@pytest.mark.parametrize("amount", [0, -5])
async def test_zero_and_negative_amounts_are_refused(database: Database, amount: int) -> None:
    with pytest.raises(ValueError, match="a hold of"):
        await hold(database, "1-0", amount)
    with pytest.raises(ValueError, match="a grant of"):
        await grant(database, amount, "order-7")


@ON_SQLITE
@pytest.mark.parametrize("occasion", ["refill:1:2", "kept:1", "back:1"])
async def test_the_ledgers_own_occasions_are_refused_by_hand(database: Database, occasion: str) -> None:
    for by_hand in (LEDGER.grant, LEDGER.take):
        with pytest.raises(ValueError, match=occasion):
            await database.run(by_hand, MIRA, 5, occasion, "", OWNER, NOON_MS)


async def test_ledger_entries_roll_back_with_the_transaction(database: Database) -> None:
    def hold_and_fail(tx: Transaction) -> None:
        LEDGER.hold(tx, MIRA, "1-0", 5, NOON_MS)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.run(hold_and_fail)
    assert await numbers(database) == (50, 0)


async def test_the_audit_finds_an_account_that_differs_from_its_entries(database: Database) -> None:
    await hold(database, "1-0")
    await database.run(Transaction.execute, update(accounts).values(available=46))
    (found,) = await database.run(LEDGER.audit)
    await database.run(Transaction.execute, update(accounts).values(available=45))
    assert found == Discrepancy(MIRA, Amounts(46, 5), Amounts(45, 5))


async def test_the_audit_finds_a_balance_without_entries(database: Database) -> None:
    empty = {"available": 0, "held": 0, "created_at_ms": NOON_MS}
    await database.run(Transaction.execute, insert(accounts), [{"user_id": MIRA, **empty}, {"user_id": OTTO, **empty}])
    assert await database.run(LEDGER.audit) == []
    await database.run(Transaction.execute, update(accounts).where(accounts.c.user_id == MIRA).values(available=3))
    await database.run(Transaction.execute, update(accounts).where(accounts.c.user_id == OTTO).values(held=4))
    found = sorted(await database.run(LEDGER.audit), key=lambda one: one.user_id)
    await database.run(Transaction.execute, update(accounts).values(available=0, held=0))
    assert found == [Discrepancy(MIRA, Amounts(3), Amounts()), Discrepancy(OTTO, Amounts(0, 4), Amounts())]


IMPOSSIBLE_ENTRIES = [
    ("grant", -1, 0, None),
    ("hold", -5, 4, "9-0"),
    ("settle", 6, -5, "9-0"),
    ("release", 4, -5, "9-0"),
    ("refund", 5, 0, None),
    ("present", 5, 0, None),
    ("settle", 0, -5, "1-0"),
]


async def test_database_constraints_refuse_impossible_entries(database: Database) -> None:
    await hold(database, "1-0")
    await release(database, "1-0")
    for kind, available, held, image_id in IMPOSSIBLE_ENTRIES:
        entry = {"id": "x", "user_id": MIRA, "kind": kind, "available_delta": available, "held_delta": held}
        entry |= {"image_id": image_id, "reason": "", "created_at_ms": NOON_MS}
        with pytest.raises(IntegrityError):
            await database.run(Transaction.execute, insert(entries).values(entry))


async def test_database_constraints_refuse_a_negative_account_and_an_entry_without_one(database: Database) -> None:
    await hold(database, "1-0")
    for change in (update(accounts).values(available=-1), update(accounts).values(held=-1), delete(accounts)):
        with pytest.raises(IntegrityError):
            await database.run(Transaction.execute, change)
