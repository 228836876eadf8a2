"""Limits for callers: connections, requests, bytes and seconds; and nothing they send is in the log."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from multidict import CIMultiDict
from sqlalchemy import Connection

from store.database import open_database
from tests.databases import SqliteMaker
from tests.integration.callback_server import HEALTHY, CallbackServer, health_of, open_callback_server, send_raw
from web.callback_routes import CallbackRoutes
from web.health_routes import may_read_metrics
from web.limits import BODY_MAX_BYTES, CALLS_IN_A_BURST, WebLimits
from web.server import PortUnavailable, Routes, is_for_health, open_web

LIMITS = WebLimits(callbacks_at_once=8)
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
    for path in ("/", "/callbacks", "/callbacks/", f"{server.url.removeprefix(server.base)}/more"):
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
    limits = WebLimits(body_seconds=5.0, callbacks_at_once=8)
    side = CallbackRoutes(server.callbacks, server.clock, limits)
    head = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with open_web(Routes(side, None, limits), host="127.0.0.1", port=0) as port, asyncio.timeout(60):
        url = server.url.replace(str(server.port), str(port))
        slow = [asyncio.create_task(send_raw(port, head, b"x")) for _ in range(limits.callbacks_at_once)]
        while side._at_once < limits.callbacks_at_once:  # noqa: ASYNC110 - it gives no signal
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


@asynccontextmanager
async def a_port(server: CallbackServer, limits: WebLimits) -> AsyncIterator[int]:
    """Serve callbacks and health on another port, with these limits."""
    routes = Routes(CallbackRoutes(server.callbacks, server.clock, limits), health_of(lambda: server.facts), limits)
    async with asyncio.timeout(60), open_web(routes, host="127.0.0.1", port=0) as port:
        yield port


HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def is_well(port: int) -> bool:
    return (await send_raw(port, HEALTHZ)).startswith(b"HTTP/1.1 200 ")


async def test_of_too_many_silent_connections_the_oldest_is_cut_off_and_the_newest_is_heard(
    server: CallbackServer,
) -> None:
    async with a_port(server, WebLimits(unread_connections=5)) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        cut = await asyncio.gather(*(reader.read() for reader, _ in opened[:3]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in cut)
        for reader, writer in opened[3:]:
            writer.write(HEALTHZ)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in opened:
            writer.close()


async def test_connections_above_the_limit_are_closed_whatever_they_ask_for_and_health_is_heard(
    server: CallbackServer,
) -> None:
    limits = WebLimits(callback_connections_per_second=0.001, callback_connections_in_a_burst=3)
    async with a_port(server, limits) as port:
        heard = [
            await send_raw(port, b"GET /anything HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(6)
        ]
        assert await is_well(port)
    assert [answer[:12] for answer in heard] == [b"HTTP/1.1 404"] * 3 + [b""] * 3


async def test_strangers_who_fill_every_limit_fail_no_health_check(server: CallbackServer) -> None:
    """Slow callbacks, silent connections and half a health check each have all the connections that they may have."""
    limits = WebLimits(unread_connections=4, callback_connections=4, health_connections=4, callbacks_at_once=2)
    async with a_port(server, limits) as port:
        held = []
        for said in (b"POST /callbacks/x HTTP/1.1\r\n", b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: "):
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(said)
                await writer.drain()
                held.append((reader, writer))
                assert await is_well(port)
        assert await send_raw(port, b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        for _, writer in held:
            writer.close()


def test_health_is_told_from_callbacks_by_the_first_bytes() -> None:
    for whole in ("GET /healthz HTTP/1.1", "HEAD /readyz HTTP/1.1", "GET /healthz?x"):
        assert is_for_health(whole.encode()) is True
    for part in ("", "G", "GET /h", "HEAD /ready"):
        assert is_for_health(part.encode()) is None
    for other in ("POST /healthz", "GET /callbacks/healthz", "GETS", "\x00", "GET  /healthz", "get /healthz"):
        assert is_for_health(other.encode()) is False


async def test_without_health_its_paths_are_unknown_and_without_callbacks_theirs(server: CallbackServer) -> None:
    async def status(port: int, request: bytes) -> bytes:
        return (await send_raw(port, request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))[9:12]

    callbacks = Routes(CallbackRoutes(server.callbacks, server.clock), None)
    health = Routes(None, health_of(lambda: server.facts))
    assert (callbacks.names(), health.names()) == (["callbacks"], ["health"])
    async with open_web(callbacks, host="127.0.0.1", port=0) as port:
        assert await status(port, b"GET /healthz") == b"404"
        assert await status(port, b"POST /callbacks/x") == b"404"
    async with open_web(health, host="127.0.0.1", port=0) as port:
        assert await status(port, b"GET /healthz") == b"200"
        assert await status(port, b"HEAD /readyz") == b"200"
        assert await status(port, b"POST /healthz") == b"405"
        assert await status(port, b"POST /callbacks/x") == b"404"


async def test_health_and_readiness_have_a_status_and_a_reason(server: CallbackServer) -> None:
    async def answers() -> list[tuple[int, str]]:
        found = []
        for path in ("/healthz", "/readyz"):
            async with server.session.get(server.base + path) as answer:
                found.append((answer.status, await answer.text()))
                assert answer.headers["Cache-Control"] == "no-store"
        return found

    assert await answers() == [(200, "well\n"), (200, "ready\n")]
    server.facts = replace(HEALTHY, is_logged_in=False)
    assert await answers() == [(200, "well\n"), (503, "not logged in to Discord yet\n")]
    server.facts = replace(HEALTHY, round_age_seconds=12.4)
    stuck = "the worker's loop or the database is stuck; the last round ended 12 s ago\n"
    assert await answers() == [(503, stuck), (503, stuck)]


async def test_metrics_are_shown_directly_on_this_machine_and_by_token_everywhere(server: CallbackServer) -> None:
    async def status(base: str, **headers: str) -> int:
        async with server.session.get(f"{base}/metrics", headers=headers) as answer:
            text = await answer.text()
            assert ("qwen_imagine_line_images 3.0" in text) is (answer.status == 200)
            assert answer.status != 200 or answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return answer.status

    assert await status(server.base) == 200
    assert await status(server.base, **{"X-Forwarded-For": "203.0.113.5"}) == 403
    assert await status(server.base, Authorization="Bearer guessed") == 200
    routes = Routes(None, health_of(lambda: server.facts, "a-metrics-token"))
    async with open_web(routes, host="127.0.0.1", port=0) as port:
        base = f"http://127.0.0.1:{port}"
        assert await status(base) == 401
        assert await status(base, Authorization="Bearer a-metrics-toke") == 401
        assert await status(base, Authorization="Bearer a-metrics-token", Via="1.1 proxy") == 200


def test_metrics_are_for_private_addresses_that_no_proxy_forwards() -> None:
    assert all(may_read_metrics(peer, {}, "") for peer in ("127.0.0.1", "10.2.3.4", "192.168.1.9", "::1", "fd00::5"))
    assert not any(may_read_metrics(peer, {}, "") for peer in ("203.0.114.5", "8.8.8.8", "2600::1", "", "unix"))
    for name in ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"):
        assert not may_read_metrics("10.2.3.4", CIMultiDict({name: "x"}), "")
    assert may_read_metrics("8.8.8.8", {"Authorization": "Bearer secret"}, "secret")
    assert not may_read_metrics("127.0.0.1", {"Authorization": "Bearer \udcff"}, "secret")


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
        async with open_web(Routes(server.side, None), host="127.0.0.1", port=server.port):
            pass
