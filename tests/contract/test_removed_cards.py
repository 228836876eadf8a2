"""Removed and moved cards: who may remove them, and their rows afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from generations import records
from generations.errors import NotThere, NotYours
from generations.model import Request
from generations.records import history
from generations.records.tables import generations
from store.transactions import Transaction
from tests.contract.harness import CHANNEL, GUILD, MIRA, OTTO, Harness, origin

HERE = (GUILD, CHANNEL)


async def links(harness: Harness) -> dict[str, tuple[int | None, int, int]]:
    return dict(await harness.database.run(records.links, ["1-0", "2-0"]))


async def test_nothing_links_to_a_removed_card_and_a_second_time_changes_nothing(harness: Harness) -> None:
    await harness.ask(1)
    await harness.ask(2)
    for _ in range(2):
        await harness.generations.removed(1)
    assert await links(harness) == {"2-0": (GUILD, CHANNEL, 9002)}
    assert await harness.database.run(history.removed_among, [1, 2]) == {1}
    assert await harness.numbers() == (40, 10)


async def test_a_card_in_an_unknown_channel_is_not_linked(harness: Harness) -> None:
    await harness.request(Request("a lighthouse"), replace(origin(1), channel_id=0))
    await harness.generations.confirm_card(1, 9001)
    assert await links(harness) == {}


@pytest.mark.parametrize(("message_id", "linked"), [(55, True), (9001, False), (None, False)])
async def test_only_a_new_message_brings_the_link_back(harness: Harness, message_id: int | None, linked: bool) -> None:
    await harness.ask(1)
    await harness.generations.removed(1)
    await harness.database.run(records.mark_published, 1, 0, 1, message_id=message_id, channel_id=None)
    assert await links(harness) == ({"1-0": (GUILD, CHANNEL, message_id)} if linked else {})


async def test_an_unknown_generation_is_not_there(harness: Harness) -> None:
    with pytest.raises(NotThere):
        await harness.generations.find(404, user_id=MIRA)


async def test_a_private_generation_exists_for_its_requester_alone(harness: Harness) -> None:
    made = await harness.ask(1, private=True)
    assert await harness.generations.find(1, user_id=MIRA) == made
    for may_manage in (False, True):
        with pytest.raises(NotThere):
            await harness.generations.find_removable(1, user_id=OTTO, may_manage=may_manage, pressed_in=HERE)


async def test_a_card_may_be_removed_by_its_requester_and_by_a_moderator_of_its_channel(harness: Harness) -> None:
    made = await harness.ask(1)
    assert await harness.generations.find_removable(1, user_id=MIRA, may_manage=False) == made
    assert await harness.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=HERE) == made
    with pytest.raises(NotYours) as caught:
        await harness.generations.find_removable(1, user_id=OTTO, may_manage=False, pressed_in=HERE)
    assert caught.value.owner_id == MIRA


@pytest.mark.parametrize(("message_id", "kept"), [(55, (None, None)), (9001, (7, "a.png")), (None, (7, "a.png"))])
async def test_a_card_that_moves_to_another_message_drops_attachment_ids_and_keeps_links(
    harness: Harness, message_id: int | None, kept: tuple[int | None, str | None]
) -> None:
    made = await harness.ask(1, count=2)
    await harness.database.run(records.update_image, made.images[0], fence=None, attachment_id=7, file_name="a.png")
    await harness.database.run(records.update_image, made.images[1], fence=None, file_name="")
    await harness.database.run(records.mark_published, 1, 0, 1, message_id=message_id, channel_id=None)
    image_file, link = (await harness.load(1)).images
    assert (image_file.attachment_id, image_file.file_name) == kept
    assert link.file_name == ""


async def test_a_moderator_of_another_place_may_not_remove_it(harness: Harness) -> None:
    await harness.ask(1)
    for elsewhere in (None, (GUILD, CHANNEL + 1), (GUILD + 1, CHANNEL)):
        with pytest.raises(NotYours):
            await harness.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=elsewhere)


async def test_in_the_requesters_direct_messages_no_moderator_may_remove_it(harness: Harness) -> None:
    await harness.ask(1)
    await harness.database.run(Transaction.execute, update(generations).values(card_channel_id=999))
    with pytest.raises(NotYours):
        await harness.generations.find_removable(1, user_id=OTTO, may_manage=True, pressed_in=HERE)
    assert await harness.generations.find_removable(1, user_id=MIRA, may_manage=False)
