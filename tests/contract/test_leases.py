"""Leases: of several processes one does a piece of work, and another one once the lease runs out."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from services.resources import Resources
from services.senders import _claim_alert
from store.database import Database, open_database
from store.leases import give_back_lease, take_lease
from tests.doubles import FakeImageStore, ManualClock, ScriptedService


async def test_a_lease_is_its_holders_until_it_runs_out_or_is_given_back(database: Database) -> None:
    async def take(holder: str, now_ms: int) -> bool:
        return await database.run(take_lease, "maintenance", holder, now_ms, now_ms + 100)

    assert await take("one", 0)
    assert not await take("two", 99)
    assert await take("one", 60), "its holder extends it"
    assert not await take("two", 159)
    assert await take("two", 160)
    assert not await take("one", 160)
    await database.run(give_back_lease, "maintenance", "one")
    assert not await take("one", 161), "only its holder gives it back"
    await database.run(give_back_lease, "maintenance", "two")
    assert await take("one", 161)


async def test_two_leases_have_nothing_to_do_with_each_other(database: Database) -> None:
    assert await database.run(take_lease, "maintenance", "one", 0, 100)
    assert await database.run(take_lease, "commands", "one", 0, 100)
    await database.run(give_back_lease, "commands", "one")
    assert await database.run(take_lease, "commands", "two", 50, 150)
    assert not await database.run(take_lease, "maintenance", "two", 50, 150)


async def test_of_processes_that_take_a_lease_at_once_one_gets_it(database: Database, other_database: Database) -> None:
    for now_ms in (0, 100):  # a new lease, and one that has run out
        taken = await asyncio.gather(
            *(
                through.run(take_lease, "maintenance", f"{number} at {now_ms}", now_ms, now_ms + 100)
                for number, through in enumerate([database, other_database] * 4)
            )
        )
        assert sum(taken) == 1


async def test_of_several_processes_one_at_a_time_may_alert_the_owner_to_a_matter(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    clock = ManualClock()

    def process(name: str, database: Database) -> Resources:
        service, image_store = ScriptedService(clock), FakeImageStore()
        return Resources(database, True, service, image_store, clock, random.Random(7), owner=name)

    one, two = process("one", database), process("two", other_database)
    claimed = [await _claim_alert(each, "key_refused", 90) for each in (one, two, one)]
    assert claimed == [True, False, True], "who has it extends it where Discord could not take the alert"
    assert await _claim_alert(two, "account_empty", 90)
    clock.advance(90)
    assert [await _claim_alert(each, "key_refused", 90) for each in (two, one)] == [True, False]
    async with open_database(f"postgresql://postgres@/nobody?host={tmp_path}") as away:
        assert await _claim_alert(process("three", away), "key_refused", 90)
