"""Group DMs, voice channels' chats, forums and their posts, each with its own rules."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sandbox.clock import SandboxClock
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind
from sandbox.local_discord.state.seed_data import LIGHTHOUSE_ID
from sandbox.local_discord.state.state import State
from tests.sandbox.discord_bench import PAINT, Bench

HELLO: dict[str, Any] = {"content": "hello"}


async def event_in(bench: Bench, channel: str, person: str = "mira") -> dict[str, Any]:
    """Return the INTERACTION_CREATE of a command in a channel."""
    async with bench.connect() as gateway:
        await bench.paint(person, channel)
        return await gateway.event("INTERACTION_CREATE")


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
async def test_an_interaction_names_its_context_and_who_installed_the_app(
    bench: Bench, channel: str, kind: int, context: int, owners: set[str]
) -> None:
    event = await event_in(bench, channel)
    assert (event["channel"]["type"], event["context"]) == (kind, context)
    assert set(event["authorizing_integration_owners"]) == owners
    assert event["attachment_size_limit"] == 10 * 1024 * 1024
    assert ("member" in event) is ("guild_id" in event) is (context == 0)
    assert ("user" in event) is (context != 0)


async def test_a_group_dm_lists_its_recipients_and_grants_discords_permissions(bench: Bench) -> None:
    event = await event_in(bench, "boat-crew")
    assert [user["username"] for user in event["channel"]["recipients"]] == ["mira", "jonas", "olga"]
    assert event["channel"]["owner_id"] == str(bench.discord.people["mira"].id)
    assert int(event["app_permissions"]) == p.ATTACH_FILES | p.EMBED_LINKS | p.MENTION_EVERYONE


async def test_a_server_without_the_bot_user_grants_only_attach_embed_and_emoji(bench: Bench) -> None:
    """Discord docs: Change Log, 2024-06-27."""
    event = await event_in(bench, "slipway")
    held = int(event["app_permissions"])
    assert held == p.ATTACH_FILES | p.EMBED_LINKS | p.USE_EXTERNAL_EMOJIS  # @everyone may not MENTION_EVERYONE
    assert not held & p.VIEW_CHANNEL
    assert event["authorizing_integration_owners"]["0"] == event["guild_id"]


async def test_a_private_thread_is_seen_only_by_its_members_and_moderators(bench: Bench) -> None:
    await bench.actor("mira").say("night-watch", "quiet tonight")
    assert [each["content"] for each in bench.actor("sam").messages("night-watch")] == ["quiet tonight"]
    with pytest.raises(Refused, match="cannot see"):
        bench.actor("jonas").messages("night-watch")
    event = await event_in(bench, "night-watch")
    assert int(event["app_permissions"]) & p.VIEW_CHANNEL  # those of its channel, also where the bot is no member


async def test_replying_and_reading_messages_need_read_message_history(bench: Bench) -> None:
    path = f"/channels/{bench.channel_id('ferry')}/messages"
    posted = await bench.rest("POST", path, HELLO)
    assert posted.status == 200
    seen = await bench.rest("GET", f"{path}/{posted.body['id']}")
    assert (seen.status, seen.code) == (403, 50013)
    reply = await bench.rest("POST", path, HELLO | {"message_reference": {"message_id": posted.body["id"]}})
    assert (reply.status, reply.code) == (403, 160002)
    assert (await bench.rest("PATCH", f"{path}/{posted.body['id']}", {"content": "an edit does not"})).status == 200


@pytest.mark.parametrize("place", ["boat-crew", "mira-and-jonas"])
async def test_a_user_installed_app_may_send_five_follow_ups_among_people(bench: Bench, place: str) -> None:
    act = await bench.paint(channel=place)
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
async def test_where_the_bot_is_no_member_only_the_interactions_token_reaches_the_message(
    bench: Bench, place: str, neighbour: str
) -> None:
    act = await bench.paint(channel=place)
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


async def test_messages_in_a_group_are_sent_to_its_members_only_and_not_to_the_bot(bench: Bench) -> None:
    with pytest.raises(Refused, match="cannot see"):
        await bench.actor("sam").say("boat-crew", "let me in")
    async with bench.connect(intents=1 << 9 | 1 << 12) as gateway:
        await bench.actor("jonas").say("boat-crew", "only us")
        await bench.actor("jonas").say("dm", "you too")
        assert (await gateway.event("MESSAGE_CREATE"))["channel_id"] == str(bench.channel_id("dm-jonas"))
    assert [frame["t"] for frame in gateway.frames].count("MESSAGE_CREATE") == 1


@pytest.mark.parametrize(
    ("change", "reason"), [({"contexts": [0, 1]}, "among people"), ({"integration_types": [0]}, "this place")]
)
async def test_a_command_is_offered_in_a_group_only_if_users_can_install_it(
    bench: Bench, change: dict[str, Any], reason: str
) -> None:
    await bench.register(PAINT | change)
    with pytest.raises(Refused, match=reason):
        await bench.paint(channel="boat-crew")
    await bench.paint(channel="dm")


async def test_a_component_in_a_group_has_the_owners_of_its_message(bench: Bench) -> None:
    act = await bench.paint(channel="boat-crew")
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
    shown = await act.callback({"type": 4, "data": HELLO | {"components": [row]}})
    async with bench.connect() as gateway:
        await bench.actor("jonas").press(int(shown.body["resource"]["message"]["id"]), "Go")
        event = await gateway.event("INTERACTION_CREATE")
    assert event["user"]["username"] == "jonas" and event["context"] == 2
    assert event["authorizing_integration_owners"] == {"1": str(bench.discord.people["mira"].id)}


async def test_without_use_external_apps_an_answer_is_ephemeral(bench: Bench) -> None:
    """Discord docs: Permissions, USE_EXTERNAL_APPS. Follow-ups too; elsewhere in that server an answer is public."""
    act = await bench.paint(channel="quay")
    shown = await act.callback({"type": 4, "data": HELLO})
    assert shown.body["resource"]["message"]["flags"] & 1 << 6
    assert (await act.follow_up(HELLO)).body["flags"] & 1 << 6
    assert len(bench.actor("mira").messages("quay")) == 2 and bench.actor("jonas").messages("quay") == []
    public = await (await bench.paint(channel="pier")).callback({"type": 4, "data": HELLO})
    assert not public.body["resource"]["message"]["flags"] & 1 << 6


async def test_a_forum_refuses_messages_and_its_posts_accept_them(bench: Bench) -> None:
    forum, post = bench.channel_id("requests"), bench.channel_id("summer-poster")
    reply = await bench.rest("POST", f"/channels/{forum}/messages", HELLO)
    assert (reply.status, reply.code) == (400, 50008)
    with pytest.raises(Refused, match="posts only"):
        await bench.paint(channel="requests")
    with pytest.raises(Refused, match="posts only"):
        await bench.actor("mira").say("requests", "hello")
    first = (await bench.rest("GET", f"/channels/{post}/messages")).body[0]
    assert first["id"] == str(post) and first["author"]["username"] == "sam"
    assert (await bench.rest("POST", f"/channels/{post}/messages", HELLO)).status == 200
    found = (await bench.rest("GET", f"/channels/{post}")).body
    assert (found["type"], found["parent_id"], found["total_message_sent"]) == (11, str(forum), 2)


async def test_the_gateway_lists_voice_channels_and_forums_as_channels_and_posts_as_threads(bench: Bench) -> None:
    async with bench.connect(intents=1, identify=False) as gateway:
        await gateway.identify(bench.discord.token, intents=1)
        guild = await gateway.event("GUILD_CREATE")
    kinds = {channel["name"]: channel["type"] for channel in guild["channels"]}
    assert (kinds["lounge"], kinds["requests"]) == (2, 15)
    assert {thread["name"] for thread in guild["threads"]} == {"sketches", "summer-poster"}


async def test_a_voice_channels_chat_accepts_commands_and_messages(bench: Bench) -> None:
    path = f"/channels/{bench.channel_id('lounge')}/messages"
    posted = await bench.rest("POST", path, HELLO)
    assert posted.status == 200
    assert (await bench.rest("POST", path, {"content": "x" * 2001})).code == 50035
    assert (await bench.rest("PATCH", f"{path}/{posted.body['id']}", {"content": "again"})).status == 200
    assert [each["content"] for each in bench.actor("sam").messages("lounge")] == ["again"]


@pytest.mark.parametrize("lacking", [p.CONNECT, p.VIEW_CHANNEL])
def test_without_connect_a_voice_channels_chat_is_not_seen(lacking: int) -> None:
    """Discord docs: Message, "Get Channel Messages". CONNECT has no effect in a text channel."""
    state = State(SandboxClock(), random.Random(0))
    lounge, mira = state.channels["lounge"], state.people["mira"]
    assert lounge.guild_id is not None and state.may_see(mira, lounge)
    closed = (p.Overwrite(lounge.guild_id, 0, allow=0, deny=lacking),)
    voice = Channel(1, "closed", ChannelKind.VOICE, lounge.guild_id, overwrites=closed)
    text = Channel(2, "open", ChannelKind.TEXT, lounge.guild_id, overwrites=closed)
    assert not state.may_see(mira, voice)
    assert state.permissions(state.application_id, voice) == 0
    assert state.may_see(mira, text) is (lacking == p.CONNECT)


async def test_messages_in_an_archived_thread_cannot_be_edited_until_a_message_is_sent_there(bench: Bench) -> None:
    act = await bench.paint("mira", "sketches")
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


@pytest.mark.parametrize(("flags", "status"), [(0, 200), (64, 400)], ids=["public", "ephemeral"])
async def test_a_public_follow_up_opens_an_archived_thread_that_the_bot_can_not_see(
    bench: Bench, flags: int, status: int
) -> None:
    """Discord docs: Threads, "Active & Archived Threads"."""
    act = await bench.paint(channel="night-watch")
    await act.callback({"type": 4, "data": HELLO})
    bench.discord.archive("night-watch")
    assert (await act.edit(HELLO)).code == 50083
    assert (await act.follow_up(HELLO | {"flags": flags})).status == 200
    assert (await act.edit(HELLO)).status == status


def test_only_a_thread_can_be_archived(bench: Bench) -> None:
    with pytest.raises(KeyError):
        bench.discord.archive("gallery")


async def test_the_bot_is_told_the_guilds_that_its_user_is_in_page_by_page(bench: Bench) -> None:
    """Discord docs: User, "Get Current User Guilds"; a guild with the commands alone is in no list."""
    reply = await bench.rest("GET", "/users/@me/guilds?limit=1")
    assert (reply.status, [each["id"] for each in reply.body]) == (200, [str(LIGHTHOUSE_ID)])
    assert int(reply.body[0]["permissions"]) & p.SEND_MESSAGES
    others = (await bench.rest("GET", f"/users/@me/guilds?after={LIGHTHOUSE_ID}")).body
    assert [each["name"] for each in others] == ["Orchard"]
    assert (await bench.rest("GET", f"/users/@me/guilds?after={others[0]['id']}")).body == []
    assert (await bench.rest("GET", f"/users/@me/guilds?after=1&before={LIGHTHOUSE_ID}")).body == []
    assert (await bench.rest("GET", "/users/@me/guilds?limit=201")).status == 400
