"""A card that was taken away or moved: who may, and what the rows still say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from generations import records
from generations.errors import NotThere, NotYours
from generations.model import Request
from generations.records import history
from generations.records.tables import generations
from tests.contract.world import CHANNEL, GUILD, MIRA, OTTO, World, origin

HERE = (GUILD, CHANNEL)


async def links(world: World) -> dict[str, tuple[int | None, int, int]]:
    async with world.database.transaction() as tx:
        return dict(await records.links(tx, ["1-0", "2-0"]))


async def test_nothing_links_to_a_removed_card_and_a_second_time_changes_nothing(world: World) -> None:
    await world.ask(1)
    await world.ask(2)
    for _ in range(2):
        await world.generations.removed(1)
    assert await links(world) == {"2-0": (GUILD, CHANNEL, 9002)}
    async with world.database.transaction() as tx:
        assert await history.removed_among(tx, [1, 2]) == {1}
    assert await world.numbers() == (40, 10)


async def test_nothing_links_to_a_channel_that_is_not_known(world: World) -> None:
    await world.generations.request(Request("a lighthouse"), replace(origin(1), channel_id=0))
    await world.generations.confirm_card(1, 9001)
    assert await links(world) == {}


@pytest.mark.parametrize(("message_id", "linked"), [(55, True), (9001, False), (None, False)])
async def test_only_a_new_message_brings_the_link_back(world: World, message_id: int | None, linked: bool) -> None:
    await world.ask(1)
    await world.generations.removed(1)
    async with world.database.transaction() as tx:
        await records.mark_published(tx, 1, 0, 1, message_id=message_id, channel_id=None)
    assert await links(world) == ({"1-0": (GUILD, CHANNEL, message_id)} if linked else {})


async def test_what_never_was_is_not_there(world: World) -> None:
    with pytest.raises(NotThere):
        await world.generations.find(404, user_id=MIRA)


async def test_a_private_generation_is_there_for_its_requester_alone(world: World) -> None:
    made = await world.ask(1, private=True)
    assert await world.generations.find(1, user_id=MIRA) == made
    for may_manage in (False, True):
        with pytest.raises(NotThere):
            await world.generations.find_removable(1, user_id=OTTO, may_manage=may_manage, pressed_in=HERE)


async def test_a_card_may_be_removed_by_its_requester_and_by_a_moderator_where_it_stands(world: World) -> None:
    made = await world.ask(1)
    assert await world.generations.find_removable(1, user_id=MIRA, may_manage=False) == made
    assert await world.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=HERE) == made
    with pytest.raises(NotYours) as caught:
        await world.generations.find_removable(1, user_id=OTTO, may_manage=False, pressed_in=HERE)
    assert caught.value.owner_id == MIRA


@pytest.mark.parametrize(("message_id", "kept"), [(55, (None, None)), (9001, (7, "a.png")), (None, (7, "a.png"))])
async def test_a_card_that_moves_to_another_message_leaves_its_images_behind_but_not_its_links(
    world: World, message_id: int | None, kept: tuple[int | None, str | None]
) -> None:
    made = await world.ask(1, count=2)
    async with world.database.transaction() as tx:
        await records.update_image(tx, made.images[0], fence=None, attachment_id=7, file_name="a.png")
        await records.update_image(tx, made.images[1], fence=None, file_name="")
        await records.mark_published(tx, 1, 0, 1, message_id=message_id, channel_id=None)
    image_file, link = (await world.load(1)).images
    assert (image_file.attachment_id, image_file.file_name) == kept
    assert link.file_name == ""


@pytest.mark.parametrize("elsewhere", [None, (GUILD, CHANNEL + 1), (GUILD + 1, CHANNEL)])
async def test_a_moderator_of_another_place_may_not_remove_it(world: World, elsewhere: tuple[int, int] | None) -> None:
    await world.ask(1)
    with pytest.raises(NotYours):
        await world.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=elsewhere)


async def test_in_the_requesters_direct_messages_no_moderator_may_remove_it(world: World) -> None:
    await world.ask(1)
    async with world.database.transaction() as tx:
        await tx.execute(update(generations).values(card_channel_id=999))
    with pytest.raises(NotYours):
        await world.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=HERE)
    assert await world.generations.find_removable(1, user_id=MIRA, may_manage=False)
