"""`python bot.py ledger check` and `ledger export`: what they find and write, and that nothing needs to stand still."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from sqlalchemy import Executable, delete, insert, update

from credits.check import find_faults, write_csv
from credits.tables import accounts, entries
from generations import records
from generations.model import State
from generations.records.tables import images
from store.transactions import Transaction
from tests.contract.harness import MIRA, ON_SQLITE, OTTO, Harness

REASON = 'a, "quoted"\nline'


async def faults(harness: Harness) -> list[str]:
    return await harness.database.read(lambda tx: list(find_faults(tx, records.held_image_ids)))


async def change(harness: Harness, *statements: Executable) -> None:
    for statement in statements:
        await harness.database.run(Transaction.execute, statement)


async def work(harness: Harness) -> None:
    """Leave an image that waits, one that runs, one that was cancelled, and bonus."""
    given = (MIRA, 9, "a present", REASON, OTTO, harness.clock.at_ms)
    await harness.database.run(harness.ledger.grant, *given)
    await harness.ask(1, count=2)
    await harness.admit(max_in_flight=1)
    await harness.move((await harness.load(1)).images[0], State.SUBMITTING, State.RUNNING)
    await harness.ask(2, OTTO)
    await harness.generations.cancel(2, user_id=OTTO, may_manage=False)


async def test_a_sound_ledger_has_no_fault(harness: Harness) -> None:
    assert await faults(harness) == []
    await work(harness)
    assert await faults(harness) == []


async def test_an_account_that_differs_from_its_entries_or_its_holds_is_named(harness: Harness) -> None:
    await work(harness)
    wrong = update(accounts).where(accounts.c.user_id == MIRA)
    await change(harness, wrong.values(available=accounts.c.available + 1, held=11, bonus=8, held_bonus=1))
    assert await faults(harness) == [
        f"account {MIRA}: available is 50, but its entries add up to 49",
        f"account {MIRA}: held is 11, but its entries add up to 10",
        f"account {MIRA}: bonus is 8, but its entries add up to 9",
        f"account {MIRA}: held bonus is 1, but its entries add up to 0",
        f"account {MIRA}: 11 credits are held, 1 of them bonus, but its open holds add up to 10, 0 of them bonus",
    ]


async def test_holds_and_images_that_do_not_belong_together_are_named(harness: Harness) -> None:
    await work(harness)
    await change(
        harness,
        update(images).where(images.c.generation_id == 1, images.c.position == 0).values(state="failed"),
        update(images).where(images.c.generation_id == 2).values(state="requested"),
    )
    assert await faults(harness) == [
        "image 1-0: credits are held for it, but it is not being made",
        "image 2-0 is being made, but no credits are held for it",
    ]


@ON_SQLITE
async def test_a_request_that_comes_or_ends_between_two_readings_is_no_fault(harness: Harness) -> None:
    """Play the readings of a database on which each statement sees what was committed before it."""
    await harness.ask(1)
    answers: Iterator[set[str]] = iter([{"1-0", "2-0"}, {"1-0"}])
    assert await harness.database.run(lambda tx: list(find_faults(tx, lambda _: next(answers)))) == []

    def end_between(tx: Transaction) -> list[str]:
        def read(_: Transaction) -> set[str]:
            harness.ledger.release(tx, "1-0", harness.clock.at_ms)
            return set()

        return list(find_faults(tx, read))

    assert await harness.database.run(end_between) == []


async def test_the_export_has_every_entry_whole_and_in_order(harness: Harness) -> None:
    await work(harness)
    out = io.StringIO()
    assert await harness.database.read(write_csv, out)
    lines = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert {name for line in lines for name in line} == {column.name for column in entries.c} - {"refilled_from_ms"}
    numbers = [int(line["number"]) for line in lines]
    assert numbers == sorted(numbers) and len(numbers) == 7
    by_hand = next(line for line in lines if line["actor_id"])
    assert (by_hand["id"], by_hand["kind"], by_hand["bonus_delta"]) == ("grant:a present", "grant", "9")
    assert (by_hand["user_id"], by_hand["actor_id"]) == (str(MIRA), str(OTTO))
    assert by_hand["reason"] == REASON


async def test_a_large_export_is_read_in_batches(harness: Harness) -> None:
    await harness.balance()
    await change(harness, delete(entries))
    row = {"user_id": 2**63 - 1, "kind": "grant", "available_delta": 1, "held_delta": 0, "reason": ""}
    row |= {"created_at_ms": 0}
    await change(harness, insert(accounts).values(user_id=2**63 - 1, available=0, held=0, created_at_ms=0))
    await change(harness, insert(entries).values([row | {"id": f"grant:{number}"} for number in range(2500)]))
    out = io.StringIO()
    assert await harness.database.read(write_csv, out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2501 and lines[-1].startswith("grant:2499,9223372036854775807,grant,1,0,")
