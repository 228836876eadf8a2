"""/imagine that is refused: a private sentence, and no credits are held."""

from __future__ import annotations

import re
from typing import Any

import discord
import pytest

from credits.allowance import CreditPeriod
from limits.model import Actor
from tests.cogs.scene import Scene, private_words, words

MIDNIGHT = 1_767_312_000  # the virtual Discord's first day is 2026-01-01 UTC


async def nothing_held(scene: Scene) -> bool:
    balance = await scene.balance(scene.alice)
    return (balance.available, balance.held) == (balance.allowance, 0) and scene.posts() == []


async def test_the_eleventh_image_is_refused_with_the_time_of_the_refill(scene: Scene) -> None:
    for count in (4, 4, 2):
        await scene.imagine(count=count)
    result = await scene.imagine()
    text = private_words(result)
    assert "needs 5 credits and you have 0" in text and "50 more are held" in text
    assert "Nothing was charged." in text and f"<t:{MIDNIGHT}:R>" in text
    assert len(scene.posts()) == 3


@pytest.mark.scene(allowance=5, period=CreditPeriod.NEVER)
async def test_a_refusal_for_credits_that_are_given_once_promises_no_refill(scene: Scene) -> None:
    await scene.imagine()
    text = private_words(await scene.imagine())
    assert "not refilled" in text and "<t:" not in text


async def test_four_images_with_credits_for_two_hold_nothing(scene: Scene) -> None:
    for count in (4, 4):
        await scene.imagine(count=count)
    text = private_words(await scene.imagine(count=4))
    assert "needs 20 credits and you have 10" in text and "enough for 2 images" in text
    assert (await scene.balance(scene.alice)).available == 10


async def test_a_refill_counts_what_is_held_so_that_all_credits_in_flight_still_refuse(scene: Scene) -> None:
    for count in (4, 4, 2):
        await scene.imagine(count=count)
    await scene.env.advance_time(24 * 3600 + 1)
    assert "needs 5 credits and you have 0" in private_words(await scene.imagine())


@pytest.mark.scene(max_queue=0, allowance=1000)
async def test_a_full_line_refuses_and_names_a_time(scene: Scene) -> None:
    refused = None
    for _ in range(10):
        result = await scene.imagine(count=4)
        if result.response is not None and result.response.ephemeral:
            refused = private_words(result)
            break
    assert refused is not None and "line is full" in refused and "Nothing was charged." in refused


async def test_imagine_is_refused_while_the_bot_stops(scene: Scene) -> None:
    scene.services.generations.drain()
    assert "restarting" in private_words(await scene.imagine())
    assert await nothing_held(scene)


@pytest.mark.parametrize(
    ("denied", "name"),
    [
        ({"attach_files": False}, "Attach Files"),
        ({"send_messages": False}, "Send Messages"),
        ({"attach_files": False, "send_messages": False}, "Attach Files and Send Messages"),
    ],
)
async def test_without_a_permission_imagine_is_refused_and_nothing_is_held(
    scene: Scene, denied: dict[str, bool], name: str
) -> None:
    assert scene.bot.user is not None
    overwrites: Any = {scene.bot.user: discord.PermissionOverwrite(**denied)}
    channel = scene.guild.create_text_channel("locked", overwrites=overwrites)
    text = private_words(await scene.alice.slash(channel, "imagine", prompt="a door"))
    assert name in text and "Nothing was charged." in text and "manage this channel" in text
    assert await nothing_held(scene)


async def test_a_private_image_needs_no_permission_to_send_messages(scene: Scene) -> None:
    assert scene.bot.user is not None
    overwrites: Any = {scene.bot.user: discord.PermissionOverwrite(send_messages=False, view_channel=False)}
    channel = scene.guild.create_text_channel("listening", overwrites=overwrites)
    result = await scene.alice.slash(channel, "imagine", prompt="a door", private=True)
    assert result.response is not None and "5 credits held" in words(result.response)


async def test_for_a_user_install_the_persons_permission_decides(scene: Scene) -> None:
    scene.completer.user_install = True
    scene.completer.change = lambda payload: payload.update(
        app_permissions=str(discord.Permissions(attach_files=True).value)
    )
    result = await scene.imagine()
    assert result.response is not None and "5 credits held" in words(result.response)


async def test_in_a_thread_send_messages_in_threads_decides(scene: Scene) -> None:
    def in_thread(payload: dict[str, Any]) -> None:
        payload["channel"] = {
            "id": payload["channel_id"],
            "type": 11,
            "guild_id": payload["guild_id"],
            "parent_id": "1",
            "owner_id": "2",
            "name": "a thread",
            "member_count": 1,
            "message_count": 0,
            "rate_limit_per_user": 0,
            "flags": 0,
            "thread_metadata": {
                "archived": False,
                "auto_archive_duration": 60,
                "archive_timestamp": "2026-01-01T00:00:00+00:00",
                "locked": False,
            },
        }
        granted = discord.Permissions(view_channel=True, attach_files=True, send_messages=True)
        payload["app_permissions"] = str(granted.value)

    scene.completer.change = in_thread
    assert "Send Messages in Threads" in private_words(await scene.imagine())
    assert await nothing_held(scene)


def with_option(name: str, value: object) -> Any:
    def change(payload: dict[str, Any]) -> None:
        kept = [part for part in payload["data"]["options"] if part["name"] != name]
        kind = 3 if isinstance(value, str) else 4
        payload["data"]["options"] = [*kept, {"name": name, "type": kind, "value": value}]

    return change


async def test_a_value_out_of_range_is_refused_with_a_sentence(scene: Scene) -> None:
    values = {
        "seed": (-5, 2**31),
        "count": (0, 5),
        "prompt": ("", "x" * 2001, "half \ud800 a character"),
        "size": ("9*9",),
        "format": ("gif",),
    }
    for name, value in ((name, value) for name, of_one in values.items() for value in of_one):
        scene.completer.change = with_option(name, value)
        text = private_words(await scene.imagine())
        assert "Nothing was charged." in text and re.match(r"[A-Z].*\.$", text), (name, value, text)
        assert await nothing_held(scene), (name, value)


async def test_a_command_that_the_bot_no_longer_has_is_refused_with_a_sentence(scene: Scene) -> None:
    scene.completer.change = lambda payload: payload["data"].update(name="imagine-old")
    assert "changed" in private_words(await scene.imagine())


async def test_a_command_without_its_required_option_is_refused_with_a_sentence(scene: Scene) -> None:
    scene.completer.change = lambda payload: payload["data"].update(options=[])
    assert "changed" in private_words(await scene.imagine())


@pytest.mark.parametrize("kind", [2, 13], ids=["voice", "stage"])
async def test_in_the_chat_of_a_voice_channel_connect_is_needed(scene: Scene, kind: int) -> None:
    def in_voice_channel(payload: dict[str, Any]) -> None:
        payload["channel"] = {
            **{"id": payload["channel_id"], "type": kind, "name": "lounge", "guild_id": payload["guild_id"]},
            **{"position": 0, "permission_overwrites": [], "bitrate": 64000, "user_limit": 0, "nsfw": False},
        }
        granted = discord.Permissions(view_channel=True, attach_files=True, send_messages=True)
        payload["app_permissions"] = str(granted.value)

    scene.completer.change = in_voice_channel
    assert "Connect" in private_words(await scene.imagine())
    assert await nothing_held(scene)


async def test_what_a_servers_admins_paused_is_refused_privately_and_holds_nothing(scene: Scene) -> None:
    first = await scene.imagine()
    guild_id = scene.guild.id
    await scene.services.limits.pause_here(Actor(1, 1, guild_id), "a contest")
    assert private_words(await scene.imagine()) == (
        "Images are paused in this server by its admins: a contest. Nothing was charged."
    )
    assert first.response is not None and len(scene.posts()) == 1
    assert (await scene.balance(scene.alice)).held == 5


@pytest.mark.scene(support_url="https://help.example")
async def test_what_only_the_bots_owner_can_take_back_says_where_to_ask(scene: Scene) -> None:
    assert scene.guild is not None
    asks = "Questions: <https://help.example>"
    await scene.services.limits.pause_everywhere(Actor(1, 1, None), "repairs")
    assert private_words(await scene.imagine()).endswith(asks)
    await scene.services.limits.resume_everywhere(Actor(1, 2, None))
    await scene.services.limits.block_everywhere(Actor(1, 3, None), scene.alice.id, "spam", None)
    assert private_words(await scene.imagine()).endswith(asks)
    await scene.services.limits.unblock_everywhere(Actor(1, 4, None), scene.alice.id)
    await scene.services.limits.pause_here(Actor(1, 5, scene.guild.id), "a contest")
    assert asks not in private_words(await scene.imagine())
