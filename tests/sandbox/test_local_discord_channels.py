"""Channel and application routes with the bot's token: permissions, errors, nonces, late edits, commands."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.local_discord.state import permissions as p
from tests.sandbox.discord_bench import PAINT, Bench

HELLO: dict[str, Any] = {"content": "hello"}


def messages(bench: Bench, channel: str, message_id: str | int = "") -> str:
    tail = f"/{message_id}" if message_id else ""
    return f"/channels/{bench.channel_id(channel)}/messages{tail}"


async def test_the_bot_posts_edits_reads_and_deletes_where_it_has_permission(bench: Bench) -> None:
    posted = await bench.rest("POST", messages(bench, "gallery"), HELLO)
    assert posted.status == 200 and posted.body["author"]["bot"] is True
    one = messages(bench, "gallery", posted.body["id"])
    edited = await bench.rest("PATCH", one, {"content": "hello again"})
    assert edited.body["content"] == "hello again" and edited.body["edited_timestamp"]
    assert (await bench.rest("GET", one)).body["content"] == "hello again"
    assert [each["id"] for each in (await bench.rest("GET", messages(bench, "gallery"))).body] == [posted.body["id"]]
    assert (await bench.rest("DELETE", one)).status == 204
    assert (await bench.rest("GET", one)).code == 10008


@pytest.mark.parametrize("authorization", ["", "Bot wrong", "Bearer x"])
async def test_without_the_bots_token_every_bot_route_is_401(bench: Bench, authorization: str) -> None:
    reply = await bench.rest("GET", "/users/@me", bot=False, headers={"Authorization": authorization})
    assert (reply.status, reply.body) == (401, {"message": "401: Unauthorized", "code": 0})


async def test_a_post_without_permission_is_refused_with_50013(bench: Bench) -> None:
    reply = await bench.rest("POST", messages(bench, "no-posting"), HELLO)
    assert (reply.status, reply.code) == (403, 50013)
    files = await bench.rest("POST", messages(bench, "no-posting"), HELLO, files=[("a.txt", b"a")])
    assert (files.status, files.code) == (403, 50013)


async def test_a_server_without_the_bot_refuses_with_50001(bench: Bench) -> None:
    for method, path in (
        ("POST", messages(bench, "pier")),
        ("GET", f"/channels/{bench.channel_id('pier')}"),
        (
            "PUT",
            f"/applications/{bench.discord.application_id}/guilds/{bench.discord.channels['pier'].guild_id}/commands",
        ),
    ):
        reply = await bench.rest(method, path, [] if method == "PUT" else HELLO if method == "POST" else None)
        assert (reply.status, reply.code) == (403, 50001), path


async def test_an_answer_in_a_server_without_the_bot_cannot_be_edited_with_the_bots_token(bench: Bench) -> None:
    act = await bench.paint(channel="pier")
    shown = await act.callback({"type": 4, "data": HELLO})
    path = messages(bench, "pier", shown.body["resource"]["message"]["id"])
    assert (await bench.rest("PATCH", path, HELLO)).code == 50001
    assert (await act.edit({"content": "by the token it can"})).status == 200


async def test_a_public_answer_can_be_edited_with_the_bots_token_after_the_interactions_token_has_expired(
    bench: Bench,
) -> None:
    act = await bench.paint()
    shown = await act.callback({"type": 4, "data": HELLO})
    bench.clock.advance(16 * 60)
    path = messages(bench, "gallery", shown.body["resource"]["message"]["id"])
    assert (await bench.rest("PATCH", path, {"content": "later"})).status == 200


async def test_unknown_things_are_404_with_their_own_code(bench: Bench) -> None:
    application = bench.discord.application_id
    for path, code in (
        ("/channels/1", 10003),
        (messages(bench, "gallery", 1), 10008),
        ("/applications/1/commands", 10002),
        (f"/applications/{application}/commands/1", 10063),
    ):
        reply = await bench.rest("GET", path)
        assert (reply.status, reply.code) == (404, code)
    assert bench.discord.violations == []


async def test_another_authors_message_cannot_be_edited_or_deleted(bench: Bench) -> None:
    number = await bench.actor("mira").say("gallery", "mine")
    assert (await bench.rest("PATCH", messages(bench, "gallery", number), HELLO)).code == 50005
    assert (await bench.rest("DELETE", messages(bench, "gallery", number))).code == 50013


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"content": "   "}, {"embeds": []}, {"components": []}])
async def test_an_empty_message_is_refused_with_50006(bench: Bench, body: dict[str, Any]) -> None:
    reply = await bench.rest("POST", messages(bench, "gallery"), body)
    assert (reply.status, reply.code) == (400, 50006)


async def test_the_v2_flag_cannot_be_removed_and_content_must_be_cleared_when_it_is_set(bench: Bench) -> None:
    parts = [{"type": 10, "content": "card"}]
    posted = await bench.rest("POST", messages(bench, "gallery"), HELLO)
    path = messages(bench, "gallery", posted.body["id"])
    kept = await bench.rest("PATCH", path, {"components": parts, "flags": 1 << 15})
    assert kept.error_codes() == {"MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"}
    turned = await bench.rest("PATCH", path, {"content": None, "embeds": [], "components": parts, "flags": 1 << 15})
    assert turned.status == 200 and turned.body["flags"] == 1 << 15 and turned.body["components"][0]["id"] == 1
    assert (await bench.rest("PATCH", path, {"flags": 0})).error_codes() == {"MESSAGE_COMPONENTS_V2_FLAG_REMOVED"}
    assert (await bench.rest("PATCH", path, {"content": "text"})).code == 50035


async def test_a_failed_edit_changes_nothing(bench: Bench) -> None:
    posted = await bench.rest("POST", messages(bench, "gallery"), HELLO)
    path = messages(bench, "gallery", posted.body["id"])
    await bench.rest("PATCH", path, {"content": "new", "components": [{"type": 10, "content": "no"}]})
    assert (await bench.rest("GET", path)).body["content"] == "hello"


async def test_with_enforce_nonce_the_same_nonce_makes_one_message(bench: Bench) -> None:
    sent = {"content": "once", "nonce": "img-1", "enforce_nonce": True}
    first = await bench.rest("POST", messages(bench, "gallery"), sent)
    again = await bench.rest("POST", messages(bench, "gallery"), sent)
    loose = await bench.rest("POST", messages(bench, "gallery"), sent | {"enforce_nonce": False})
    assert first.body["id"] == again.body["id"] != loose.body["id"]
    assert first.body["nonce"] == "img-1"
    assert (await bench.rest("POST", messages(bench, "gallery"), HELLO | {"nonce": "x" * 26})).code == 50035


async def test_a_channel_allows_three_edits_of_messages_older_than_an_hour_in_six_seconds(bench: Bench) -> None:
    old = [(await bench.rest("POST", messages(bench, "gallery"), HELLO)).body["id"] for _ in range(2)]
    elsewhere = (await bench.rest("POST", messages(bench, "studio"), HELLO)).body["id"]
    bench.clock.advance(3601)
    young = (await bench.rest("POST", messages(bench, "gallery"), HELLO)).body["id"]
    replies = [
        await bench.rest("PATCH", messages(bench, "gallery", old[number % 2]), {"content": str(number)})
        for number in range(4)
    ]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[3].code == 30046 and replies[3].headers["Via"] and 0 < replies[3].body["retry_after"] <= 6
    assert (await bench.rest("PATCH", messages(bench, "gallery", young), HELLO)).status == 200
    assert (await bench.rest("PATCH", messages(bench, "studio", elsewhere), HELLO)).status == 200
    bench.clock.advance(6)
    assert (await bench.rest("PATCH", messages(bench, "gallery", old[0]), HELLO)).status == 200


async def test_a_closed_dm_refuses_a_message_with_50007_and_an_open_one_accepts_it(bench: Bench) -> None:
    mira = bench.discord.people["mira"].id
    opened = await bench.rest("POST", "/users/@me/channels", {"recipient_id": str(mira)})
    assert opened.status == 200 and opened.body["type"] == 1
    path = f"/channels/{opened.body['id']}/messages"
    assert (await bench.rest("POST", path, HELLO)).status == 200
    assert [each["content"] for each in bench.actor("mira").messages("dm")] == ["hello"]
    bench.discord.closed_dms.add(mira)
    reply = await bench.rest("POST", path, HELLO)
    assert (reply.status, reply.code) == (403, 50007)
    assert (await bench.rest("POST", "/users/@me/channels", {"recipient_id": "1"})).code == 10013


async def test_a_reply_pings_only_allowed_users_and_an_unknown_reference_is_refused_unless_waived(bench: Bench) -> None:
    number = await bench.actor("mira").say("gallery", "look")
    silent = {"message_reference": {"message_id": str(number)}, "allowed_mentions": {"parse": []}}
    quiet = await bench.rest("POST", messages(bench, "gallery"), HELLO | silent)
    assert quiet.body["type"] == 19 and quiet.body["mentions"] == []
    assert quiet.body["referenced_message"]["content"] == "look"
    loud = await bench.rest("POST", messages(bench, "gallery"), HELLO | {"message_reference": {"message_id": number}})
    assert [user["username"] for user in loud.body["mentions"]] == ["mira"]
    ghost: dict[str, Any] = {"message_reference": {"message_id": "1"}}
    assert (await bench.rest("POST", messages(bench, "gallery"), HELLO | ghost)).code == 50035
    ghost["message_reference"]["fail_if_not_exists"] = False
    assert (await bench.rest("POST", messages(bench, "gallery"), HELLO | ghost)).body["type"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/guilds/1/members", 404), ("POST", "/channels/1/typing", 404), ("PUT", "/users/@me", 405)],
)
async def test_an_unknown_route_is_refused_and_recorded_as_a_violation(
    bench: Bench, method: str, path: str, status: int
) -> None:
    reply = await bench.rest(method, path)
    assert reply.status == status
    assert [violation.where for violation in bench.discord.violations] == [f"{method} {path}"]


@pytest.mark.parametrize(
    ("raw", "content_type", "code"),
    [
        (b"{", "application/json", 50109),
        (b"content=hello", "text/plain", 50035),
        (b"{}", "multipart/form-data", 50035),
        (b"[]", "application/json", 50035),
        (b'{"content": 5}', "application/json", 50035),
        (b'{"content": "a", "tts": "yes"}', "application/json", 50035),
    ],
)
async def test_unreadable_bodies_are_400(bench: Bench, raw: bytes, content_type: str, code: int) -> None:
    reply = await bench.rest("POST", messages(bench, "gallery"), raw=raw, headers={"Content-Type": content_type})
    assert (reply.status, reply.code) == (400, code)
    assert len(bench.discord.violations) == 1


async def test_overwritten_commands_keep_their_ids(bench: Bench) -> None:
    path = f"/applications/{bench.discord.application_id}/commands"
    first = (await bench.rest("GET", path)).body
    menu = {"name": "Imagine this", "type": 3}
    second = (await bench.register(PAINT | {"description": "New words"}, menu)).body
    assert [each["name"] for each in second] == ["paint", "Imagine this"]
    assert second[0]["id"] == first[0]["id"] and second[0]["version"] != first[0]["version"]
    assert second[1]["description"] == ""
    assert [each["name"] for each in (await bench.register(menu)).body] == ["Imagine this"]
    bad = await bench.register({"name": "NO", "description": "x"})
    assert bad.code == 50035 and [each["name"] for each in (await bench.rest("GET", path)).body] == ["Imagine this"]


async def test_one_command_is_made_overwritten_and_deleted_and_the_others_stay(bench: Bench) -> None:
    path = f"/applications/{bench.discord.application_id}/commands"
    menu = {"name": "Imagine this", "type": 3}
    made = await bench.rest("POST", path, menu)
    again = await bench.rest("POST", path, menu | {"integration_types": [0, 1]})
    assert (made.status, again.status) == (201, 200) and again.body["id"] == made.body["id"]
    assert [each["name"] for each in (await bench.rest("GET", path)).body] == ["paint", "Imagine this"]
    assert (await bench.rest("POST", path, {"name": "NO", "description": "x"})).error_codes() == {
        "APPLICATION_COMMAND_INVALID_NAME"
    }
    assert (await bench.rest("DELETE", f"{path}/{made.body['id']}")).status == 204
    assert [each["name"] for each in bench.discord.commands] == ["paint"]
    assert (await bench.rest("DELETE", f"{path}/{made.body['id']}")).code == 10063


async def test_what_the_bot_is_denied_in_a_channel_is_refused_there(bench: Bench) -> None:
    assert (await bench.rest("POST", messages(bench, "no-files"), HELLO, files=[("a.txt", b"a")])).code == 50013
    assert (await bench.rest("POST", messages(bench, "no-files"), HELLO)).status == 200
    bench.discord.deny("gallery", p.VIEW_CHANNEL)
    assert (await bench.rest("POST", messages(bench, "gallery"), HELLO)).code == 50001


async def test_entitlements_are_listed_filtered_consumed_and_sent_on_shard_0(bench: Bench) -> None:
    application, mira = bench.discord.application_id, bench.discord.people["mira"].id
    path = f"/applications/{application}/entitlements"
    async with bench.connect(shard=[0, 2]) as gateway:
        number = bench.discord.entitlements.give(mira, sku_id=7)
        assert (await gateway.event("ENTITLEMENT_CREATE"))["id"] == str(number)
        await bench.paint()
        assert [each["sku_id"] for each in (await gateway.event("INTERACTION_CREATE"))["entitlements"]] == ["7"]
        assert len((await bench.rest("GET", f"{path}?sku_ids=7&limit=10")).body) == 1
        assert (await bench.rest("GET", f"{path}?sku_ids=8")).body == []
        assert (await bench.rest("POST", f"{path}/{number}/consume")).status == 204
        assert (await bench.rest("GET", path)).body[0]["consumed"] is True
        assert (await bench.rest("POST", f"{path}/6/consume")).code == 10029
        bench.discord.entitlements.take_back(number)
        assert (await gateway.event("ENTITLEMENT_DELETE"))["deleted"] is True
        assert (await bench.rest("GET", path)).body == []
        assert len((await bench.rest("GET", f"{path}?exclude_deleted=false")).body) == 1


async def test_errors_of_a_callback_are_nested_below_data(bench: Bench) -> None:
    act = await bench.paint()
    body = {"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "y"}]}
    reply = await act.callback({"type": 4, "data": body})
    assert set(reply.body["errors"]) == {"data"} and set(reply.body["errors"]["data"]) == {"content"}
    assert (await act.callback({"type": 4, "data": HELLO})).status == 200, "a refused answer is no answer"


async def test_messages_are_listed_before_after_and_around_an_id(bench: Bench) -> None:
    numbers = [await bench.actor("mira").say("gallery", str(each)) for each in range(5)]

    async def page(query: str) -> list[int]:
        bench.clock.advance(2)
        return [int(each["content"]) for each in (await bench.rest("GET", messages(bench, "gallery") + query)).body]

    assert await page("?limit=2") == [4, 3]
    assert await page(f"?before={numbers[3]}&limit=2") == [2, 1]
    assert await page(f"?after={numbers[1]}&limit=2") == [3, 2]
    assert set(await page(f"?around={numbers[2]}&limit=3")) >= {2}
    for query in ("?before=x", "?limit=0", "?limit=101", "?limit=²", "?page=2"):
        bench.clock.advance(2)
        reply = await bench.rest("GET", messages(bench, "gallery") + query)
        assert (reply.status, reply.code) == (400, 50035), query


async def test_unusual_characters_pass_unchanged_through_rest_gateway_and_page(bench: Bench) -> None:
    odd = "\ud83d \u202e\u0000 \U0001f3f0 ﷽"
    async with bench.connect(intents=1 << 9) as gateway:
        assert (await bench.rest("POST", messages(bench, "gallery"), {"content": odd})).body["content"] == odd
        assert (await gateway.event("MESSAGE_CREATE"))["content"] == odd


async def test_a_user_can_be_fetched(bench: Bench) -> None:
    mira = bench.discord.people["mira"].id
    assert (await bench.rest("GET", f"/users/{mira}")).body["username"] == "mira"
    assert (await bench.rest("GET", "/users/1")).code == 10013


async def test_direct_messages_opened_too_fast_are_refused_until_the_window_ends(bench: Bench) -> None:
    bench.discord.limit_new_dms(2, 10)
    recipient = {"recipient_id": str(bench.discord.people["mira"].id)}
    replies = [await bench.rest("POST", "/users/@me/channels", recipient) for _ in range(3)]
    assert [(reply.status, reply.code) for reply in replies[2:]] == [(403, 40003)]
    assert [reply.status for reply in replies[:2]] == [200, 200]
    bench.clock.advance(10)
    assert (await bench.rest("POST", "/users/@me/channels", recipient)).status == 200
