"""Limits for callers: connections, requests, bytes and seconds; and nothing they send is in the log."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection

from store.database import open_database
from tests.databases import SqliteMaker
from tests.integration.callback_server import CallbackServer, open_callback_server, send_raw
from web import BODY_MAX_BYTES, CALLS_IN_A_BURST, PortUnavailable, WebLimits, WebServer, open_web

LIMITS = WebLimits(requests_at_once=8)
SHORT = WebLimits(connection_seconds=0.5)  # only for tests in which nothing has to succeed within it


@pytest.fixture
async def server(sqlite_maker: SqliteMaker) -> AsyncIterator[CallbackServer]:
    async with open_database(await sqlite_maker.create()) as database, open_callback_server(database, LIMITS) as opened:
        yield opened


@pytest.fixture
async def short_server(sqlite_maker: SqliteMaker) -> AsyncIterator[CallbackServer]:
    async with open_database(await sqlite_maker.create()) as database, open_callback_server(database, SHORT) as opened:
        yield opened


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_get_405(server: CallbackServer, method: str) -> None:
    async with server.session.request(method, server.url) as answer:
        assert answer.status == 405
    assert await server.due_in_ms() == 20_000


async def test_other_paths_get_404(server: CallbackServer) -> None:
    for path in ("/", "/callbacks", "/callbacks/", "/metrics", f"{server.url.removeprefix(server.base)}/more"):
        async with server.session.post(server.base + path) as answer:
            assert answer.status == 404


async def test_a_body_above_the_limit_is_refused_with_or_without_a_content_length(server: CallbackServer) -> None:
    huge = b"x" * (BODY_MAX_BYTES + 1)

    async def chunks() -> AsyncIterator[bytes]:
        yield huge[: len(huge) // 2]
        yield huge[len(huge) // 2 :]

    assert await server.post(data=huge) == 413
    assert await server.post(data=chunks()) == 413
    assert await server.post(f"{server.base}/callbacks/nobody", data=huge) == 413
    assert await server.due_in_ms() == 20_000


async def test_a_compressed_body_is_never_decompressed(server: CallbackServer) -> None:
    bomb = gzip.compress(bytes(10 * BODY_MAX_BYTES))
    assert len(bomb) < BODY_MAX_BYTES
    assert await server.post(data=bomb, headers={"Content-Encoding": "gzip"}) == 204


async def test_a_flood_of_calls_is_refused_and_accepted_again_a_second_later(server: CallbackServer) -> None:
    async def calls(count: int) -> list[int]:
        return list(await asyncio.gather(*(server.post(f"{server.base}/callbacks/nobody") for _ in range(count))))

    answers = [status for _ in range(32) for status in await calls(5)]
    assert answers == [404] * CALLS_IN_A_BURST + [429] * (160 - CALLS_IN_A_BURST)
    assert await server.post() == 429
    server.clock.seconds += 1.0
    assert await server.post() == 204


async def test_slow_bodies_time_out_and_delay_no_other_call(server: CallbackServer) -> None:
    limits = WebLimits(body_seconds=5.0, requests_at_once=8)
    side = WebServer(server.callbacks, server.clock, lambda: True, limits)
    head = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with open_web(side, host="127.0.0.1", port=0) as port, asyncio.timeout(60):
        url = server.url.replace(str(server.port), str(port))
        slow = [asyncio.create_task(send_raw(port, head, b"x")) for _ in range(limits.requests_at_once)]
        while side._at_once < limits.requests_at_once:  # noqa: ASYNC110 - it gives no signal
            await asyncio.sleep(0.01)
        assert await server.post(url) == 429
        assert {(await one).split(b" ")[1] for one in slow} == {b"408"}
        assert await server.post(url) == 204


@pytest.mark.parametrize("said", [(), (b"POST /callb",), (b"GET /healthz HTTP/1.1\r\n", b"Host: x\r\n")])
async def test_a_connection_without_a_request_is_cut_off(short_server: CallbackServer, said: tuple[bytes, ...]) -> None:
    async with asyncio.timeout(60):
        assert await send_raw(short_server.port, *said) == b""


async def test_a_very_slow_request_is_cut_off(short_server: CallbackServer) -> None:
    async with asyncio.timeout(60):
        assert await send_raw(short_server.port, *[bytes([letter]) for letter in b"POST /" * 20], pause=0.05) == b""


async def test_the_number_of_silent_connections_is_limited(server: CallbackServer) -> None:
    side = WebServer(server.callbacks, server.clock, lambda: True, WebLimits(connections=5))
    async with open_web(side, host="127.0.0.1", port=0) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        async with asyncio.timeout(60):
            cut = await asyncio.gather(*(reader.read() for reader, _ in opened[5:]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in cut)
        opened[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await opened[0][0].read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in opened:
            writer.close()


async def test_connections_above_the_limit_are_closed_whatever_they_ask_for(server: CallbackServer) -> None:
    limits = WebLimits(connections_per_second=0.001, connections_in_a_burst=3)
    side = WebServer(server.callbacks, server.clock, lambda: True, limits)
    async with open_web(side, host="127.0.0.1", port=0) as port:
        heard = [
            await send_raw(port, b"GET /anything HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(6)
        ]
    assert [answer[:12] for answer in heard] == [b"HTTP/1.1 404"] * 3 + [b""] * 3


async def test_health_answers_with_a_status_alone(server: CallbackServer) -> None:
    for server.well, status in ((True, 200), (False, 503)):
        async with server.session.get(f"{server.base}/healthz") as answer:
            assert answer.status == status
            assert server.base not in await answer.text()


async def test_no_token_is_in_the_log_whatever_is_sent(
    server: CallbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = server.url.rpartition("/")[2]
    path = f"/callbacks/{token}".encode()
    await server.post(json={"task_id": "x"})
    await send_raw(server.port, b"P\x01ST " + path + b" HTTP/1.1\r\n\r\n")
    await send_raw(server.port, b"POST " + path + b" HTTP/9.9\r\nHost: x\r\n\r\n")
    await send_raw(server.port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + path + b"\r\n\r\n")
    await send_raw(server.port, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + path + b"\r\n\r\n")
    await send_raw(server.port, b"POST /callbacks/" + token.encode() * 400 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    await server.side.drain()
    await server.world.database.run(Connection.exec_driver_sql, "DROP TABLE callbacks")
    assert await server.post() == 500
    assert token not in caplog.text
    assert "a request failed (BadHttpMethod)" in caplog.text or "a request failed (BadStatusLine)" in caplog.text
    assert "a request failed (OperationalError)" in caplog.text or "a request failed (ProgrammingError)" in caplog.text


async def test_a_taken_port_is_reported_in_a_sentence(server: CallbackServer) -> None:
    with pytest.raises(PortUnavailable, match=rf"^PORT {server.port} is taken by another program"):
        async with open_web(server.side, host="127.0.0.1", port=server.port):
            pass
