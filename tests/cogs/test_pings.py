"""The ping: when, whom, how often, and in which channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import discord
import pytest
from sqlalchemy import Connection, text

from generations.model import State
from people.model import Ping
from qwen.models import TaskStatus
from tests.cogs.scene import Scene
from tests.doubles import RUNNING_TASK, task


def pings(scene: Scene) -> list[discord.Message]:
    return [message for message in scene.channel.history() if message.content.endswith("ready.")]


async def set_ping(scene: Scene, ping: Ping) -> None:
    await scene.services.people.change(scene.alice.id, ping=ping)


async def work(scene: Scene, seconds: int) -> None:
    """Let time pass with steps of the worker."""
    for _ in range(seconds // 5):
        await scene.step()
        await scene.env.advance_time(5)
    await scene.step()


async def made(scene: Scene, seconds: int, **options: Any) -> None:
    """Have Alice make images that take *seconds*."""
    await scene.imagine(**options)
    scene.service.on_poll = [RUNNING_TASK] * (seconds // 5 * options.get("count", 1))
    await work(scene, seconds + 30)
    assert {image.state for image in (await scene.only_generation()).images} == {State.DELIVERED}


def sent(scene: Scene) -> list[dict[str, Any]]:
    """Return the bodies of the messages that the bot posted with its own token."""
    return [
        request.json or {}
        for request in scene.env.http_requests
        if request.method == "POST" and request.path.endswith("/messages")
    ]


async def test_after_a_slow_image_one_reply_mentions_the_requester_alone(scene: Scene) -> None:
    await made(scene, 40)
    (ping,) = pings(scene)
    generation = await scene.only_generation()
    assert ping.content == f"<@{scene.alice.id}> your image is ready."
    assert ping.reference is not None and ping.reference.message_id == generation.message_id
    (body,) = sent(scene)
    assert body["allowed_mentions"] == {"parse": [], "users": [scene.alice.id]}  # so not the replied-to author either
    assert body["message_reference"]["fail_if_not_exists"] is False
    assert (body["nonce"], body["enforce_nonce"]) == (f"{generation.id}-p", True)
    assert len(body["nonce"]) <= 25


async def test_a_quick_image_pings_nobody(scene: Scene) -> None:
    await made(scene, 0)
    assert pings(scene) == []


@pytest.mark.parametrize(
    ("ping", "seconds", "expected"), [(Ping.ALWAYS, 0, 1), (Ping.NEVER, 60, 0), (Ping.SLOW, 60, 1)]
)
async def test_the_ping_follows_the_preference(scene: Scene, ping: Ping, seconds: int, expected: int) -> None:
    await set_ping(scene, ping)
    await made(scene, seconds)
    assert len(pings(scene)) == expected


async def test_a_private_image_pings_nobody(scene: Scene) -> None:
    await set_ping(scene, Ping.ALWAYS)
    await made(scene, 60, private=True)
    assert sent(scene) == []
    assert scene.posts() == []


async def test_four_images_ping_once_after_the_last(scene: Scene) -> None:
    await made(scene, 40, count=3)
    (ping,) = pings(scene)
    assert ping.content == f"<@{scene.alice.id}> your 3 images are ready."


async def test_nobody_is_pinged_for_a_prompt_that_was_declined(scene: Scene) -> None:
    await set_ping(scene, Ping.ALWAYS)
    await scene.imagine()
    scene.service.on_poll = [*[RUNNING_TASK] * 8, task(TaskStatus.FAILED, error="Content policy violation detected")]
    await work(scene, 90)
    assert (await scene.only_generation()).finished
    assert pings(scene) == []


async def publish_again(scene: Scene) -> None:
    """Have a new process publish the card once more, as after a stale edit."""
    await scene.restart()
    await scene.database.real.run(
        Connection.execute, text("UPDATE generations SET revision = revision + 1, due_at_ms = 0")
    )
    assert await scene.step() == 1
    assert not (await scene.only_generation()).is_unpublished


async def test_a_ping_is_sent_once_also_if_the_card_is_published_again(scene: Scene) -> None:
    await made(scene, 40)
    await publish_again(scene)
    await publish_again(scene)
    assert len(pings(scene)) == 1


async def test_a_decision_against_a_ping_is_kept(scene: Scene) -> None:
    await set_ping(scene, Ping.NEVER)
    await made(scene, 40)
    await set_ping(scene, Ping.ALWAYS)
    await publish_again(scene)
    assert pings(scene) == []


async def test_a_ping_that_discord_refuses_is_not_repeated_and_the_image_stays_paid(scene: Scene) -> None:
    scene.env.inject_error("POST", "/channels/*/messages", status=400, code=50035)
    await made(scene, 40)
    assert pings(scene) == []
    assert (await scene.balance(scene.alice)).available == 45
    await work(scene, 60)
    assert len(sent(scene)) == 1


@pytest.mark.parametrize("status", [400, 403])  # 403: as public reports have it
async def test_without_read_message_history_the_ping_links_to_the_card_instead_of_replying(
    scene: Scene, status: int
) -> None:
    scene.env.inject_error("POST", "/channels/*/messages", status=status, code=160002)
    await made(scene, 40)
    generation = await scene.only_generation()
    last = scene.posts()[-1] if scene.posts()[-1].content else scene.posts()[0]
    assert f"channels/{scene.guild.id}/{scene.channel.id}/{generation.message_id}" in last.content
    assert "message_reference" not in sent(scene)[-1]


async def test_for_a_user_install_the_ping_is_one_follow_up(scene: Scene) -> None:
    scene.completer.user_install = True
    await made(scene, 40)
    assert sent(scene) == []
    (follow_up,) = follow_ups(scene)
    body = follow_up.json
    assert body["content"] == f"<@{scene.alice.id}> your image is ready."
    assert body["allowed_mentions"]["users"] == [scene.alice.id]
    assert not body.get("flags", 0) & discord.MessageFlags(ephemeral=True).value


def follow_ups(scene: Scene) -> list[Any]:
    return [
        request
        for request in scene.env.http_requests
        if request.method == "POST" and request.path.startswith("/webhooks/")
    ]


@pytest.mark.parametrize(("age_seconds", "expected"), [(14 * 60, 1), (15 * 60, 0)])
async def test_for_a_user_install_no_ping_is_sent_after_the_token_has_run_out(
    scene: Scene, age_seconds: int, expected: int
) -> None:
    scene.completer.user_install = True
    await scene.imagine()
    origin = (await scene.only_generation()).origin
    await work(scene, 20)
    await scene.env.advance_time(age_seconds - 25)
    with scene.env.time_context():
        scene.services.senders.pings.send(replace(await scene.only_generation(), origin=origin))
    await scene.env.settle()
    assert len(follow_ups(scene)) == expected
    assert sent(scene) == []


async def test_in_the_bots_dm_the_ping_is_a_reply(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    await carol.slash("imagine", prompt="a quiet room")
    scene.service.on_poll = [RUNNING_TASK] * 8
    await work(scene, 80)
    (body,) = sent(scene)
    assert body["content"] == f"<@{carol.id}> your image is ready."
