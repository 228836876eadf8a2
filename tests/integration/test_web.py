"""Callbacks over HTTP: which are accepted, and what they do, on both databases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine, event

from generations import records
from generations.callbacks import Callbacks, hash_token
from generations.model import State
from store.database import Database, open_database
from tests.integration.callback_server import TASK, CallbackServer, open_callback_server
from web.limits import BODY_MAX_BYTES, WebLimits

ON_SQLITE = pytest.mark.parametrize("make_database", ["sqlite"], indirect=True)  # where the rows play no part


@pytest.fixture
async def server(database: Database) -> AsyncIterator[CallbackServer]:
    async with open_callback_server(database, WebLimits()) as opened:
        yield opened


async def test_a_call_is_answered_with_204_and_makes_the_poll_due(
    server: CallbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="qwen_imagine.callbacks")
    server.world.clock.at_ms += 7000
    assert await server.post(json={"code": 200, "data": {"task_id": TASK, "status": "SUCCESS"}}) == 204
    assert await server.due_in_ms() == 0
    assert server.nudges == [1]
    assert caplog.messages == ["image 1-0: the service called back"]
    assert [generation.id for generation in await server.world.claim()] == [1]


async def test_a_call_may_be_a_put(server: CallbackServer) -> None:
    server.world.clock.at_ms += 7000
    async with server.session.put(server.url, json={"id": TASK, "status": "completed"}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    async with server.session.put(f"{server.base}/callbacks/nobody") as answer:
        assert answer.status == 404
    assert await server.due_in_ms() == 0
    assert server.nudges == [1]


async def test_a_replay_changes_nothing(server: CallbackServer) -> None:
    server.world.clock.at_ms += 7000
    assert [await server.post() for _ in range(2)] == [204] * 2
    assert await server.due_in_ms() == 0
    before = await server.world.load(1)
    server.world.clock.at_ms += 3000
    assert [await server.post() for _ in range(5)] == [204] * 5
    assert await server.due_in_ms() == -3000
    assert await server.world.load(1) == before
    assert server.nudges == [1]


@ON_SQLITE
@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff", b"[" * 60_000, b'{"data": {"task_id": ["x"]}}', b"x" * BODY_MAX_BYTES]
)
async def test_whatever_the_body_is_the_call_only_makes_a_poll_due(server: CallbackServer, body: bytes) -> None:
    assert await server.post(data=body) == 204
    assert await server.due_in_ms() == 0
    image = await server.world.image(1)
    assert (image.state, image.task_id, image.image_url) == (State.RUNNING, TASK, None)


async def test_an_unknown_token_gets_404(server: CallbackServer) -> None:
    for path in (
        "nobody",
        "x" * 43,
        "x" * 4000,
        "%00",
        "%F0%9F%92%A9",
        "..%2F..",
        "'; DROP TABLE callbacks; --",
        "%ud800",
    ):
        assert await server.post(f"{server.base}/callbacks/{path}") == 404, path
    assert await server.due_in_ms() == 20_000
    assert server.nudges == []


async def test_the_hash_in_the_database_is_not_accepted_as_a_token(server: CallbackServer) -> None:
    kept = hash_token(server.url.rpartition("/")[2])
    assert await server.post(f"{server.base}/callbacks/{kept}") == 404


async def test_an_unknown_token_costs_what_a_known_one_costs(server: CallbackServer) -> None:
    """Both run the same statements, read at most one row and make one comparison before the answer."""
    asked: list[str] = []

    def note(*facts: object) -> None:
        asked.append(str(facts[2]))

    async def statements(token: str) -> list[str]:
        asked.clear()
        found = await server.callbacks.recognise(token)
        assert (found is None) == (token == "x" * 43)
        return list(asked)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        known = await statements(server.url.rpartition("/")[2])
        assert known == await statements("x" * 43) != []
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_token_of_an_ended_image_gets_404(server: CallbackServer) -> None:
    await server.world.move(await server.world.image(1), State.SUCCEEDED, State.DELIVERED)
    assert await server.post() == 404


async def test_many_calls_at_once_and_a_worker_do_not_deadlock(server: CallbackServer, database_address: str) -> None:
    async with open_database(database_address, idle_seconds=0) as other, asyncio.timeout(60):
        elsewhere = Callbacks(other, server.clock, public_url="https://imagine.example.com", nudge=lambda: None)
        image = await server.world.image(1)
        found = await other.run(records.load_callback, image)
        assert found is not None
        server.world.clock.at_ms += 9000
        calls = [each.handle(found, b"{}") for each in (server.callbacks, elsewhere) * 6]
        await asyncio.gather(*calls, *(server.post() for _ in range(6)), server.world.claim(), server.world.claim())
    assert (await server.world.image(1)).due_at_ms == server.clock.now_ms()


async def test_the_callbacks_of_ended_images_are_deleted_and_calls_in_hand_come_to_nothing(
    server: CallbackServer,
) -> None:
    async def kept() -> bool:
        await server.world.database.run(records.forget_callbacks, server.clock.now_ms())
        return await server.world.database.run(records.load_callback, image) is not None

    image = await server.world.image(1)
    in_hand = await server.callbacks.recognise(server.url.rpartition("/")[2])
    assert await kept() and in_hand is not None
    await server.world.move(image, State.SUCCEEDED)
    assert not await kept()
    await server.callbacks.handle(in_hand, b"")
    assert server.nudges == []
