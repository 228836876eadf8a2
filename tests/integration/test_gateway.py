"""Faults of the gateway's connection: discord.py's client against the local Discord."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import discord
import pytest
import yarl
from aiohttp import web
from aiohttp.test_utils import TestServer
from discord.gateway import DiscordWebSocket

from discord_api.gateway import GatewayConnection, GatewayRefused, name_of
from discord_api.shards import Shards
from processes.identify_turns import IdentifyTurns
from processes.model import Presence
from store.database import Database
from tests.sandbox.discord_bench import PAINT, Bench, open_bench
from tests.sandbox.test_local_discord_library import pointed_at


@dataclass
class InstantClock:
    """Real time, but sleep moves it, returns at once and is recorded."""

    waits: list[float] = field(default_factory=list[float])
    moved: float = 0.0

    def now_ms(self) -> int:
        return round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self.moved

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.waits.append(seconds)
            self.moved += seconds
        await asyncio.sleep(0.001)


class Listener(discord.AutoShardedClient):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.none(), max_messages=None)
        self.heard: list[int] = []

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        self.heard.append(interaction.id)


@dataclass
class ConnectedClient:
    """A client that is kept connected, and its local Discord."""

    bench: Bench
    client: Listener
    clock: InstantClock
    running: asyncio.Task[None]
    presence: Presence

    async def until(self, happened: Callable[[], object], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not happened():
                assert not self.running.done(), self.running.exception()
                await asyncio.sleep(0.005)

    async def assert_commands_work(self) -> None:
        act = await self.bench.paint()
        await self.until(lambda: act.id in self.client.heard)


@contextlib.asynccontextmanager
async def connected(
    bench: Bench, client: Listener, database: Database, gateway_url: str = "", shards: Shards | None = None
) -> AsyncIterator[ConnectedClient]:
    clock = InstantClock()
    presence = Presence()
    gateway = GatewayConnection(client, clock, random.Random(1), IdentifyTurns(database, clock), presence, shards)
    with pointed_at(bench.url):
        if gateway_url:
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)
        await client.login(bench.discord.token)
        running = asyncio.create_task(gateway.run())
        try:
            yield ConnectedClient(bench, client, clock, running, presence)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await client.close()


@pytest.fixture
async def connection(empty_sqlite: Database) -> AsyncIterator[ConnectedClient]:
    async with open_bench() as bench:
        bench.discord.gateway.identify_spacing_ms = 0
        await bench.register(PAINT)
        async with connected(bench, Listener(), empty_sqlite) as opened:
            await opened.until(lambda: bench.discord.gateway.connected)
            yield opened


async def test_a_gateway_that_drops_refuses_and_closes_before_hello_gets_a_new_connection(
    connection: ConnectedClient, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, upgrades = connection.bench.discord.gateway, connection.bench.discord.gateway.upgrades
    connection.bench.discord.faults.gateway_restart(refused=2, closed_before_hello=1)
    missed = await connection.bench.paint()
    await connection.until(lambda: missed.id in connection.client.heard)
    assert (gateway.upgrades - upgrades, gateway.resumes, gateway.identifies) == (4, 1, 1), "the session is kept"
    assert [round(wait) for wait in connection.clock.waits] == sorted(round(wait) for wait in connection.clock.waits)
    assert not connection.client.is_closed()
    await connection.assert_commands_work()
    said = [record.getMessage() for record in caplog.records if "gateway ended" in record.getMessage()]
    assert len(said) == 4
    assert "WSServerHandshakeError (HTTP 503)" in said[1] and "gateway.py:" in said[1]
    assert "ConnectionClosed (code 1006)" in said[3] and "gateway.py:" in said[3]


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4002, 4003, 4005, 4007, 4008, 4009, 1006, 4999])
async def test_any_other_close_code_is_followed_by_a_new_connection(connection: ConnectedClient, code: int) -> None:
    upgrades = connection.bench.discord.gateway.upgrades
    connection.bench.discord.faults.gateway_close(code)
    await connection.until(
        lambda: connection.bench.discord.gateway.upgrades > upgrades and connection.bench.discord.gateway.connected
    )
    await connection.assert_commands_work()


@pytest.mark.parametrize("code", [4004, 4012, 4013, 4014])
async def test_close_codes_that_need_a_person_end_it_with_a_sentence(connection: ConnectedClient, code: int) -> None:
    connection.bench.discord.faults.gateway_close(code)
    with pytest.raises(GatewayRefused, match=str(code)):
        await asyncio.wait_for(connection.running, 60)
    assert not connection.client.is_closed(), "what is in flight still has to reach Discord"


async def test_a_token_reset_in_the_developer_portal_ends_it(connection: ConnectedClient) -> None:
    connection.bench.discord.faults.rest("GET", "/gateway/bot", status=401, times=None)
    connection.bench.discord.faults.gateway_close(4011)
    with pytest.raises(GatewayRefused, match="4004"):
        await asyncio.wait_for(connection.running, 60)


@pytest.mark.parametrize("code", [4010, 4011])
async def test_a_wrong_number_of_shards_is_asked_for_anew(connection: ConnectedClient, code: int) -> None:
    def asked() -> int:
        return sum(request.path == "/gateway/bot" for request in connection.bench.discord.requests)

    before, identifies = asked(), connection.bench.discord.gateway.identifies
    connection.bench.discord.faults.gateway_close(code)
    await connection.until(lambda: connection.bench.discord.gateway.identifies > identifies)
    assert asked() == before + 1
    await connection.assert_commands_work()


async def test_after_4011_as_many_shards_as_discord_asks_for_are_started_one_after_the_other(
    connection: ConnectedClient,
) -> None:
    gateway, clock = connection.bench.discord.gateway, connection.clock
    gateway.shards, identifies = 2, connection.bench.discord.gateway.identifies
    connection.bench.discord.faults.gateway_close(4011)
    await connection.until(lambda: gateway.connected_shards == {0, 1})
    assert gateway.identifies == identifies + 2
    assert [wait for wait in clock.waits if wait > 4], "5 s between two IDENTIFYs"
    for channel in ("gallery", "pier"):
        act = await connection.bench.paint(channel=channel)
        await connection.until(lambda act=act: act.id in connection.client.heard)


async def test_only_the_shards_of_this_process_are_started_and_named_in_the_log(
    empty_sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qwen_imagine.gateway")
    async with open_bench() as bench:
        gateway = bench.discord.gateway
        gateway.identify_spacing_ms = 0
        await bench.register(PAINT)
        async with connected(bench, Listener(), empty_sqlite, shards=Shards(4, range(2, 4))) as connection:
            await connection.until(
                lambda: gateway.connected_shards == {2, 3} and connection.presence.shards_up == {2, 3}
            )
            started = [session.shard for session in gateway._sessions.values() if session.shard]
            assert sorted(started) == [(2, 4), (3, 4)]
            assert (connection.presence.shard_count, connection.presence.shard_ids) == (4, "2-3")
            assert "starting shards 2-3 of 4; Discord recommends 1 in all" in caplog.text
            connection.bench.discord.faults.gateway_close(4000)
            await connection.until(lambda: gateway.resumes == 2 and gateway.connected_shards == {2, 3})


@pytest.mark.parametrize(("code", "words"), [(4010, "multiple"), (4011, "too small")])
async def test_a_number_of_shards_that_is_set_and_refused_ends_it_with_a_sentence(
    empty_sqlite: Database, code: int, words: str
) -> None:
    async with (
        open_bench() as bench,
        connected(bench, Listener(), empty_sqlite, shards=Shards(1, range(1))) as connection,
    ):
        await connection.until(lambda: bench.discord.gateway.connected)
        bench.discord.faults.gateway_close(code)
        with pytest.raises(GatewayRefused, match=f"SHARD_COUNT.*{words}.*{code}"):
            await asyncio.wait_for(connection.running, 60)


async def test_shards_of_different_buckets_do_not_wait_for_each_other(empty_sqlite: Database) -> None:
    async with open_bench() as bench:
        gateway = bench.discord.gateway
        gateway.shards = gateway.max_concurrency = 3
        async with connected(bench, Listener(), empty_sqlite) as connection:
            await connection.until(lambda: gateway.connected_shards == {0, 1, 2})
            assert connection.clock.waits == []


async def test_events_that_discord_sent_before_it_read_that_the_session_ends_are_handled(
    empty_sqlite: Database,
) -> None:
    """The event is sent after the client's close frame has come, as one that crosses it on the way."""
    heard, codes = list[str](), list[int]()

    def event(name: str, body: dict[str, Any], number: int) -> str:
        return json.dumps({"op": 0, "t": name, "s": number, "d": body})

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await socket.send_json({"op": 10, "t": None, "s": None, "d": {"heartbeat_interval": 41_250}})
        await socket.send_str(event("READY", {"session_id": "x", "resume_gateway_url": "ws://127.0.0.1/"}, 1))
        while (ended := await socket.receive()).type is not web.WSMsgType.CLOSE:
            pass  # a heartbeat and IDENTIFY
        codes.append(ended.data)
        await socket.send_str(event("INTERACTION_CREATE", {"id": "77"}, 2))
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    client = Listener()
    client._connection.parsers["READY"] = lambda data: heard.append(data["session_id"])
    client._connection.parsers["INTERACTION_CREATE"] = lambda data: heard.append(data["id"])
    async with (
        open_bench() as bench,
        TestServer(app) as server,
        connected(bench, client, empty_sqlite, str(server.make_url("/"))) as connection,
    ):
        await connection.until(lambda: heard)
        assert connection.presence.shards_up == {0}
        connection.running.cancel()
        await asyncio.wait({connection.running})
    assert (heard, codes) == (["x", "77"], [1000])
    assert connection.presence.shards_up == set()


@pytest.mark.parametrize("body", [None, {}, [], "x", {"id": "a secret", "type": 2, "token": "a secret"}])
async def test_an_event_that_cannot_be_read_is_named_in_the_log_and_dropped(
    connection: ConnectedClient, caplog: pytest.LogCaptureFixture, body: object
) -> None:
    gateway = connection.bench.discord.gateway
    before = (gateway.upgrades, gateway.resumes)
    connection.bench.discord.faults.gateway_send("INTERACTION_CREATE", body)
    await connection.assert_commands_work()
    assert (gateway.upgrades, gateway.resumes) == before
    [said] = [record for record in caplog.records if "is dropped" in record.getMessage()]
    assert said.levelno == logging.ERROR and "INTERACTION_CREATE" in said.getMessage()
    assert ".py:" in said.getMessage() and "a secret" not in caplog.text


async def test_a_session_that_is_gone_is_followed_by_a_new_one_after_a_second_or_more(
    connection: ConnectedClient,
) -> None:
    identifies = connection.bench.discord.gateway.identifies
    connection.bench.discord.faults.gateway_invalidate(resumable=False)
    await connection.until(lambda: connection.bench.discord.gateway.identifies > identifies)
    assert max(connection.clock.waits) >= 1
    await connection.assert_commands_work()


async def assert_a_stop_ends_the_session(connection: ConnectedClient) -> None:
    connection.running.cancel()
    await asyncio.wait({connection.running})
    async with asyncio.timeout(60):
        while connection.bench.discord.gateway.connected:  # noqa: ASYNC110 - the other side of a socket
            await asyncio.sleep(0.005)
    assert not connection.bench.discord.gateway._sessions


async def test_a_stop_ends_the_session_at_discord(connection: ConnectedClient) -> None:
    await connection.assert_commands_work()
    await assert_a_stop_ends_the_session(connection)


async def test_a_stop_before_ready_ends_the_session_too(connection: ConnectedClient) -> None:
    await connection.assert_commands_work()
    identifies = connection.bench.discord.gateway.identifies
    connection.bench.discord.faults.gateway_invalidate(resumable=False)
    while connection.bench.discord.gateway.identifies == identifies:  # noqa: ASYNC110 - READY is sent after that
        await asyncio.sleep(0)
    await assert_a_stop_ends_the_session(connection)


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "before"}])
async def test_a_gateway_that_cannot_be_asked_for_is_asked_for_again_and_the_client_stays_open(
    fault: dict[str, Any], caplog: pytest.LogCaptureFixture, empty_sqlite: Database
) -> None:
    async with open_bench() as bench:
        await bench.register(PAINT)
        lasting = bench.discord.faults.rest("GET", "/gateway/bot", times=None, **fault)
        async with connected(bench, Listener(), empty_sqlite) as connection:
            await connection.until(lambda: "can't be asked for its gateway" in caplog.text, 60)
            assert not connection.client.is_closed()
            bench.discord.faults.clear()
            await connection.until(lambda: bench.discord.gateway.connected, 60)
            await connection.assert_commands_work()
            assert lasting.left is None


async def test_the_gateway_is_asked_for_again_after_a_ban_ends(empty_sqlite: Database) -> None:
    async with open_bench() as bench:
        bench.discord.faults.rest("GET", "/gateway/bot", status=429, retry_after=120, with_via=False)
        async with connected(bench, Listener(), empty_sqlite) as connection:
            await connection.until(lambda: bench.discord.gateway.connected)
            assert max(connection.clock.waits) >= 120


async def test_without_a_session_start_left_it_waits_until_reset_after(empty_sqlite: Database) -> None:
    async with open_bench() as bench:
        gateway = bench.discord.gateway
        gateway._identified_today_ms.extend([bench.clock.now_ms()] * 1000)
        async with connected(bench, Listener(), empty_sqlite) as connection:
            await connection.until(lambda: connection.clock.waits)
            assert connection.clock.waits[0] == pytest.approx(86_400, abs=60)


async def test_a_hello_that_cannot_be_read_leaves_no_socket_open(empty_sqlite: Database) -> None:
    closed = asyncio.Event()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('{"op": 10, "d": null, "t": null, "s": null}')
        await socket.receive()
        closed.set()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    async with (
        open_bench() as bench,
        TestServer(app) as server,
        connected(bench, Listener(), empty_sqlite, str(server.make_url("/"))) as connection,
    ):
        await connection.until(closed.is_set)


@pytest.mark.parametrize(
    ("frame", "name"),
    [('{"t": "READY"}', "READY"), ('{"t": "a prompt"}', "?"), ("{", "?"), ("[]", "?"), ("[" * 100_000, "?")],
)  # fmt: skip
def test_a_frame_is_named_by_its_event_alone(frame: str, name: str) -> None:
    assert name_of(frame) == name
