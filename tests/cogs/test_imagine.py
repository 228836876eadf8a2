"""/imagine without faults: the first response is the card, and the request is in the database before it is sent."""

from __future__ import annotations

from typing import Any

import discord
import pytest

from generations.model import Ending, State
from qwen.models import OutputFormat, Size
from tests.cogs.scene import Scene, words


def callbacks(scene: Scene) -> list[dict[str, Any]]:
    """Return the bodies of the first responses that the bot sent."""
    return [request.json or {} for request in scene.env.http_requests if request.path.endswith("/callback")]


async def test_the_first_response_is_the_card(scene: Scene) -> None:
    result = await scene.imagine(seed=42, size="1024*1536", format="png")
    assert not result.deferred and result.response is not None and not result.response.ephemeral
    text = words(result.response)
    assert "a lighthouse in a storm" in text
    assert "1024×1536 · seed 42 · png · 5 credits held" in text
    assert f"for <@{scene.alice.id}>" in text
    assert len(scene.posts()) == 1


async def test_the_row_has_all_options_and_the_origin(scene: Scene) -> None:
    result = await scene.imagine(
        "a red bicycle", size="1536*1024", seed=7, format="webp", count=2, private=True, spoiler=True
    )
    generation = await scene.only_generation()
    request, origin = generation.request, generation.origin
    assert (request.prompt, request.size, request.seed) == ("a red bicycle", Size.LANDSCAPE, 7)
    assert (request.format, request.count) == (OutputFormat.WEBP, 2)
    assert request.private and request.spoiler
    assert result.response is not None and generation.message_id == result.response.id
    assert (origin.user_id, origin.channel_id, origin.guild_id) == (
        scene.alice.id,
        scene.channel.id,
        scene.guild.id,
    )
    assert origin.bot_in_channel and origin.attachment_size_limit == 26_214_400 and origin.token


async def test_the_credits_are_held_and_not_settled(scene: Scene) -> None:
    await scene.imagine(count=4)
    balance = await scene.balance(scene.alice)
    assert (balance.available, balance.held) == (30, 20)


async def test_four_images_have_one_card_and_consecutive_seeds(scene: Scene) -> None:
    result = await scene.imagine(seed=42, count=4)
    assert result.response is not None and "seeds 42–45" in words(result.response)
    assert [image.seed for image in (await scene.only_generation()).images] == [42, 43, 44, 45]


@pytest.mark.parametrize("options", [{}, {"seed": -1}])
async def test_a_seed_that_was_left_out_is_drawn_and_on_the_card(scene: Scene, options: dict[str, Any]) -> None:
    result = await scene.imagine(**options)
    seed = (await scene.only_generation()).request.seed
    assert seed >= 0 and result.response is not None and f"seed {seed}" in words(result.response)


async def test_two_seeds_that_were_left_out_differ(scene: Scene) -> None:
    await scene.imagine()
    first = (await scene.only_generation()).request.seed
    await scene.imagine()
    assert (await scene.only_generation()).request.seed != first


async def test_the_card_of_a_private_image_is_ephemeral(scene: Scene) -> None:
    result = await scene.imagine(private=True)
    assert result.response is not None and result.response.ephemeral
    assert scene.posts() == []


async def test_it_works_in_the_bots_dm(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    result = await carol.slash("imagine", prompt="a quiet room")
    assert result.response is not None and "a quiet room" in words(result.response)
    origin = (await scene.only_generation()).origin
    assert origin.guild_id is None and origin.bot_in_channel
    assert (await scene.balance(carol)).held == 5


async def test_a_user_install_works_in_a_server_without_the_bot(scene: Scene) -> None:
    scene.completer.user_install = True
    result = await scene.imagine()
    assert result.response is not None and "Sending" in words(result.response)
    assert not (await scene.only_generation()).origin.bot_in_channel


async def test_with_a_server_install_the_bot_is_in_the_channel(scene: Scene) -> None:
    scene.completer.change = lambda payload: payload.update(authorizing_integration_owners={})
    await scene.imagine()
    assert (await scene.only_generation()).origin.bot_in_channel


async def test_between_two_people_only_the_token_reaches_the_card(scene: Scene) -> None:
    def between_people(payload: dict[str, Any]) -> None:
        payload["context"] = 2
        payload["authorizing_integration_owners"] = {"1": payload["user"]["id"]}

    scene.completer.change = between_people
    await scene.env.create_user("dora").slash("imagine", prompt="a letter")
    assert not (await scene.only_generation()).origin.bot_in_channel


async def test_no_message_of_the_bot_can_ping(scene: Scene) -> None:
    await scene.imagine("@everyone look <@&1>", count=5 - 1)
    await scene.bob.slash(scene.channel, "credits")
    await scene.imagine("\n\n")
    assert len(callbacks(scene)) == 3
    for body in callbacks(scene):
        assert body["data"]["allowed_mentions"]["parse"] == []


HOSTILE = [
    "😀" * 2000,
    "\u202eesrever\u2066" * 100,
    "`````` ```py\nimport os``` `",
    "@everyone @here <@1> <@&2> <#3>",
    "[click](https://evil.example) https://evil.example <https://evil.example>",
    "\u200b\u200c\u200d\ufeff" * 50,
    "../../etc/passwd",
    "x",
    "Z" + "\u0335\u0321\u0347" * 600,
    "# big\n> quote\n-# small\n||spoiler|| <t:0:R> <:a:1> **bold",
    "\\" * 2000,
    "*" * 2000,
]


@pytest.mark.scene(allowance=20 * len(HOSTILE))
async def test_any_prompt_gives_a_card_within_discords_limits(scene: Scene) -> None:
    for prompt in HOSTILE:
        result = await scene.imagine(prompt, count=4)
        assert result.response is not None
        text = words(result.response)
        assert 0 < len(text) <= 4000, prompt
        assert "@everyone" not in text and "](https" not in text and "<@1>" not in text, prompt
        assert (await scene.only_generation()).request.prompt == prompt
        assert {user.id for user in result.response.message.mentions} <= {scene.alice.id}, prompt


@pytest.mark.parametrize("prompt", ["\n\n\n", "   ", "\t"])
async def test_an_empty_prompt_is_refused_and_costs_nothing(scene: Scene, prompt: str) -> None:
    result = await scene.imagine(prompt)
    assert result.response is not None and result.response.ephemeral
    assert "Nothing was charged." in words(result.response)
    assert (await scene.balance(scene.alice)).held == 0


async def test_a_request_leads_to_a_posted_image_and_a_settled_hold(scene: Scene) -> None:
    result = await scene.imagine(seed=42)
    assert result.response is not None
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    generation = await scene.only_generation()
    assert [image.state for image in generation.images] == [State.DELIVERED]
    assert len(scene.service.posts) == 1
    (post,) = scene.posts()
    assert post.id == result.response.id
    galleries = [part for part in _walk(post) if isinstance(part, discord.MediaGalleryComponent)]
    assert len(galleries) == 1 and len(galleries[0].items) == 1
    balance = await scene.balance(scene.alice)
    assert (balance.available, balance.held) == (45, 0)


async def test_after_a_crash_before_the_message_id_was_written_the_worker_finds_the_card(scene: Scene) -> None:
    """The image is still made, and posted in the same message."""
    scene.env.inject_error("POST", "/interactions/*/callback", status=500)
    await scene.imagine()
    assert (await scene.only_generation()).message_id is None
    await scene.env.advance_time(25)
    await scene.step()
    (image,) = (await scene.only_generation()).images
    assert (image.state, image.ending) == (State.CANCELLED, Ending.NOT_ANSWERED)
    assert (await scene.balance(scene.alice)).available == 50


def _walk(message: discord.Message) -> list[Any]:
    found: list[Any] = []
    todo = list(message.components)
    while todo:
        part = todo.pop()
        found.append(part)
        todo.extend(getattr(part, "children", []))
    return found
