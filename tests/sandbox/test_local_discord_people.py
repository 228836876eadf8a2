"""What people see and do, through Actor and through the page's routes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from sandbox.local_discord.people.command_checks import Refused
from tests.sandbox.discord_bench import PAINT, Bench


async def post(bench: Bench, act: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    async with bench.http.post(f"{bench.url}/sandbox/{act}", json=body, headers=headers) as response:
        return response.status, await response.json()


class Page:
    """One person's open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self, kind: str | None = None) -> dict[str, Any]:
        while True:
            event = json.loads((await self.socket.receive(timeout=60)).data)
            if kind in (None, event["type"]):
                return event

    async def silence(self) -> bool:
        try:
            await self.socket.receive(timeout=0.1)
        except TimeoutError:
            return True
        return False


async def open_page(bench: Bench, person: str) -> Page:
    return Page(await bench.http.ws_connect(f"{bench.url}/sandbox/live?as={bench.discord.people[person].id}"))


@pytest.mark.parametrize(
    ("channel", "options", "sentence"),
    [
        ("gallery", {}, "prompt is required."),
        ("gallery", {"prompt": "   "}, "prompt is required."),
        ("gallery", {"prompt": "x" * 21}, "prompt must be 1 to 20 characters long; it has 21."),
        ("gallery", {"prompt": "x", "seed": 100}, "seed must be between -1 and 99."),
        ("gallery", {"prompt": "x", "seed": True}, "seed must be a whole number."),
        ("gallery", {"prompt": "x", "size": "9*9"}, "size: pick one of the choices."),
        ("gallery", {"prompt": "x", "private": "yes"}, "private must be yes or no."),
        ("gallery", {"prompt": "x", "for": "5"}, "There is nothing of that kind to pick here."),
        ("gallery", {"prompt": "x", "colour": "red"}, "There is no option colour."),
        ("nowhere", {"prompt": "x"}, "You cannot see that channel."),
        ("dm-jonas", {"prompt": "x"}, "You cannot see that channel."),
    ],
)
async def test_the_client_refuses_wrong_options_as_discords_does(
    bench: Bench, channel: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        await bench.actor("mira").command(channel, "paint", **options)
    assert str(refused.value) == sentence


async def test_commands_are_offered_where_installs_contexts_and_permissions_allow(bench: Bench) -> None:
    base = {"description": "d", "type": 1}
    await bench.register(
        PAINT,
        base | {"name": "here", "integration_types": [0], "contexts": [0]},
        base | {"name": "manage", "default_member_permissions": str(1 << 5), "contexts": [0]},
        base | {"name": "night", "nsfw": True},
    )
    mira, sam = bench.actor("mira"), bench.actor("sam")
    assert await bench.actor("ada").command("gallery", "manage")
    assert await mira.command("after-dark", "night")
    for person, channel, name in (
        (mira, "gallery", "manage"),
        (sam, "gallery", "manage"),
        (mira, "pier", "here"),
        (mira, "dm", "here"),
        (mira, "gallery", "night"),
        (mira, "gallery", "unknown"),
    ):
        with pytest.raises(Refused):
            await person.command(channel, name)


async def test_sub_commands_and_user_options_are_nested_as_in_discord(bench: Bench) -> None:
    user = {"type": 6, "name": "who", "description": "d", "required": True}
    sub = {"type": 1, "name": "block", "description": "d", "options": [user]}
    group = {"type": 2, "name": "people", "description": "d", "options": [sub]}
    await bench.register({"name": "admin", "description": "d", "options": [group]})
    sam, jonas = bench.actor("sam"), str(bench.discord.people["jonas"].id)
    data = sam.interaction(await sam.command("gallery", "admin people block", who=jonas)).data
    assert data["options"][0]["options"][0]["options"] == [{"name": "who", "type": 6, "value": jonas}]
    assert data["resolved"]["users"][jonas]["username"] == "jonas"
    assert int(data["resolved"]["members"][jonas]["permissions"]) & (1 << 11)
    with pytest.raises(Refused):
        await sam.command("gallery", "admin people")


async def test_a_message_command_carries_the_whole_message(bench: Bench) -> None:
    await bench.register({"name": "Imagine this", "type": 3})
    number = await bench.actor("mira").say("gallery", "a boat")
    jonas = bench.actor("jonas")
    data = jonas.interaction(await jonas.message_menu("gallery", "Imagine this", number)).data
    assert data["resolved"]["messages"][data["target_id"]]["content"] == "a boat"
    act = bench.act("jonas", int(await jonas.message_menu("gallery", "Imagine this", number)))
    shown = await act.callback({"type": 4, "data": {"content": "x"}})
    assert shown.body["resource"]["message"]["type"] == 23


async def test_a_private_answer_has_no_commands_in_its_menu(bench: Bench) -> None:
    await bench.register({"name": "Report", "type": 3}, PAINT)
    act = await bench.paint()
    shown = await act.callback({"type": 4, "data": {"content": "x", "flags": 64}})
    with pytest.raises(Refused, match="Private answers have no apps"):
        await bench.actor("mira").message_menu("gallery", "Report", int(shown.body["resource"]["message"]["id"]))


async def test_people_delete_their_own_messages_and_moderators_any(bench: Bench) -> None:
    mira, jonas, sam = (bench.actor(name) for name in ("mira", "jonas", "sam"))
    number = await mira.say("gallery", "one")
    with pytest.raises(Refused):
        await jonas.delete_message(number)
    await sam.delete_message(number)
    await mira.delete_message(await mira.say("gallery", "two"))
    assert mira.messages("gallery") == []
    with pytest.raises(Refused):
        await mira.delete_message(number)


async def test_disabled_link_and_missing_buttons_cannot_be_pressed(bench: Bench) -> None:
    row = {
        "type": 1,
        "components": [
            {"type": 2, "style": 2, "custom_id": "off", "label": "Off", "disabled": True},
            {"type": 2, "style": 5, "url": "https://x", "label": "Go"},
        ],
    }
    act = await bench.paint()
    shown = await act.callback({"type": 4, "data": {"content": "x", "components": [row]}})
    number = int(shown.body["resource"]["message"]["id"])
    for label in ("Off", "Go", "None"):
        with pytest.raises(Refused):
            await bench.actor("jonas").press(number, label)


async def test_selects_accept_only_their_options_and_resolve_users(bench: Bench) -> None:
    options = [{"label": "A", "value": "a"}, {"label": "B", "value": "b"}]
    rows = [
        {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": options, "max_values": 2}]},
        {"type": 1, "components": [{"type": 5, "custom_id": "u"}]},
    ]
    act = await bench.paint()
    shown = await act.callback({"type": 4, "data": {"content": "x", "components": rows}})
    number, mira = int(shown.body["resource"]["message"]["id"]), bench.actor("mira")
    data = mira.interaction(await mira.press(number, "s", ["a", "b"])).data
    assert data["values"] == ["a", "b"] and data["component_type"] == 3
    sam = str(bench.discord.people["sam"].id)
    assert mira.interaction(await mira.press(number, "u", [sam])).data["resolved"]["users"][sam]["username"] == "sam"
    for values in (["c"], [], ["a", "a"]):
        with pytest.raises(Refused):
            await mira.press(number, "s", values)


async def test_a_page_gets_a_snapshot_for_its_person_and_then_every_change(bench: Bench) -> None:
    await bench.actor("jonas").say("dm", "private to jonas")
    page = await open_page(bench, "mira")
    snapshot = await page.next()
    assert snapshot["type"] == "snapshot" and snapshot["me"]["name"] == "mira" and snapshot["me"]["initials"] == "MI"
    names = {(channel["name"], channel["kind"]) for channel in snapshot["channels"]}
    assert ("sketches", "thread") in names and ("pier", "text") in names
    assert [channel["name"] for channel in snapshot["channels"] if channel["kind"] == "dm"] == ["jonas", "Qwen Imagine"]
    by_name = {channel["name"]: channel for channel in snapshot["channels"]}
    assert by_name["after-dark"]["nsfw"] is True and by_name["no-posting"]["app_can_post"] is False
    assert by_name["sketches"]["parent_id"] == by_name["gallery"]["id"] and by_name["gallery"]["parent_id"] is None
    assert [(guild["installed"], guild["has_bot"]) for guild in snapshot["guilds"]] == [
        (True, True),
        (False, False),
        (True, False),
        (True, True),
    ]
    assert by_name["slipway"]["app_can_post"] and not by_name["slipway"]["has_bot"]
    assert (by_name["night-watch"]["kind"], by_name["night-watch"]["has_bot"]) == ("thread", False)
    assert [command["name"] for command in snapshot["commands"]] == ["paint"]
    post = by_name["summer-poster"]
    assert post["parent_id"] == by_name["requests"]["id"] and by_name["requests"]["kind"] == "forum"
    assert (by_name["lounge"]["kind"], by_name["boat-crew"]["kind"]) == ("voice", "group")
    assert [channel for channel, messages in snapshot["messages"].items() if messages] == [post["id"]]

    act = await bench.paint()
    sent = await page.next()
    assert (sent["type"], sent["state"], sent["command_name"]) == ("interaction", "sent", "paint")
    await act.callback({"type": 5})
    thinking = await page.next("message")
    assert thinking["message"]["x_sandbox"] == {"ephemeral": False, "loading": True, "url_base": bench.url}
    assert (await page.next("interaction"))["state"] == "answered"
    await act.edit({"content": "done"})
    assert (await page.next("message"))["message"]["content"] == "done"
    await act.webhook("DELETE", "/messages/@original")
    assert (await page.next())["type"] == "message_delete"
    await bench.register()
    places = await page.next()
    assert (places["type"], places["commands"], set(map(len, places["offered"].values()))) == ("places", [], {0})


async def test_a_page_gets_nothing_of_other_peoples_ephemeral_messages_forms_and_failures(bench: Bench) -> None:
    page = await open_page(bench, "jonas")
    await page.next("snapshot")
    act = await bench.paint()
    await act.callback({"type": 4, "data": {"content": "only mira", "flags": 64}})
    form = await bench.paint()
    field = {"type": 4, "custom_id": "t", "style": 1, "label": "T"}
    modal = {"custom_id": "f", "title": "F", "components": [{"type": 1, "components": [field]}]}
    await form.callback({"type": 9, "data": modal})
    await bench.paint()
    bench.clock.advance(4)
    assert await page.silence()


async def test_a_page_gets_failed_interactions_and_pings(bench: Bench) -> None:
    page = await open_page(bench, "mira")
    await page.next("snapshot")
    await bench.paint()
    assert (await page.next("interaction"))["error"] is None
    bench.clock.advance(4)
    failed = await page.next("interaction")
    assert (failed["state"], failed["error"]) == ("failed", "The application did not respond")
    mention = f"<@{bench.discord.people['mira'].id}> ready"
    path = f"/channels/{bench.channel_id('gallery')}/messages"
    await bench.rest("POST", path, {"content": mention, "allowed_mentions": {"parse": []}})
    await page.next("message")
    loud = await bench.rest("POST", path, {"content": mention})
    await page.next("message")
    assert await page.next() == {"type": "ping", "message_id": loud.body["id"]}


async def test_the_page_can_run_press_submit_say_and_delete(bench: Bench) -> None:
    mira, gallery = str(bench.discord.people["mira"].id), str(bench.channel_id("gallery"))
    status, said = await post(bench, "say", {"as": mira, "channel_id": gallery, "content": "hello"})
    assert status == 200
    assert (await post(bench, "delete", {"as": mira, "channel_id": gallery, "message_id": said["message_id"]}))[
        0
    ] == 200
    options = [{"name": "prompt", "type": 3, "value": "x"}]
    command = {"as": mira, "channel_id": gallery, "name": "paint", "command_type": 1, "options": options}
    status, ran = await post(bench, "command", command)
    assert status == 200
    act = bench.act("mira", int(ran["interaction_id"]))
    row = {"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "edit", "label": "Edit"}]}
    shown = await act.callback({"type": 4, "data": {"content": "x", "components": [row]}})
    number = shown.body["resource"]["message"]["id"]
    pressed = {"as": mira, "channel_id": gallery, "message_id": number, "custom_id": "edit", "component_type": 2}
    status, press = await post(bench, "press", pressed)
    act = bench.act("mira", int(press["interaction_id"]))
    field = {"type": 4, "custom_id": "t", "style": 1}
    modal = {"custom_id": "f", "title": "F", "components": [{"type": 18, "label": "T", "component": field}]}
    await act.callback({"type": 9, "data": modal})
    filled = [{"type": 18, "id": None, "component": {"type": 4, "custom_id": "t", "value": "typed"}}]
    body = {"as": mira, "interaction_id": press["interaction_id"], "custom_id": "f", "components": filled}
    status, submitted = await post(bench, "submit", body)
    assert status == 200
    sent = bench.actor("mira").interaction(int(submitted["interaction_id"]))
    assert sent.data["components"][0]["component"]["value"] == "typed" and sent.message_id == int(number)


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("command", {}),
        ("command", {"as": "mira"}),
        ("command", {"as": "mira", "channel_id": "x", "name": "paint"}),
        ("command", {"as": "nobody", "channel_id": "1", "name": "paint"}),
        ("press", {"as": "mira", "message_id": "1", "custom_id": "x"}),
        ("submit", {"as": "mira", "interaction_id": "1", "components": []}),
        ("say", {"as": "mira", "channel_id": "1", "content": "x"}),
        ("delete", {"as": "mira", "message_id": "1"}),
    ],
)
async def test_invalid_requests_of_the_page_are_400_with_a_sentence(
    bench: Bench, act: str, body: dict[str, Any]
) -> None:
    status, answer = await post(bench, act, body)
    assert status == 400 and len(answer["error"]) > 10


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "http://127.0.0.1:1"}]
)
async def test_requests_of_other_sites_and_hosts_are_refused(bench: Bench, headers: dict[str, str]) -> None:
    assert (await post(bench, "say", {"as": "mira"}, **headers))[0] == 403
    for path in ("violations", "requests", "live?as=mira"):
        async with bench.http.get(f"{bench.url}/sandbox/{path}", headers=headers) as response:
            assert response.status == 403
    own = {"Origin": bench.url}
    assert (
        await post(bench, "say", {"as": "mira", "channel_id": str(bench.channel_id("studio")), "content": "x"}, **own)
    )[0] == 200


async def test_requests_and_violations_can_be_read(bench: Bench) -> None:
    await bench.rest("GET", "/nowhere")
    async with bench.http.get(f"{bench.url}/sandbox/violations") as response:
        assert [each["where"] for each in (await response.json())["violations"]] == ["GET /nowhere"]
    async with bench.http.get(f"{bench.url}/sandbox/requests") as response:
        assert (await response.json())["requests"][-1]["path"] == "/nowhere"


async def test_wait_for_raises_timeout_error_when_nothing_happens(bench: Bench) -> None:
    with pytest.raises(TimeoutError):
        await bench.actor("mira").wait_for(lambda: None, timeout_seconds=0.1)
    waiting = asyncio.create_task(bench.actor("mira").wait_for(lambda: bench.actor("mira").messages("gallery")))
    await bench.actor("jonas").say("gallery", "there")
    assert (await waiting)[0]["content"] == "there"
