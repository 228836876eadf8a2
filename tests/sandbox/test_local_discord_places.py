"""Places beside text channels: group DMs, voice channels' chats, forums and their posts, each with its own rules."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sandbox.clock import SandboxClock
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind
from sandbox.local_discord.state.state import State
from tests.sandbox.discord_bench import PAINT, Bench

HELLO: dict[str, Any] = {"content": "hello"}


async def event_in(bench: Bench, channel: str, person: str = "mira") -> dict[str, Any]:
    """The INTERACTION_CREATE of a command in a channel."""
    async with bench.line() as line:
        await bench.painted(person, channel)
        return await line.event("INTERACTION_CREATE")


@pytest.mark.parametrize(
    ("channel", "kind", "context", "owners"),
    [
        ("gallery", 0, 0, {"0", "1"}),
        ("sketches", 11, 0, {"0", "1"}),
        ("summer-poster", 11, 0, {"0", "1"}),
        ("lounge", 2, 0, {"0", "1"}),
        ("pier", 0, 0, {"1"}),
        ("night-watch", 12, 0, {"0", "1"}),
        ("slipway", 0, 0, {"0", "1"}),
        ("dm", 1, 1, {"0", "1"}),
        ("boat-crew", 3, 2, {"1"}),
        ("mira-and-jonas", 1, 2, {"1"}),
    ],
)
async def test_an_event_says_what_kind_of_place_it_comes_from_and_who_brought_the_app_there(
    bench: Bench, channel: str, kind: int, context: int, owners: set[str]
) -> None:
    event = await event_in(bench, channel)
    assert (event["channel"]["type"], event["context"]) == (kind, context)
    assert set(event["authorizing_integration_owners"]) == owners
    assert event["attachment_size_limit"] == 10 * 1024 * 1024
    assert ("member" in event) is ("guild_id" in event) is (context == 0)
    assert ("user" in event) is (context != 0)


async def test_a_group_dm_names_its_people_and_grants_what_discord_grants_there(bench: Bench) -> None:
    event = await event_in(bench, "boat-crew")
    assert [user["username"] for user in event["channel"]["recipients"]] == ["mira", "jonas", "olga"]
    assert event["channel"]["owner_id"] == str(bench.discord.people["mira"].id)
    assert int(event["app_permissions"]) == p.ATTACH_FILES | p.EMBED_LINKS | p.MENTION_EVERYONE


async def test_a_server_with_the_commands_alone_grants_at_most_what_an_answer_needs(bench: Bench) -> None:
    """Discord docs: Change Log, 2024-06-27."""
    event = await event_in(bench, "slipway")
    held = int(event["app_permissions"])
    assert held == p.ATTACH_FILES | p.EMBED_LINKS | p.USE_EXTERNAL_EMOJIS  # @everyone may not MENTION_EVERYONE
    assert not held & p.VIEW_CHANNEL
    assert event["authorizing_integration_owners"]["0"] == event["guild_id"]


async def test_a_private_thread_is_seen_by_its_members_and_by_moderators_alone(bench: Bench) -> None:
    await bench.actor("mira").say("night-watch", "quiet tonight")
    assert [each["content"] for each in bench.actor("sam").messages("night-watch")] == ["quiet tonight"]
    with pytest.raises(Refused, match="cannot see"):
        bench.actor("jonas").messages("night-watch")
    event = await event_in(bench, "night-watch")
    assert int(event["app_permissions"]) & p.VIEW_CHANNEL  # of its channel: they do not tell that the bot is outside


async def test_a_reply_and_a_poll_at_a_message_need_read_message_history(bench: Bench) -> None:
    path = f"/channels/{bench.channel_id('ferry')}/messages"
    posted = await bench.rest("POST", path, HELLO)
    assert posted.status == 200
    seen = await bench.rest("GET", f"{path}/{posted.body['id']}")
    assert (seen.status, seen.code) == (403, 50013)
    reply = await bench.rest("POST", path, HELLO | {"message_reference": {"message_id": posted.body["id"]}})
    assert (reply.status, reply.code) == (403, 160002)
    assert (await bench.rest("PATCH", f"{path}/{posted.body['id']}", {"content": "an edit does not"})).status == 200


@pytest.mark.parametrize("place", ["boat-crew", "mira-and-jonas"])
async def test_five_follow_ups_are_all_that_a_persons_own_app_may_send(bench: Bench, place: str) -> None:
    act = await bench.painted(channel=place)
    await act.callback({"type": 4, "data": HELLO})
    for _ in range(5):
        bench.clock.advance(3)
        assert (await act.follow_up(HELLO)).status == 200
    bench.clock.advance(3)
    assert (await act.follow_up(HELLO)).code == 40094


@pytest.mark.parametrize(
    ("place", "neighbour"),
    [("boat-crew", "jonas"), ("mira-and-jonas", "jonas"), ("slipway", "jonas"), ("night-watch", "olga")],
)
async def test_where_it_is_no_member_the_bots_own_token_does_not_reach_but_the_interactions_does(
    bench: Bench, place: str, neighbour: str
) -> None:
    act = await bench.painted(channel=place)
    shown = await act.callback({"type": 4, "data": HELLO})
    path = f"/channels/{bench.channel_id(place)}"
    message = f"{path}/messages/{shown.body['resource']['message']['id']}"
    for method, at, body in (
        ("GET", path, None),
        ("GET", f"{path}/messages", None),
        ("POST", f"{path}/messages", HELLO),
        ("PATCH", message, HELLO),
        ("DELETE", message, None),
    ):
        reply = await bench.rest(method, at, body)
        assert (reply.status, reply.code) == (403, 50001), (method, at)
    assert (await act.edit({"content": "by the token it can"})).status == 200
    assert [each["content"] for each in bench.actor(neighbour).messages(place)] == ["by the token it can"]


async def test_what_people_say_in_a_group_is_told_neither_to_strangers_nor_to_the_bot(bench: Bench) -> None:
    with pytest.raises(Refused, match="cannot see"):
        await bench.actor("sam").say("boat-crew", "let me in")
    async with bench.line(intents=1 << 9 | 1 << 12) as line:
        await bench.actor("jonas").say("boat-crew", "only us")
        await bench.actor("jonas").say("dm", "you too")
        assert (await line.event("MESSAGE_CREATE"))["channel_id"] == str(bench.channel_id("dm-jonas"))
    assert [frame["t"] for frame in line.frames].count("MESSAGE_CREATE") == 1


@pytest.mark.parametrize(
    ("change", "reason"), [({"contexts": [0, 1]}, "among people"), ({"integration_types": [0]}, "this place")]
)
async def test_a_command_is_offered_in_a_group_only_if_people_may_bring_it_there(
    bench: Bench, change: dict[str, Any], reason: str
) -> None:
    await bench.register(PAINT | change)
    with pytest.raises(Refused, match=reason):
        await bench.painted(channel="boat-crew")
    await bench.painted(channel="dm")


async def test_a_component_in_a_group_is_authorized_by_whoever_brought_its_message(bench: Bench) -> None:
    act = await bench.painted(channel="boat-crew")
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
    shown = await act.callback({"type": 4, "data": HELLO | {"components": [row]}})
    async with bench.line() as line:
        await bench.actor("jonas").press(int(shown.body["resource"]["message"]["id"]), "Go")
        event = await line.event("INTERACTION_CREATE")
    assert event["user"]["username"] == "jonas" and event["context"] == 2
    assert event["authorizing_integration_owners"] == {"1": str(bench.discord.people["mira"].id)}


async def test_where_external_apps_may_not_speak_an_answer_is_for_the_person_alone(bench: Bench) -> None:
    """Discord docs: Permissions, USE_EXTERNAL_APPS. Also a follow-up's; elsewhere in that server it is public."""
    act = await bench.painted(channel="quay")
    shown = await act.callback({"type": 4, "data": HELLO})
    assert shown.body["resource"]["message"]["flags"] & 1 << 6
    assert (await act.follow_up(HELLO)).body["flags"] & 1 << 6
    assert len(bench.actor("mira").messages("quay")) == 2 and bench.actor("jonas").messages("quay") == []
    public = await (await bench.painted(channel="pier")).callback({"type": 4, "data": HELLO})
    assert not public.body["resource"]["message"]["flags"] & 1 << 6


async def test_a_forum_takes_no_messages_itself_but_its_posts_do(bench: Bench) -> None:
    forum, post = bench.channel_id("requests"), bench.channel_id("summer-poster")
    reply = await bench.rest("POST", f"/channels/{forum}/messages", HELLO)
    assert (reply.status, reply.code) == (400, 50008)
    with pytest.raises(Refused, match="posts only"):
        await bench.painted(channel="requests")
    with pytest.raises(Refused, match="posts only"):
        await bench.actor("mira").say("requests", "hello")
    first = (await bench.rest("GET", f"/channels/{post}/messages")).body[0]
    assert first["id"] == str(post) and first["author"]["username"] == "sam"
    assert (await bench.rest("POST", f"/channels/{post}/messages", HELLO)).status == 200
    found = (await bench.rest("GET", f"/channels/{post}")).body
    assert (found["type"], found["parent_id"], found["total_message_sent"]) == (11, str(forum), 2)


async def test_the_gateway_lists_voice_channels_and_forums_as_channels_and_posts_as_threads(bench: Bench) -> None:
    async with bench.line(intents=1, identify=False) as line:
        await line.identify(bench.discord.token, intents=1)
        guild = await line.event("GUILD_CREATE")
    kinds = {channel["name"]: channel["type"] for channel in guild["channels"]}
    assert (kinds["lounge"], kinds["requests"]) == (2, 15)
    assert {thread["name"] for thread in guild["threads"]} == {"sketches", "summer-poster"}


async def test_a_voice_channels_chat_is_a_chat_like_any_other(bench: Bench) -> None:
    path = f"/channels/{bench.channel_id('lounge')}/messages"
    posted = await bench.rest("POST", path, HELLO)
    assert posted.status == 200
    assert (await bench.rest("POST", path, {"content": "x" * 2001})).code == 50035
    assert (await bench.rest("PATCH", f"{path}/{posted.body['id']}", {"content": "again"})).status == 200
    assert [each["content"] for each in bench.actor("sam").messages("lounge")] == ["again"]


@pytest.mark.parametrize("lacking", [p.CONNECT, p.VIEW_CHANNEL])
def test_who_may_not_connect_to_a_voice_channel_does_not_see_its_chat(lacking: int) -> None:
    """Discord docs: Message, "Get Channel Messages"; connecting means nothing in a text channel."""
    state = State(SandboxClock(), random.Random(0))
    lounge, mira = state.channels["lounge"], state.people["mira"]
    assert lounge.guild_id is not None and state.may_see(mira, lounge)
    closed = (p.Overwrite(lounge.guild_id, 0, allow=0, deny=lacking),)
    voice = Channel(1, "closed", ChannelKind.VOICE, lounge.guild_id, overwrites=closed)
    text = Channel(2, "open", ChannelKind.TEXT, lounge.guild_id, overwrites=closed)
    assert not state.may_see(mira, voice)
    assert state.permissions(state.application_id, voice) == 0
    assert state.may_see(mira, text) is (lacking == p.CONNECT)


async def test_nothing_in_an_archived_thread_can_be_edited_until_somebody_writes_there(bench: Bench) -> None:
    act = await bench.painted("mira", "sketches")
    await act.callback({"type": 4, "data": HELLO})
    thread = bench.discord.channels["sketches"].id
    posted = await bench.rest("POST", f"/channels/{thread}/messages", HELLO)
    own = f"/channels/{thread}/messages/{posted.body['id']}"
    with pytest.raises(Refused):
        await bench.actor("mira").archive("sketches")
    await bench.actor("sam").archive("sketches")
    assert (await bench.rest("GET", f"/channels/{thread}")).body["thread_metadata"]["archived"] is True
    for refused in (await act.edit(HELLO), await bench.rest("PATCH", own, HELLO)):
        assert (refused.status, refused.code) == (400, 50083)
    assert (await bench.rest("POST", f"/channels/{thread}/messages", HELLO)).status == 200
    assert (await bench.rest("PATCH", own, HELLO)).status == (await act.edit(HELLO)).status == 200
    assert bench.discord.violations == []


def test_only_a_thread_can_be_archived(bench: Bench) -> None:
    with pytest.raises(KeyError):
        bench.discord.archive("gallery")
