"""Who may call, and what a call does: on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine, event

from generations import records
from generations.callbacks import Callbacks, hash_token
from generations.model import State
from store.database import Database, open_database
from tests.integration.web_door import TASK, Door, open_door
from web import BODY_MAX_BYTES, WebLimits


@pytest.fixture
async def door(database: Database) -> AsyncIterator[Door]:
    async with open_door(database, WebLimits()) as opened:
        yield opened


async def test_a_call_is_answered_with_nothing_and_makes_the_poll_due(door: Door) -> None:
    door.world.clock.at_ms += 7000
    assert await door.post(json={"code": 200, "data": {"task_id": TASK, "status": "SUCCESS"}}) == 204
    assert await door.due_in_ms() == 0
    assert door.nudges == [1]
    assert [generation.id for generation in await door.world.claim()] == [1]


async def test_a_call_may_be_a_put(door: Door) -> None:
    door.world.clock.at_ms += 7000
    async with door.session.put(door.url, json={"id": TASK, "status": "completed"}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    async with door.session.put(f"{door.base}/callbacks/nobody") as answer:
        assert answer.status == 404
    assert await door.due_in_ms() == 0
    assert door.nudges == [1]


async def test_a_replay_changes_nothing(door: Door) -> None:
    door.world.clock.at_ms += 7000
    await door.post()
    assert await door.due_in_ms() == 0
    before = await door.world.load(1)
    door.world.clock.at_ms += 3000
    assert [await door.post() for _ in range(5)] == [204] * 5
    assert await door.due_in_ms() == -3000
    assert await door.world.load(1) == before
    assert door.nudges == [1]


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff", b"[" * 60_000, b'{"data": {"task_id": ["x"]}}', b"x" * BODY_MAX_BYTES]
)
async def test_whatever_the_body_is_the_call_is_a_hint_and_nothing_more(door: Door, body: bytes) -> None:
    assert await door.post(data=body) == 204
    assert await door.due_in_ms() == 0
    image = await door.world.image(1)
    assert (image.state, image.task_id, image.image_url) == (State.RUNNING, TASK, None)


@pytest.mark.parametrize(
    "path", ["nobody", "x" * 43, "x" * 4000, "%00", "%F0%9F%92%A9", "..%2F..", "'; DROP TABLE callbacks; --", "%ud800"]
)
async def test_a_token_that_nobody_gave_out_is_not_found(door: Door, path: str) -> None:
    assert await door.post(f"{door.base}/callbacks/{path}") == 404
    assert await door.due_in_ms() == 20_000
    assert door.nudges == []


async def test_the_hash_in_the_database_opens_nothing(door: Door) -> None:
    kept = hash_token(door.url.rpartition("/")[2])
    assert await door.post(f"{door.base}/callbacks/{kept}") == 404


async def test_an_unknown_token_costs_what_a_known_one_costs(door: Door) -> None:
    """All that is done before the answer: the same statements, one row at most, and one comparison."""
    asked: list[str] = []

    def note(*facts: object) -> None:
        asked.append(str(facts[2]))

    async def statements(token: str) -> list[str]:
        asked.clear()
        found = await door.callbacks.recognise(token)
        assert (found is None) == (token == "x" * 43)
        return list(asked)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        known = await statements(door.url.rpartition("/")[2])
        assert known == await statements("x" * 43) != []
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_an_image_that_has_ended_is_called_by_nobody(door: Door) -> None:
    await door.world.move(await door.world.image(1), State.SUCCEEDED, State.DELIVERED)
    assert await door.post() == 404


async def test_many_calls_at_once_and_a_worker_in_between_never_wait_for_each_other(
    door: Door, database_address: str
) -> None:
    async with open_database(database_address, idle_seconds=0) as other, asyncio.timeout(60):
        elsewhere = Callbacks(other, door.clock, public_url="https://imagine.example.com", nudge=lambda: None)
        image = await door.world.image(1)
        async with other.transaction() as tx:
            found = await records.load_callback(tx, image)
        assert found is not None
        door.world.clock.at_ms += 9000
        calls = [each.handle(found, b"{}") for each in (door.callbacks, elsewhere) * 6]
        await asyncio.gather(*calls, *(door.post() for _ in range(6)), door.world.claim(), door.world.claim())
    assert (await door.world.image(1)).due_at_ms == door.clock.now_ms()


async def test_what_has_ended_is_forgotten_with_its_address(door: Door) -> None:
    async def kept() -> bool:
        async with door.world.database.transaction() as tx:
            await records.forget_callbacks(tx, door.clock.now_ms())
            return await records.load_callback(tx, image) is not None

    image = await door.world.image(1)
    assert await kept()
    await door.world.move(image, State.SUCCEEDED)
    assert not await kept()
