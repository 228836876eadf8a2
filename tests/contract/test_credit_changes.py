"""Credits changed by hand: the ledger's entry and the line of the audit together, once for each interaction."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from credits.errors import UnknownGrant
from generations.credit_changes import PAGE_ENTRIES, CreditChanges, NamedImage
from generations.errors import NoSuchImage, WhichImage
from generations.model import State
from limits import audit
from limits.model import BOT, Actor, Change
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import MIRA, OTTO, Harness

OWNER = 2**53 + 13
NUMBERS = itertools.count(2**60 + 1)


@pytest.fixture
def changes(harness: Harness) -> CreditChanges:
    return CreditChanges(harness.database, harness.ledger, harness.clock)


def owner() -> Actor:
    return Actor(OWNER, next(NUMBERS), None)


async def audited(harness: Harness) -> list[Change]:
    return await harness.database.read(audit.load_changes, BOT, 100)


async def entry_numbers(harness: Harness, user_id: int = MIRA) -> list[int]:
    history = await harness.database.read(harness.ledger.history, user_id, 100)
    return [entry.number for entry in history if entry.actor_id == OWNER]


async def test_each_change_is_in_the_ledger_and_in_the_audit(harness: Harness, changes: CreditChanges) -> None:
    given = await changes.grant(owner(), MIRA, 40, "a present")
    taken = await changes.take(owner(), MIRA, 15, "a slip")
    undone = await changes.undo(owner(), given.number or 0, "the wrong person")
    assert (given.balance.available, taken.balance.available, undone.balance.available) == (90, 75, 50)
    assert (given.amount, taken.amount, undone.amount) == (40, 15, 25)
    assert await entry_numbers(harness) == [each.number for each in (undone, taken, given)]
    told = [
        (each.action, each.subject_id, each.actor_id, each.reason, each.before, each.after)
        for each in reversed(await audited(harness))
    ]
    grant = given.number
    assert told == [
        ("grant", MIRA, OWNER, "a present", "", f"entry {grant}: 40 credits"),
        ("take", MIRA, OWNER, "a slip", "", f"entry {taken.number}: 15 credits"),
        ("undo", MIRA, OWNER, "the wrong person", f"entry {grant}", f"entry {undone.number}: 25 credits"),
    ]


async def test_one_interaction_in_two_processes_changes_credits_once_and_both_say_the_same(
    harness: Harness, changes: CreditChanges, other_database: Database
) -> None:
    other = CreditChanges(other_database, harness.ledger, harness.clock)
    for _ in range(5):
        actor = owner()
        one, two = await asyncio.gather(changes.grant(actor, MIRA, 7, "x"), other.grant(actor, MIRA, 7, "x"))
        assert one.number == two.number and not (one.was_done or two.was_done)
        assert one.balance == two.balance
    assert len(await audited(harness)) == len(await entry_numbers(harness)) == 5
    assert await harness.numbers() == (85, 0)


async def test_a_change_whose_audit_fails_is_not_in_the_ledger(harness: Harness, changes: CreditChanges) -> None:
    """One transaction: a process that dies in between leaves neither, which is what the rollback here shows."""
    actor = owner()

    def take_the_place(tx: Transaction) -> None:
        change_id = f"{actor.interaction_id}:{BOT}:grant:{MIRA}"
        nothing = {"subject_id": None, "reason": "", "before": "", "after": "", "at_ms": 0}
        audit.write_change(tx, change_id, scope_id=5, action="x", actor_id=1, **nothing)

    await harness.database.run(take_the_place)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await changes.grant(actor, MIRA, 7, "x")
    assert await harness.numbers() == (50, 0) and await audited(harness) == []


async def test_what_changes_nothing_is_not_audited(harness: Harness, changes: CreditChanges) -> None:
    await changes.take(owner(), MIRA, 50, "all of it")
    nothing = await changes.take(owner(), MIRA, 5, "more")
    assert (nothing.number, nothing.amount, nothing.was_done) == (None, 0, False)
    with pytest.raises(UnknownGrant):
        await changes.undo(owner(), 2**62, "no such")
    assert [change.action for change in await audited(harness)] == ["take"]


async def test_a_second_interaction_learns_that_a_grant_was_undone_before(
    harness: Harness, changes: CreditChanges
) -> None:
    given, actor = await changes.grant(owner(), MIRA, 40, "a slip"), owner()
    number = given.number or 0
    first = await changes.undo(actor, number, "sorry")
    assert await changes.undo(actor, number, "sorry") == first and not first.was_done
    second = await changes.undo(owner(), number, "sorry again")
    assert second.was_done and second.number == first.number
    assert len(await audited(harness)) == 2


async def make(harness: Harness, generation_id: int, *, count: int = 1) -> None:
    """Make all images of a request and charge them."""
    generation = await harness.ask(generation_id, count=count)
    await harness.admit()
    (claimed,) = await harness.claim()
    for image in generation.images:
        await harness.move(image, State.SUBMITTING, State.RUNNING, State.SUCCEEDED, fence=claimed.fence)
        await harness.database.run(harness.ledger.settle, image.image_id, None, harness.clock.at_ms)


async def test_an_image_is_refunded_by_its_number_once(harness: Harness, changes: CreditChanges) -> None:
    generation_id, actor = next(NUMBERS), owner()
    await make(harness, generation_id, count=2)
    named = NamedImage(generation_id, None, 1)
    first = await changes.refund(actor, named, "blurred")
    assert (first.amount, first.user_id, first.balance.available) == (5, MIRA, 45)
    assert await changes.refund(actor, named, "blurred") == first
    assert (await changes.refund(owner(), named, "blurred")).was_done
    (change,) = await audited(harness)
    assert (change.action, change.after) == ("refund", f"entry {first.number}: 5 credits")


async def test_a_message_names_its_request_only_within_a_day(harness: Harness, changes: CreditChanges) -> None:
    generation_id = next(NUMBERS)
    await make(harness, generation_id, count=2)
    card = 9000 + generation_id
    with pytest.raises(WhichImage) as several:
        await changes.refund(owner(), NamedImage(None, card, None), "blurred")
    assert several.value.images == 2
    assert (await changes.refund(owner(), NamedImage(None, card, 0), "blurred")).amount == 5
    for named in (
        NamedImage(None, card + 1, 0),
        NamedImage(None, generation_id - 1, 0),
        NamedImage(generation_id, None, 2),
        NamedImage(generation_id + 1, None, 0),
    ):
        with pytest.raises(NoSuchImage):
            await changes.refund(owner(), named, "blurred")


async def test_pages_of_a_ledger_are_turned_by_numbers(harness: Harness, changes: CreditChanges) -> None:
    for number in range(PAGE_ENTRIES):
        await changes.grant(owner(), MIRA, 1, f"present {number}")
    first = await changes.page(MIRA, None)
    assert first.is_newest and first.has_older and first.entries[0].reason == "present 9"
    rest = await changes.page(MIRA, first.entries[-1].number)
    assert not rest.is_newest and not rest.has_older and [entry.reason for entry in rest.entries] == ["refill"]
    assert (await changes.page(OTTO, None)).balance is None
