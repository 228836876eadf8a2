"""The gateway by raw websocket: identify, shards, intents, resume, close codes, faults."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from tests.sandbox.discord_bench import Bench

GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 9, 1 << 12


async def test_ready_has_the_fields_that_libraries_need_and_no_guild_is_sent_without_the_intent(bench: Bench) -> None:
    async with bench.connect() as gateway:
        ready = gateway.frames[-1]["d"]
        assert ready["resume_gateway_url"].startswith("ws://127.0.0.1:")
        assert ready["user"]["bot"] is True and ready["application"]["id"] == ready["user"]["id"]
        assert len(ready["guilds"]) == 2 and "shard" not in ready
        with pytest.raises(TimeoutError):
            await gateway.next(timeout=0.1)
    bench.clock.advance(6)
    async with bench.connect(intents=1, shard=[0, 1]) as gateway:
        assert gateway.frames[-1]["d"]["shard"] == [0, 1]
        guild = await gateway.event("GUILD_CREATE")
        assert guild["name"] == "Lighthouse" and len(guild["channels"]) == 8 and len(guild["threads"]) == 2


async def test_interactions_need_no_intent_and_carry_the_permissions_of_their_channel(bench: Bench) -> None:
    async with bench.connect() as gateway:
        act = await bench.paint(channel="no-posting")
        event = await gateway.event("INTERACTION_CREATE")
        assert (event["id"], event["token"]) == (str(act.id), act.token)
        assert not int(event["app_permissions"]) & (1 << 11) and int(event["member"]["permissions"]) & (1 << 11)
        assert event["attachment_size_limit"] == 10 * 1024 * 1024 and event["context"] == 0
        assert event["data"]["options"] == [{"name": "prompt", "type": 3, "value": "a castle"}]
        assert set(event["authorizing_integration_owners"]) == {"0", "1"}
        await bench.paint(channel="dm")
        event = await gateway.event("INTERACTION_CREATE")
        assert event["context"] == 1 and "member" not in event and event["user"]["username"] == "mira"
        assert event["authorizing_integration_owners"]["0"] == "0"
        await bench.paint("sam", channel="pier")
        event = await gateway.event("INTERACTION_CREATE")
        assert set(event["authorizing_integration_owners"]) == {"1"}
        await bench.paint("sam", channel="after-dark")
        event = await gateway.event("INTERACTION_CREATE")
        assert event["channel"]["nsfw"] is True and int(event["member"]["permissions"]) & (1 << 13)
        await bench.paint(channel="sketches")
        event = await gateway.event("INTERACTION_CREATE")
        assert event["channel"]["type"] == 11 and event["channel"]["parent_id"] == str(bench.channel_id("gallery"))


async def test_each_shard_gets_its_own_guilds_and_shard_0_the_dms(bench: Bench) -> None:
    bench.discord.gateway.max_concurrency = 2
    async with bench.connect(shard=[0, 2]) as zero, bench.connect(shard=[1, 2]) as one:
        assert len(zero.frames[-1]["d"]["guilds"]) == 2 and one.frames[-1]["d"]["guilds"] == []
        for channel in ("gallery", "pier", "dm"):
            await bench.paint(channel=channel)
        got = [(await zero.event("INTERACTION_CREATE"))["channel_id"] for _ in range(2)]
        assert got == [str(bench.channel_id("gallery")), str(bench.channel_id("dm-mira"))]
        assert (await one.event("INTERACTION_CREATE"))["channel_id"] == str(bench.channel_id("pier"))


async def test_a_dropped_session_resumes_and_missed_events_are_replayed_in_order(bench: Bench) -> None:
    async with bench.connect() as gateway:
        ready, sequence = gateway.frames[-1]["d"], gateway.frames[-1]["s"]
        bench.discord.faults.gateway_close(1006)
        assert await gateway.close_code() == 1006
    assert not bench.discord.is_connected
    missed = [(await bench.paint()).id for _ in range(3)]
    async with bench.connect(identify=False) as gateway:
        await gateway.send(6, {"token": bench.discord.token, "session_id": ready["session_id"], "seq": sequence})
        frames = [await gateway.next() for _ in range(4)]
        assert [frame["t"] for frame in frames] == ["INTERACTION_CREATE"] * 3 + ["RESUMED"]
        assert [int(frame["d"]["id"]) for frame in frames[:3]] == missed
        assert [frame["s"] for frame in frames] == [sequence + 1 + step for step in range(4)]
        assert bench.discord.is_connected


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_close_with_1000_or_1001_ends_the_session(bench: Bench, code: int) -> None:
    async with bench.connect() as gateway:
        ready, sequence = gateway.frames[-1]["d"], gateway.frames[-1]["s"]
        await gateway.socket.close(code=code)
    async with bench.connect(identify=False) as gateway:
        await gateway.send(6, {"token": bench.discord.token, "session_id": ready["session_id"], "seq": sequence})
        frame = await gateway.next()
        assert (frame["op"], frame["d"]) == (9, False)


async def test_a_session_without_a_socket_for_over_three_minutes_cannot_be_resumed(bench: Bench) -> None:
    async with bench.connect() as gateway:
        ready, sequence = gateway.frames[-1]["d"], gateway.frames[-1]["s"]
        await gateway.socket.close(code=4000)
    await asyncio.sleep(0.05)
    bench.clock.advance(600)
    async with bench.connect(identify=False) as gateway:
        await gateway.send(6, {"token": bench.discord.token, "session_id": ready["session_id"], "seq": sequence})
        assert (await gateway.next())["op"] == 9


async def test_a_second_identify_within_five_seconds_gets_op_9(bench: Bench) -> None:
    async with bench.connect() as first, bench.connect(identify=False) as second:
        await second.identify(bench.discord.token)
        frame = await second.next()
        assert (frame["op"], frame["d"]) == (9, False)
        bench.clock.advance(5)
        await second.identify(bench.discord.token)
        assert await second.event("READY")
        await bench.paint()
        for gateway in (first, second):
            assert await gateway.event("INTERACTION_CREATE"), "the same shard may have two sessions"


async def test_of_the_shards_of_a_bucket_one_may_identify_in_five_seconds_whichever_process_asks(bench: Bench) -> None:
    gateway = bench.discord.gateway
    gateway.max_concurrency = 2
    async with bench.connect(shard=[0, 6]), bench.connect(shard=[1, 6]), bench.connect(identify=False) as third:
        await third.identify(bench.discord.token, shard=[4, 6])
        assert (await third.next())["op"] == 9, "shard 4 is in the bucket of shard 0"
        bench.clock.advance(5)
        await third.identify(bench.discord.token, shard=[4, 6])
        assert (await third.event("READY"))["shard"] == [4, 6]
        assert (gateway.connected_shards, gateway.identifies, gateway.identifies_too_soon) == ({0, 1, 4}, 3, 1)


async def test_commands_of_a_server_reach_every_session_of_its_shard_and_no_other(bench: Bench) -> None:
    bench.discord.gateway.identify_spacing_ms = 0
    async with contextlib.AsyncExitStack() as stack:
        zero, three, again, four, five = [
            await stack.enter_async_context(bench.connect(intents=1, shard=[number, 6])) for number in (0, 3, 3, 4, 5)
        ]
        assert (await zero.event("GUILD_CREATE"))["name"] == "Lighthouse"
        for channel in ("gallery", "dm", "pier", "slipway"):
            await bench.paint(channel=channel)
        bench.discord.faults.gateway_send("THE_LAST", {})
        sessions = {zero: ("gallery", "dm-mira"), three: ("pier",), again: ("pier",), four: ("slipway",), five: ()}
        for session, places in sessions.items():
            got = [(await session.next())["d"]["channel_id"] for _ in places]
            assert got == [str(bench.channel_id(place)) for place in places]
            assert (await session.next())["t"] == "THE_LAST"


@pytest.mark.parametrize(
    ("limit", "value", "code"), [("shard_multiple", 4, 4010), ("most_guilds", 0, 4011), ("most_guilds", 1, None)]
)
async def test_a_wrong_number_of_shards_is_4010_and_too_many_servers_for_one_4011(
    bench: Bench, limit: str, value: int, code: int | None
) -> None:
    setattr(bench.discord.gateway, limit, value)
    async with bench.connect(identify=False) as gateway:
        await gateway.identify(bench.discord.token, shard=[0, 6])
        assert (await gateway.close_code() if code else (await gateway.event("READY"))["shard"]) == (code or [0, 6])


async def test_one_identify_more_than_a_day_allows_ends_every_session_and_resets_the_token(bench: Bench) -> None:
    local, token = bench.discord, bench.discord.token
    local.gateway.identify_spacing_ms, local.gateway.most_identifies = 0, 3
    async with bench.connect(shard=[0, 2]), bench.connect(shard=[1, 2]):
        bench.clock.advance(86_400)
    async with bench.connect(shard=[0, 2]) as first, bench.connect(shard=[1, 2]), bench.connect():
        limit = (await bench.rest("GET", "/gateway/bot")).body["session_start_limit"]
        assert (limit["total"], limit["remaining"]) == (3, 0), "those of yesterday do not count"
        async with bench.connect(identify=False) as fourth:
            await fourth.identify(token)
            assert (await fourth.close_code(), await first.close_code()) == (4004, 4004)
    assert local.token != token and not local.is_connected
    assert (await bench.rest("GET", "/gateway/bot", bot=False, headers={"Authorization": f"Bot {token}"})).status == 401
    async with bench.connect():
        assert local.is_connected, "with the new token"


@pytest.mark.parametrize(
    ("op", "body", "code"),
    [
        (2, {"token": "wrong", "intents": 0, "properties": {}}, 4004),
        (2, {"intents": 1 << 15, "properties": {}}, 4014),
        (2, {"intents": -1, "properties": {}}, 4013),
        (2, {"intents": 0, "properties": {}, "shard": [2, 2]}, 4010),
        (2, {"intents": 0}, 4002),
        (99, {}, 4001),
        (3, {}, 4003),
        (6, {"token": "wrong", "session_id": "x", "seq": 1}, 4004),
    ],
)
async def test_bad_frames_are_answered_with_discords_close_codes(
    bench: Bench, op: int, body: dict[str, Any], code: int
) -> None:
    async with bench.connect(identify=False) as gateway:
        await gateway.send(op, {"token": bench.discord.token} | body)
        assert await gateway.close_code() == code
    assert len(bench.discord.violations) == 1


async def test_an_invalid_payload_is_4002_and_a_second_identify_on_one_socket_4005(bench: Bench) -> None:
    for raw in ("{", "[]", '{"op": "x"}', '{"op": 1, "d": "' + "x" * 4096 + '"}'):
        async with bench.connect(identify=False) as gateway:
            await gateway.socket.send_str(raw)
            assert await gateway.close_code() == 4002
    async with bench.connect() as gateway:
        await gateway.identify(bench.discord.token)
        assert await gateway.close_code() == 4005


async def test_heartbeats_are_acknowledged_and_too_many_frames_are_4008(bench: Bench) -> None:
    async with bench.connect() as gateway:
        await gateway.send(1, None)
        assert (await gateway.next())["op"] == 11
        for _ in range(119):
            await gateway.send(1, None)
        assert await gateway.close_code() == 4008


async def test_message_events_follow_the_intents_and_hide_the_content_of_others(bench: Bench) -> None:
    async with bench.connect(intents=GUILD_MESSAGES) as gateway:
        await bench.actor("mira").say("gallery", "hidden")
        assert (await gateway.event("MESSAGE_CREATE"))["content"] == ""
        mention = f"<@{bench.discord.application_id}> hi"
        await bench.actor("mira").say("gallery", mention)
        assert (await gateway.event("MESSAGE_CREATE"))["content"] == mention
        number = await bench.actor("mira").say("dm", "unheard: no intent for DMs")
        await bench.rest("POST", f"/channels/{bench.channel_id('gallery')}/messages", {"content": "own"})
        own = await gateway.event("MESSAGE_CREATE")
        assert own["content"] == "own" and own["id"] != str(number)
        await bench.rest("DELETE", f"/channels/{bench.channel_id('gallery')}/messages/{own['id']}")
        assert (await gateway.event("MESSAGE_DELETE"))["id"] == own["id"]


async def test_an_ephemeral_answer_sends_no_event(bench: Bench) -> None:
    async with bench.connect(intents=GUILD_MESSAGES) as gateway:
        act = await bench.paint()
        await act.callback({"type": 4, "data": {"content": "only you", "flags": 64}})
        await act.follow_up({"content": "all of you"})
        assert (await gateway.event("MESSAGE_CREATE"))["content"] == "all of you"


async def test_faults_send_reconnect_invalid_session_and_doubled_events(bench: Bench) -> None:
    faults = bench.discord.faults
    async with bench.connect() as gateway:
        faults.gateway_repeat()
        await bench.paint()
        first, second = await gateway.event("INTERACTION_CREATE"), await gateway.event("INTERACTION_CREATE")
        assert first == second
        faults.gateway_reconnect()
        assert (await gateway.next())["op"] == 7
        faults.gateway_invalidate()
        frame = await gateway.next()
        assert (frame["op"], frame["d"]) == (9, False)
        faults.gateway_close(4000)
        assert await gateway.close_code() == 4000
    assert bench.discord.violations == []


async def test_without_a_connected_bot_the_interaction_fails_for_the_person(bench: Bench) -> None:
    act, mira = await bench.paint(), bench.actor("mira")
    assert mira.error(act.id) is None
    bench.clock.advance(3.1)
    assert await mira.wait_for(lambda: mira.error(act.id)) == "The application did not respond"


async def test_gateway_bot_returns_url_shards_and_session_start_limit(bench: Bench) -> None:
    reply = await bench.rest("GET", "/gateway/bot")
    assert reply.body["url"].startswith("ws://127.0.0.1") and reply.body["session_start_limit"]["max_concurrency"] == 1


async def test_a_gateway_restart_drops_sockets_answers_503_and_closes_before_hello(bench: Bench) -> None:
    async with bench.connect() as gateway:
        bench.discord.faults.gateway_restart(refused=2, closed_before_hello=2, code=4000)
        assert await gateway.close_code() == 1006
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await bench.http.ws_connect(f"{bench.url}/gateway")
    for _ in range(2):
        async with bench.http.ws_connect(f"{bench.url}/gateway") as socket:
            assert (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 4000
    bench.clock.advance(6)
    async with bench.connect():
        assert bench.discord.is_connected
    assert bench.discord.violations == []


async def test_a_fault_sends_an_event_with_any_body(bench: Bench) -> None:
    async with bench.connect() as gateway:
        bench.discord.faults.gateway_send("INTERACTION_CREATE", None)
        frame = await gateway.next()
        assert (frame["op"], frame["t"], frame["d"]) == (0, "INTERACTION_CREATE", None)


async def test_a_fault_changes_the_channel_type_of_interactions_and_keeps_the_id(bench: Bench) -> None:
    async with bench.connect() as gateway:
        bench.discord.faults.gateway_channel_type(777)
        await bench.paint()
        event = await gateway.event("INTERACTION_CREATE")
        assert (event["channel"]["type"], event["channel_id"]) == (777, str(bench.channel_id("gallery")))
        bench.discord.faults.gateway_channel_type(None)
        await bench.paint()
        assert (await gateway.event("INTERACTION_CREATE"))["channel"]["type"] == 0
