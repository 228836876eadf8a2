"""DiscordDelivery where no answer has attachment ids: every posted image stays on its card."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from generations.delivery_result import DeliveryResult, Place
from generations.model import Generation, State
from tests.integration.delivery_scene import CARD, NOTHING, READY, Scene, a_scene, generation, image, image_file
from ui.delivery.cards import DiscordDelivery
from ui.delivery.progress_interval import PROGRESS_SECONDS
from ui.interactions.buttons import card_buttons


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        made.rest.tells_no_ids = True
        yield made


async def one_by_one(
    scene: Scene, count: int, *, restarts: bool = False, token: str | None = None
) -> list[DeliveryResult]:
    """Publish so many images one by one, each noted in the rows as the worker does it."""
    origin = None if token is None else {"token": token}
    images = [image(State.RUNNING, position) for position in range(count)]
    outcomes: list[DeliveryResult] = []
    made: Generation | None = None
    for position in range(count):
        images[position] = image(State.SUCCEEDED, position, **READY)
        made = generation(*images, revision=position + 1, origin=origin, message_id=made.message_id if made else CARD)
        shown = await scene.delivery.publish(made, NOTHING, {position: image_file(position)})
        images[position] = replace(
            images[position],
            state=State.DELIVERED,
            attachment_id=shown.attachments.get(position),
            file_name=shown.file_names.get(position),
        )
        if shown.message_id != made.message_id:  # the earlier message's attachments are not on this one
            images[:position] = [replace(each, attachment_id=None, file_name=None) for each in images[:position]]
        made = replace(made, message_id=shown.message_id)
        outcomes.append(shown)
        if restarts:
            scene.delivery = DiscordDelivery(scene.client, scene.clock, buttons=card_buttons)
    return outcomes


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_each_image_is_added_without_a_list_of_attachments(
    scene: Scene, count: int, restarts: bool, token: str | None
) -> None:
    outcomes = await one_by_one(scene, count, restarts=restarts, token=token)
    assert [shown.place for shown in outcomes] == [Place.CARD] * count
    assert len(scene.card_names()) == count
    assert all("attachments" not in call.body for call in scene.rest.edits()[1:])
    assert str(scene.rest.messages[CARD]["components"]).count("attachment://") == count


async def test_progress_between_two_images_leaves_the_first_one_where_it_is(scene: Scene) -> None:
    shown = await scene.delivery.publish(
        made := generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1)), NOTHING, {0: image_file(0)}
    )
    delivered = replace(made.images[0], state=State.DELIVERED, file_name=shown.file_names[0])
    scene.delivery.publish_progress(replace(made, images=(delivered, made.images[1])), NOTHING)
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.edited(2)
    assert "attachments" not in scene.rest.edits()[-1].body
    assert len(scene.card_names()) == 1
    assert "attachment://" in str(scene.rest.messages[CARD]["components"])


@pytest.mark.parametrize("restarts", [False, True])
async def test_if_earlier_images_can_not_be_named_the_next_one_gets_a_separate_message(
    scene: Scene, restarts: bool
) -> None:
    scene.rest.resolves_kept = False
    first, second, third = await one_by_one(scene, 3, restarts=restarts)
    assert (first.place, second.place, third.place) == (Place.CARD, Place.CHANNEL, Place.CHANNEL)
    assert "42.png" in scene.card_names()[0] and "attachment://" in str(scene.rest.messages[CARD]["components"])
    posted = [len(message["attachments"]) for number, message in scene.rest.messages.items() if number != CARD]
    assert posted == [1, 1]
