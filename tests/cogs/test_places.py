"""Every kind of channel: the command works, and the image is posted there or announced as a direct message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import discord
import pytest
import simcord

from generations.model import State
from people.model import Ping
from tests.cogs.scene import DM_PERMISSIONS, Scene, private_words, words
from tests.doubles import RUNNING_TASK
from ui.texts.places import LEAVING

EVERY_COMMAND = ("credits", "history", "settings", "help", "privacy show", "privacy export", "privacy delete")
Change = Callable[[dict[str, Any]], None]


def thread_in(scene: Scene, parent: simcord.ChannelHandle) -> simcord.ChannelHandle:
    thread = scene.env.backend.create_thread(parent.id, "sketches", scene.alice.id)
    return simcord.ChannelHandle(scene.env, scene.guild, thread)


PLACES: dict[str, Callable[[Scene], simcord.ChannelHandle]] = {
    "a text channel": lambda scene: scene.channel,
    "a thread": lambda scene: thread_in(scene, scene.channel),
    "a forum post": lambda scene: thread_in(scene, scene.guild.create_forum_channel("ideas")),
    "a voice channel's chat": lambda scene: scene.guild.create_voice_channel("talk"),
    "a stage's chat": lambda scene: scene.guild.create_stage_channel("stage"),
    "an announcement channel": lambda scene: scene.guild.create_news_channel("news"),
}


def group_dm(payload: dict[str, Any]) -> None:
    """Discord docs: Channel, "Channel Types" 3; Receiving and Responding, context 2."""
    person = payload.get("user") or payload["member"]["user"]
    payload["channel"] = {"id": payload["channel_id"], "type": 3, "name": None, "icon": None, "owner_id": "5",
                          "recipients": [person], "last_message_id": None}  # fmt: skip
    payload |= {"context": 2, "authorizing_integration_owners": {"1": person["id"]}}
    payload["app_permissions"] = str(DM_PERMISSIONS.value)


def dm_between_people(payload: dict[str, Any]) -> None:
    person = payload.get("user") or payload["member"]["user"]
    payload |= {"context": 2, "authorizing_integration_owners": {"1": person["id"]}}


def unknown_kind(payload: dict[str, Any]) -> None:
    payload["channel"]["type"] = 250


NO_GUILD: dict[str, Change | None] = {
    "the bot's DM": None,
    "a DM between two people": dm_between_people,
    "a group DM": group_dm,
    "a kind that nobody knows yet": unknown_kind,
}


def by_the_bot_itself(scene: Scene) -> list[str]:
    """Return the calls with the bot's own token to a channel."""
    return [f"{call.method} {call.path}" for call in scene.env.http_requests if call.path.startswith("/channels/")]


async def arrives(scene: Scene) -> None:
    await scene.step()
    await scene.env.advance_time(10)
    await scene.step()
    await scene.services.senders.pings.drain()
    assert [image.state for image in (await scene.only_generation()).images] == [State.DELIVERED]


@pytest.mark.parametrize("place", PLACES)
async def test_in_every_kind_of_channel_of_a_server_the_image_is_posted_on_the_card(scene: Scene, place: str) -> None:
    channel = PLACES[place](scene)
    result = await scene.alice.slash(channel, "imagine", prompt="a quiet room")
    assert result.response is not None and "5 credits held" in words(result.response)
    await arrives(scene)
    generation = await scene.only_generation()
    assert (generation.origin.channel_id, generation.card_channel_id) == (channel.id, None)
    assert [message.id for message in channel.history()] == [generation.message_id]


@pytest.mark.parametrize("place", PLACES)
async def test_in_a_server_the_bot_edits_the_card_itself_after_the_token_has_run_out(scene: Scene, place: str) -> None:
    channel = PLACES[place](scene)
    await scene.alice.slash(channel, "imagine", prompt="a quiet room")
    scene.service.on_poll = [RUNNING_TASK]
    await scene.step()
    await scene.env.advance_time(14 * 60 + 30)
    await scene.step()
    await arrives(scene)
    edits = [call for call in by_the_bot_itself(scene) if call.startswith("PATCH")]
    assert edits and all(f"/channels/{channel.id}/" in call for call in edits)


@pytest.mark.parametrize("place", NO_GUILD)
async def test_without_a_server_the_image_is_posted_on_the_card(scene: Scene, place: str) -> None:
    carol = scene.env.create_user("carol")
    scene.completer.change = NO_GUILD[place]
    result = await carol.slash("imagine", prompt="a quiet room")
    assert result.response is not None and "5 credits held" in words(result.response)
    generation = await scene.only_generation()
    assert generation.origin.guild_id is None
    assert generation.origin.bot_in_channel is (place == "the bot's DM")  # elsewhere only the token reaches it
    await arrives(scene)
    assert (
        await scene.only_generation()
    ).card_channel_id is None  # it has not moved, whatever Discord calls the channel
    assert (await scene.balance(carol)).available == 45


async def test_images_that_come_one_by_one_stay_on_a_card_whose_channel_discord_py_drops(scene: Scene) -> None:
    scene.completer.change = unknown_kind
    await scene.imagine(count=3)
    scene.service.on_poll = [RUNNING_TASK, RUNNING_TASK]
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(6)
    generation = await scene.only_generation()
    assert {image.state for image in generation.images} == {State.DELIVERED}
    assert len({image.attachment_id for image in generation.images} - {None}) == 3
    assert generation.card_channel_id is None
    assert by_the_bot_itself(scene) == []


@pytest.mark.parametrize("place", NO_GUILD)
async def test_every_command_works_without_a_server(scene: Scene, place: str) -> None:
    carol = scene.env.create_user("carol")
    scene.completer.change = NO_GUILD[place]
    for command in EVERY_COMMAND:
        result = await carol.slash(command)
        assert result.response is not None and result.response.ephemeral, command
        assert "failed" not in words(result.response), command


async def test_every_command_works_for_a_user_install(scene: Scene) -> None:
    scene.completer.user_install = True
    for command in EVERY_COMMAND:
        result = await scene.alice.slash(scene.channel, command)
        assert result.response is not None and result.response.ephemeral, command
        assert "failed" not in words(result.response), command


# ---- where only the token reaches -----------------------------------------------------------------------------------


async def test_in_a_server_without_the_bot_its_own_token_is_never_used(scene: Scene) -> None:
    """Discord would refuse each call and count it as an invalid request."""
    scene.completer.user_install = True
    await scene.imagine()
    await arrives(scene)
    assert by_the_bot_itself(scene) == []


async def test_in_a_server_without_the_bot_an_image_uses_at_most_one_follow_up(scene: Scene) -> None:
    scene.completer.user_install = True
    await scene.imagine(count=4)
    scene.service.on_poll = [RUNNING_TASK] * 24
    for _ in range(30):
        await scene.step()
        await scene.env.advance_time(5)
    assert {image.state for image in (await scene.only_generation()).images} == {State.DELIVERED}
    posts = [c for c in scene.env.http_requests if c.method == "POST" and c.path.startswith("/webhooks/")]
    assert len(posts) == 1


@pytest.mark.parametrize("private", [False, True])
async def test_in_a_server_without_the_bot_the_card_announces_the_direct_message_in_time(
    scene: Scene, private: bool
) -> None:
    scene.completer.user_install = not private
    result = await scene.imagine(private=private)
    scene.service.on_poll = [RUNNING_TASK] * 500
    for _ in range(14 * 4):
        await scene.step()
        await scene.env.advance_time(15)
    assert result.response is not None and LEAVING in words(result.response)
    scene.service.on_poll.clear()
    for _ in range(6):
        await scene.step()
        await scene.env.advance_time(10)
    generation = await scene.only_generation()
    assert [image.state for image in generation.images] == [State.DELIVERED]
    assert generation.card_channel_id not in (None, scene.channel.id)
    assert scene.env.http_requests[-1].path == f"/channels/{generation.card_channel_id}/messages"
    assert not [call for call in scene.env.http_requests if str(scene.channel.id) in call.path]


# ---- where the token is all there is, though the server has the app ------------------------------------------------


def commands_only(payload: dict[str, Any]) -> None:
    """Make a server with the commands but without the bot user (Discord docs: Change Log, 2024-06-27)."""
    may = discord.Permissions(attach_files=True, embed_links=True, use_external_emojis=True)
    payload["app_permissions"] = str(may.value)


def private_thread(payload: dict[str, Any]) -> None:
    """Discord docs: Channel, "Channel Types" 12. Its permissions are those of its channel."""
    facts = {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": "2026-01-01T00:00:00+00:00"}
    payload["channel"] |= {"type": 12, "parent_id": "5", "owner_id": "6", "message_count": 1, "member_count": 1,
                           "rate_limit_per_user": 0, "thread_metadata": {**facts, "locked": False}}  # fmt: skip
    may = discord.Permissions(view_channel=True, send_messages=True, attach_files=True, send_messages_in_threads=True)
    payload["app_permissions"] = str(may.value)


def refuse_the_bot(scene: Scene) -> None:
    for method in ("PATCH", "POST", "GET", "DELETE"):
        scene.env.inject_error(method, f"/channels/{scene.channel.id}/*", status=403, code=50001, times=99)


async def slow_image(scene: Scene, minutes: float, **options: Any) -> simcord.InteractionResult:
    """Make an image that takes longer than an interaction's token is valid."""
    result = await scene.imagine(**options)
    scene.service.on_poll = [RUNNING_TASK] * 500
    for _ in range(round(minutes * 4)):
        await scene.step()
        await scene.env.advance_time(15)
    scene.service.on_poll.clear()
    for _ in range(6):
        await scene.step()
        await scene.env.advance_time(10)
    assert [image.state for image in (await scene.only_generation()).images] == [State.DELIVERED]
    return result


async def test_in_a_server_with_the_commands_alone_every_edit_uses_the_token(scene: Scene) -> None:
    scene.completer.change = commands_only
    refuse_the_bot(scene)
    await scene.services.people.change(scene.alice.id, ping=Ping.ALWAYS)
    await scene.imagine(count=2)
    assert not (await scene.only_generation()).origin.bot_in_channel
    for _ in range(3):
        await scene.step()
        await scene.env.advance_time(10)
    assert {image.state for image in (await scene.only_generation()).images} == {State.DELIVERED}
    assert by_the_bot_itself(scene) == []
    assert follow_up_texts(scene) == [f"<@{scene.alice.id}> your 2 images are ready."]


async def test_in_a_server_with_the_commands_alone_a_late_image_comes_as_an_announced_direct_message(
    scene: Scene,
) -> None:
    scene.completer.change = commands_only
    refuse_the_bot(scene)
    result = await slow_image(scene, 14)
    assert result.response is not None and LEAVING in words(result.response)
    assert (await scene.only_generation()).card_channel_id not in (None, scene.channel.id)
    assert not [call for call in by_the_bot_itself(scene) if str(scene.channel.id) in call]


async def test_in_a_server_with_the_commands_alone_a_missing_permission_is_found_before_credits_are_held(
    scene: Scene,
) -> None:
    scene.completer.change = lambda payload: payload.update(app_permissions=str(discord.Permissions().value))
    refusal = private_words(await scene.imagine())
    assert "Attach Files" in refusal and "View Channel" not in refusal and "Send Messages" not in refusal
    assert (await scene.balance(scene.alice)).held == 0


async def test_where_the_bots_own_token_is_refused_the_ping_uses_the_interactions_token(scene: Scene) -> None:
    """As in a private thread without the bot; the event does not show it."""
    scene.completer.change = private_thread
    refuse_the_bot(scene)
    await scene.services.people.change(scene.alice.id, ping=Ping.ALWAYS)
    await scene.imagine()
    await arrives(scene)
    assert follow_up_texts(scene) == [f"<@{scene.alice.id}> your image is ready."]
    assert not (await scene.only_generation()).origin.bot_in_channel
    tried = by_the_bot_itself(scene)
    await scene.imagine()
    await arrives(scene)
    assert len(follow_up_texts(scene)) == 2 and by_the_bot_itself(scene) == tried  # noted after the first refusal


async def test_in_a_token_only_channel_a_late_image_is_announced_also_by_a_restarted_bot(scene: Scene) -> None:
    refuse_the_bot(scene)
    result = await scene.imagine()
    scene.service.on_poll = [RUNNING_TASK] * 500
    for _ in range(14 * 4):
        await scene.step()
        await scene.env.advance_time(15)
    assert result.response is not None and LEAVING in words(result.response)
    assert [call.split()[0] for call in by_the_bot_itself(scene)] == ["PATCH"]
    await scene.restart()
    scene.service.on_poll.clear()
    await scene.env.advance_time(60)
    for _ in range(6):
        await scene.step()
        await scene.env.advance_time(10)
    assert (await scene.only_generation()).card_channel_id not in (None, scene.channel.id)
    assert [call.split()[0] for call in by_the_bot_itself(scene) if str(scene.channel.id) in call] == ["PATCH"]


async def test_in_a_token_only_channel_a_second_card_uses_the_token_also_after_a_restart(scene: Scene) -> None:
    refuse_the_bot(scene)
    await scene.imagine()
    await scene.bob.slash(scene.channel, "imagine", prompt="a quiet room")
    scene.service.on_poll = [RUNNING_TASK] * 500
    for _ in range(14 * 4):
        await scene.step()
        await scene.env.advance_time(15)
    assert len(by_the_bot_itself(scene)) == 1
    await scene.restart()
    scene.service.on_poll.clear()
    await scene.env.advance_time(60)
    for _ in range(6):
        await scene.step()
        await scene.env.advance_time(10)
    assert [image.state for image in (await scene.only_generation()).images] == [State.DELIVERED]
    assert len([call for call in by_the_bot_itself(scene) if str(scene.channel.id) in call]) == 1


async def test_in_a_token_only_channel_a_restarted_bot_starts_token_only_until_it_may_post(
    scene: Scene,
) -> None:
    scene.completer.change = private_thread
    refuse_the_bot(scene)
    await scene.services.people.change(scene.alice.id, ping=Ping.ALWAYS)
    await scene.imagine()
    await arrives(scene)
    tried = by_the_bot_itself(scene)
    assert tried
    await scene.restart()
    await scene.imagine()
    await arrives(scene)
    assert by_the_bot_itself(scene) == tried

    def sees_every_thread(payload: dict[str, Any]) -> None:
        private_thread(payload)
        payload["app_permissions"] = str(
            int(payload["app_permissions"]) | discord.Permissions(manage_threads=True).value
        )

    scene.completer.change = sees_every_thread
    await scene.imagine()
    assert (await scene.only_generation()).origin.bot_in_channel
    await arrives(scene)
    assert len(by_the_bot_itself(scene)) == len(tried) + 1


async def test_a_refused_bot_token_makes_no_channel_token_only(scene: Scene) -> None:
    scene.env.inject_error("POST", "/channels/*/messages", status=401, code=0, times=9)
    await scene.services.people.change(scene.alice.id, ping=Ping.ALWAYS)
    await scene.imagine()
    await arrives(scene)
    assert follow_up_texts(scene) == [f"<@{scene.alice.id}> your image is ready."]
    assert (await scene.only_generation()).origin.bot_in_channel


def follow_up_texts(scene: Scene) -> list[str]:
    calls = [c for c in scene.env.http_requests if c.method == "POST" and c.path.startswith("/webhooks/")]
    return [(call.json or {})["content"] for call in calls]


async def test_an_image_is_posted_in_an_age_restricted_channel(scene: Scene) -> None:
    scene.completer.change = lambda payload: payload["channel"].update(nsfw=True)
    await scene.imagine()
    await arrives(scene)


async def test_in_a_thread_only_send_messages_in_threads_counts(scene: Scene) -> None:
    """Discord docs: Threads, "SEND_MESSAGES has no effect in threads"."""
    may = discord.Permissions(view_channel=True, attach_files=True, send_messages_in_threads=True)
    scene.completer.change = lambda payload: payload.update(app_permissions=str(may.value))
    thread = thread_in(scene, scene.channel)
    result = await scene.alice.slash(thread, "imagine", prompt="a quiet room")
    assert result.response is not None and "5 credits held" in words(result.response)


async def refused_gallery(scene: Scene, **options: Any) -> simcord.InteractionResult:
    """An image that Discord refuses on its card."""
    result = await scene.imagine(**options)
    await scene.step()
    await scene.env.advance_time(10)
    scene.env.inject_error("PATCH", "/webhooks/*/messages/*", status=400, code=50035)
    await scene.step()
    return result


@pytest.mark.parametrize("minutes", [1, 15])
async def test_where_only_the_token_reaches_delete_takes_a_follow_up_away_while_the_token_lives(
    scene: Scene, minutes: int
) -> None:
    scene.completer.change = commands_only
    await refused_gallery(scene)
    card, posted = scene.posts()
    assert posted.attachments and f"/{posted.id}" in words(card)
    assert by_the_bot_itself(scene) == []
    await scene.env.advance_time(minutes * 60)
    question = await scene.alice.click(card, label="Delete")
    assert question.followups
    await scene.alice.click(question.followups[-1], label="Delete")
    left = [message.id for message in scene.posts()]
    assert left == ([] if minutes == 1 else [posted.id])
    said = [request.json for request in scene.env.http_requests if request.path.endswith("/@original")][-1]
    assert (f"/{posted.id}" in str(said)) is (minutes == 15)
