"""Rate limits with Discord's headers, injected faults, and the recorded calls."""

from __future__ import annotations

import aiohttp
import pytest

from tests.sandbox.discord_bench import Bench


async def test_each_interactions_webhook_has_a_bucket_of_its_own(bench: Bench) -> None:
    one, two = await bench.paint(), await bench.paint("jonas")
    for act in (one, two):
        await act.callback({"type": 5})
    replies = [await one.edit({"content": str(number)}) for number in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["4", "3", "2", "1", "0", "0"]
    assert {reply.headers["X-RateLimit-Limit"] for reply in replies} == {"5"}
    other = await two.edit({"content": "free"})
    assert other.status == 200 and other.headers["X-RateLimit-Bucket"] == replies[0].headers["X-RateLimit-Bucket"]
    refused = replies[5]
    assert refused.headers["Via"] and refused.headers["X-RateLimit-Scope"] == "user"
    assert 0 < refused.body["retry_after"] <= 2 and refused.body["global"] is False
    assert float(refused.headers["X-RateLimit-Reset-After"]) == pytest.approx(refused.body["retry_after"], abs=0.1)
    bench.clock.advance(2)
    assert (await one.edit({"content": "again"})).status == 200
    assert bench.discord.violations == []


async def test_channel_routes_are_limited_per_channel(bench: Bench) -> None:
    def path(name: str) -> str:
        return f"/channels/{bench.channel_id(name)}/messages"

    statuses = [(await bench.rest("POST", path("gallery"), {"content": "x"})).status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert (await bench.rest("POST", path("studio"), {"content": "x"})).status == 200


async def test_over_fifty_calls_in_a_second_meet_the_global_limit_except_interactions(bench: Bench) -> None:
    bench.discord.rest.limits.take("", "", bench.discord.rest.overall)
    for _ in range(49):
        bench.discord.rest.limits.take("", "", bench.discord.rest.overall)
    reply = await bench.rest("GET", "/users/@me")
    assert reply.status == 429 and reply.body["global"] is True and reply.headers["X-RateLimit-Global"] == "true"
    act = await bench.paint()
    assert (await act.callback({"type": 5})).status == 200


async def test_a_fault_gives_its_answer_as_often_as_set(bench: Bench) -> None:
    faults = bench.discord.faults
    faults.rest("PATCH", r"/messages/@original$", times=2, status=429, retry_after=7.5, with_via=False)
    act = await bench.paint()
    await act.callback({"type": 5})
    for _ in range(2):
        reply = await act.edit({"content": "x"})
        assert reply.status == 429 and reply.body["retry_after"] == 7.5 and "Via" not in reply.headers
    assert (await act.edit({"content": "x"})).status == 200


async def test_a_fault_after_the_call_keeps_the_calls_effect(bench: Bench) -> None:
    act = await bench.paint()
    await act.callback({"type": 5})
    bench.discord.faults.rest("*", r"/webhooks/", status=502, after=True)
    assert (await act.edit({"content": "stays"})).status == 502
    shown = act.seen()
    assert shown is not None and shown["content"] == "stays"
    bench.discord.faults.rest("PATCH", "/webhooks/", status=500)
    assert (await act.edit({"content": "never"})).status == 500
    assert (act.seen() or {})["content"] == "stays"
    assert bench.discord.violations == []


@pytest.mark.parametrize(("drop", "content"), [("before", ""), ("after", "stays")])
async def test_a_dropped_connection_before_or_after_the_call(bench: Bench, drop: str, content: str) -> None:
    act = await bench.paint()
    await act.callback({"type": 5})
    bench.discord.faults.rest("PATCH", "/webhooks/", drop=drop)  # type: ignore[arg-type]
    with pytest.raises(aiohttp.ClientError):
        await act.edit({"content": "stays"})
    assert (act.seen() or {})["content"] == content
    assert bench.discord.requests[-1].status == 0
    assert bench.discord.violations == []


async def test_a_lasting_fault_ends_when_it_is_cleared(bench: Bench) -> None:
    bench.discord.faults.rest("GET", "/users/@me", times=None, status=503)
    assert [(await bench.rest("GET", "/users/@me")).status for _ in range(3)] == [503] * 3
    bench.discord.faults.clear()
    assert (await bench.rest("GET", "/users/@me")).status == 200


async def test_every_call_is_recorded_with_its_body_files_answer_and_whether_it_was_authorized(bench: Bench) -> None:
    act = await bench.paint()
    before = len(bench.discord.requests)
    await act.callback({"type": 4, "data": {"content": "x"}}, files=[("a.txt", b"abc")])
    await bench.rest("GET", "/users/@me")
    webhook, me = bench.discord.requests[before:]
    assert webhook.method == "POST" and webhook.path.endswith("/callback")
    assert webhook.query == {"with_response": "true"} and webhook.json["data"] == {"content": "x"}
    assert [(each.name, each.filename, each.size) for each in webhook.files] == [("files[0]", "a.txt", 3)]
    assert webhook.status == 200 and webhook.response["resource"]["message"]["content"] == "x"
    assert (webhook.authorized, me.authorized) == (False, True)
    assert abs(me.at_ms - bench.clock.now_ms()) < 2000
