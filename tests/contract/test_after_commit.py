"""What a transaction has called after its commit, on both databases."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from store.database import Database
from store.key_values import load_value, save_value
from store.transactions import Transaction, after_commit


async def test_a_call_comes_after_the_commit_in_the_task_that_waits_for_it(database: Database) -> None:
    heard: list[object] = []

    def note(number: int) -> None:
        heard.append((number, asyncio.current_task()))

    def work(tx: Transaction) -> str:
        save_value(tx, "key", "written")
        for number in (1, 2):
            after_commit(tx, partial(note, number))
        return "result"

    assert await database.run(work) == "result"
    assert heard == [(1, asyncio.current_task()), (2, asyncio.current_task())]
    assert await database.read(load_value, "key") == "written"


async def test_a_transaction_that_is_rolled_back_makes_no_call_nor_does_the_next_one(database: Database) -> None:
    heard: list[str] = []

    def fail(tx: Transaction) -> None:
        after_commit(tx, lambda: heard.append("failed"))
        raise ValueError

    with pytest.raises(ValueError):
        await database.run(fail)
    await database.run(lambda tx: None)
    await asyncio.gather(*(database.run(lambda tx: after_commit(tx, lambda: heard.append("kept"))) for _ in range(3)))
    assert heard == ["kept"] * 3
