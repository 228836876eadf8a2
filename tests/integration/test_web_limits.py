"""What strangers may take up: connections, requests, bytes and seconds; and nothing of theirs gets into the log."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator

import pytest

from store.database import open_database
from tests.databases import SqliteMaker
from tests.integration.web_door import Door, open_door, talk
from web import BODY_MAX_BYTES, CALLS_IN_A_BURST, PortUnavailable, WebLimits, WebServer, open_web

LIMITS = WebLimits(requests_at_once=8)
SHORT = WebLimits(connection_seconds=0.5)  # only where nothing has to be done within it


@pytest.fixture
async def door(sqlite_maker: SqliteMaker) -> AsyncIterator[Door]:
    async with open_database(await sqlite_maker.create()) as database, open_door(database, LIMITS) as opened:
        yield opened


@pytest.fixture
async def short_door(sqlite_maker: SqliteMaker) -> AsyncIterator[Door]:
    async with open_database(await sqlite_maker.create()) as database, open_door(database, SHORT) as opened:
        yield opened


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"])
async def test_only_a_post_is_a_call(door: Door, method: str) -> None:
    async with door.session.request(method, door.url) as answer:
        assert answer.status == 405
    assert await door.due_in_ms() == 20_000


async def test_other_paths_are_not_there(door: Door) -> None:
    for path in ("/", "/callbacks", "/callbacks/", "/metrics", f"{door.url.removeprefix(door.base)}/more"):
        async with door.session.post(door.base + path) as answer:
            assert answer.status == 404


async def test_a_body_above_the_limit_is_refused_told_or_not(door: Door) -> None:
    huge = b"x" * (BODY_MAX_BYTES + 1)

    async def chunks() -> AsyncIterator[bytes]:
        yield huge[: len(huge) // 2]
        yield huge[len(huge) // 2 :]

    assert await door.post(data=huge) == 413
    assert await door.post(data=chunks()) == 413
    assert await door.post(f"{door.base}/callbacks/nobody", data=huge) == 413
    assert await door.due_in_ms() == 20_000


async def test_a_packed_body_is_never_unpacked(door: Door) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < BODY_MAX_BYTES
    assert await door.post(data=bomb, headers={"Content-Encoding": "gzip"}) == 204


async def test_a_flood_is_turned_away_and_heard_again_a_second_later(door: Door) -> None:
    async def calls(count: int) -> list[int]:
        return list(await asyncio.gather(*(door.post(f"{door.base}/callbacks/nobody") for _ in range(count))))

    answers = [status for _ in range(32) for status in await calls(5)]
    assert answers == [404] * CALLS_IN_A_BURST + [429] * (160 - CALLS_IN_A_BURST)
    assert await door.post() == 429
    door.clock.seconds += 1.0
    assert await door.post() == 204


async def test_slow_bodies_are_given_up_and_hold_up_nobody_else(door: Door) -> None:
    limits = WebLimits(body_seconds=1.5, requests_at_once=8)
    side = WebServer(door.callbacks, door.clock, lambda: True, limits)
    head = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with open_web(side, host="127.0.0.1", port=0) as port, asyncio.timeout(10):
        url = door.url.replace(str(door.port), str(port))
        slow = [asyncio.create_task(talk(port, head, b"x")) for _ in range(limits.requests_at_once)]
        await asyncio.sleep(0.4)
        assert await door.post(url) == 429
        assert {(await one).split(b" ")[1] for one in slow} == {b"408"}
        assert await door.post(url) == 204


@pytest.mark.parametrize("said", [(), (b"POST /callb",), (b"GET /healthz HTTP/1.1\r\n", b"Host: x\r\n")])
async def test_a_connection_without_a_request_is_cut_off(short_door: Door, said: tuple[bytes, ...]) -> None:
    async with asyncio.timeout(60):
        assert await talk(short_door.port, *said) == b""


async def test_a_request_that_comes_drop_by_drop_is_cut_off(short_door: Door) -> None:
    async with asyncio.timeout(60):
        assert await talk(short_door.port, *[bytes([letter]) for letter in b"POST /" * 20], pause=0.05) == b""


async def test_of_many_silent_connections_only_so_many_are_kept(door: Door) -> None:
    side = WebServer(door.callbacks, door.clock, lambda: True, WebLimits(connections=5))
    async with open_web(side, host="127.0.0.1", port=0) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        async with asyncio.timeout(5):
            cut = await asyncio.gather(*(reader.read() for reader, _ in opened[5:]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in cut)
        opened[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await opened[0][0].read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in opened:
            writer.close()


async def test_a_flood_of_connections_is_hung_up_on_whatever_it_asks_for(door: Door) -> None:
    limits = WebLimits(connections_per_second=0.001, connections_in_a_burst=3)
    side = WebServer(door.callbacks, door.clock, lambda: True, limits)
    async with open_web(side, host="127.0.0.1", port=0) as port:
        heard = [await talk(port, b"GET /anything HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(6)]
    assert [answer[:12] for answer in heard] == [b"HTTP/1.1 404"] * 3 + [b""] * 3


async def test_health_is_told_without_a_word_about_anything_else(door: Door) -> None:
    for door.well, status in ((True, 200), (False, 503)):
        async with door.session.get(f"{door.base}/healthz") as answer:
            assert answer.status == status
            assert door.base not in await answer.text()


async def test_no_token_gets_into_the_log_whatever_is_sent(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = door.url.rpartition("/")[2]
    path = f"/callbacks/{token}".encode()
    await door.post(json={"task_id": "x"})
    await talk(door.port, b"P\x01ST " + path + b" HTTP/1.1\r\n\r\n")
    await talk(door.port, b"POST " + path + b" HTTP/9.9\r\nHost: x\r\n\r\n")
    await talk(door.port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + path + b"\r\n\r\n")
    await talk(door.port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + path + b"\r\n\r\n")
    await talk(door.port, b"POST /callbacks/" + token.encode() * 400 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    await door.side.drain()
    async with door.world.database.transaction() as tx:
        await tx.run_sync(lambda connection: connection.exec_driver_sql("DROP TABLE callbacks"))
    assert await door.post() == 500
    assert token not in caplog.text
    assert "a request failed (BadHttpMethod)" in caplog.text or "a request failed (BadStatusLine)" in caplog.text
    assert "a request failed (OperationalError)" in caplog.text or "a request failed (ProgrammingError)" in caplog.text


async def test_a_port_that_is_taken_is_a_sentence(door: Door) -> None:
    with pytest.raises(PortUnavailable, match=rf"^PORT {door.port} is taken by another program"):
        async with open_web(door.side, host="127.0.0.1", port=door.port):
            pass
