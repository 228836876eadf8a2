"""Faults of other bots (docs/known-faults.md) that no other test of this folder shows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from generations.model import State
from limits.model import Actor
from store.tables import metadata
from tests.cogs.scene import Scene, private_words
from tests.cogs.test_buttons import finish, result
from tests.cogs.test_history import history, image_files
from ui.texts import owner as owner_texts


@pytest.mark.scene(allowance=5)
async def test_somebody_who_has_spent_everything_is_refilled_by_their_next_imagine(scene: Scene) -> None:
    await result(scene)
    assert "needs 5 credits and you have 0" in private_words(await scene.imagine())
    await scene.env.advance_time(24 * 3600)
    again = await scene.imagine()
    assert again.response is not None and not again.response.ephemeral
    assert (await scene.balance(scene.alice)).held == 5


async def test_blocks_of_a_server_and_of_the_bot_outlive_a_restart(scene: Scene) -> None:
    limits = scene.services.limits
    await limits.block_here(Actor(1, 1, scene.guild.id), scene.alice.id, "spam here", None)
    await limits.block_everywhere(Actor(1, 2, None), scene.bob.id, "spam everywhere", None)
    await scene.restart()
    assert "spam here" in private_words(await scene.imagine())
    refused = await scene.bob.slash(scene.channel, "imagine", prompt="a fox")
    assert "spam everywhere" in private_words(refused)
    assert scene.posts() == []


async def test_images_of_two_people_at_once_come_each_on_its_own_card(scene: Scene) -> None:
    first = await scene.imagine("a lighthouse", seed=11)
    first_id = scene.completer.command_id
    second = await scene.bob.slash(scene.channel, "imagine", prompt="a fox", seed=22)
    await scene.step()
    assert len(scene.service.posts) == 2, "both are being made"
    await finish(scene)
    made = [await scene.generation(number) for number in (first_id, scene.completer.command_id)]
    assert [image.state for each in made if each for image in each.images] == [State.DELIVERED] * 2
    cards = {message.id: message for message in scene.posts()}
    assert first.response is not None and second.response is not None
    for card, name in ((first.response, "a-lighthouse-11"), (second.response, "a-fox-22")):
        [address] = image_files(cards[card.id])
        assert name in address
    assert len(cards) == 2


async def test_no_address_of_discords_cdn_is_kept_and_history_asks_for_a_fresh_one_each_time(scene: Scene) -> None:
    """They expire after a day."""
    card = await result(scene)
    [address] = image_files(next(message for message in scene.posts() if message.id == card.id))

    def everything(tx: Any) -> str:
        return str([tx.execute(select(table)).all() for table in metadata.sorted_tables])

    kept = await scene.database.real.run(everything)
    host = address.split("/")[2]
    assert str(card.id) in kept and host not in kept
    asked = f"/channels/{scene.channel.id}/messages/{card.id}"
    for times in (1, 2):
        assert image_files((await history(scene)).response) == [address]
        calls = [call.path for call in scene.env.http_requests if call.method == "GET"]
        assert calls.count(asked) == times


@pytest.mark.parametrize("amount", [0.5, 5.0, "5", True])
async def test_a_fraction_of_a_credit_is_never_booked(scene: Scene, amount: object) -> None:
    olga = scene.env.create_user("olga")
    await scene.restart(owner_ids=(olga.id,))

    def change(payload: dict[str, Any]) -> None:
        for option in payload["data"]["options"][0]["options"]:
            if option["name"] == "amount":
                option["value"] = amount

    scene.completer.change = change
    said = private_words(await olga.slash("owner grant", user=scene.alice, amount=5, reason="x"))
    assert said == owner_texts.number_out_of_range("amount", 1, 1_000_000)
    assert (await scene.balance(scene.alice)).available == 50
