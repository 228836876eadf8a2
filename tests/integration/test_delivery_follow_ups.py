"""Token-only channels: an image that can't be put on its card comes in a follow-up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from generations.delivery_result import Place
from generations.errors import DeliveryDelayed, LostClaim
from generations.model import Generation, SeparateMessage, State
from tests.integration.delivery_scene import (
    APPLICATION,
    AS_BOT,
    BY_TOKEN,
    CHANNEL,
    DIRECT,
    FOLLOW_UP,
    GUILD,
    NOTHING,
    READY,
    TOKEN,
    USER,
    Scene,
    a_scene,
    declined,
    generation,
    image,
    image_file,
    ready,
)
from ui.delivery.card_state import CLOSED_SECONDS
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons

OUTSIDE: dict[str, Any] = {"origin": {"bot_in_channel": False}}
ARCHIVED, DELETED, REFUSED = (400, 50083), (404, 10008), (400, 50035)
EPHEMERAL, COMPONENTS_V2, SUPPRESS_EMBEDS = 64, 32768, 4


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


@pytest.mark.parametrize("why", [ARCHIVED, DELETED], ids=["archived", "deleted"])
async def test_where_the_card_can_not_be_edited_the_image_comes_in_a_new_card_by_the_token(
    scene: Scene, why: tuple[int, int]
) -> None:
    scene.rest.fault("PATCH", *why, times=9)
    shown = await scene.publish(ready(**OUTSIDE), 0)
    assert [call for call in scene.rest.tried() if call != BY_TOKEN] == [FOLLOW_UP]
    sent = next(call for call in scene.rest.calls if call.method == "POST")
    assert (shown.place, shown.channel_id, list(shown.attachments)) == (Place.FOLLOW_UP, CHANNEL, [0])
    assert sent.body["flags"] == COMPONENTS_V2 and sent.query["with_components"] == "1"
    assert sent.body["allowed_mentions"] == {"parse": []} and not sent.authorized
    assert list(sent.files.values()) == [b"image 0"]


async def test_that_card_is_edited_by_the_token_from_then_on_also_by_the_next_process(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED)
    first = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1), **OUTSIDE)
    moved = await scene.publish(first, 0)
    by_token = f"PATCH /webhooks/{APPLICATION}/{TOKEN}/messages/{moved.message_id}"
    posted = image(State.DELIVERED, 0, attachment_id=moved.attachments[0], file_name=moved.file_names[0], **READY)
    second = generation(posted, image(State.SUCCEEDED, 1, **READY), revision=2, message_id=moved.message_id, **OUTSIDE)
    scene.rest.calls.clear()
    assert (await scene.publish(second, 1)).place is Place.CARD
    restarted = DiscordDelivery(scene.client, scene.clock, buttons=card_buttons)
    assert (await restarted.publish(replace(second, revision=3), NOTHING, {1: image_file(1)})).place is Place.CARD
    assert scene.rest.tried() == [by_token, by_token]
    assert b"image 0" not in scene.rest.calls[-1].files.values()


async def test_progress_that_was_read_before_the_move_goes_to_the_new_card(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED)
    before = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1), **OUTSIDE)
    moved = await scene.publish(before, 0)
    scene.rest.calls.clear()
    scene.delivery.publish_progress(replace(before, revision=2), NOTHING)
    scene.clock.advance(5)
    await scene.edited(1)
    assert scene.rest.tried() == [f"PATCH /webhooks/{APPLICATION}/{TOKEN}/messages/{moved.message_id}"]


async def test_after_the_token_ends_such_a_card_is_followed_by_a_direct_message(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED)
    first = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1), **OUTSIDE)
    await scene.publish(first, 0)
    scene.clock.advance(15 * 60)
    scene.rest.calls.clear()
    second = generation(image(State.DELIVERED, 0, **READY), image(State.SUCCEEDED, 1, **READY), revision=2, **OUTSIDE)
    assert (await scene.publish(second, 1)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == DIRECT


async def test_a_refused_gallery_becomes_a_plain_follow_up_and_the_card_links_to_it(scene: Scene) -> None:
    scene.rest.fault("PATCH", *REFUSED)
    shown = await scene.publish(ready(**OUTSIDE), 0)
    assert scene.rest.tried() == [BY_TOKEN, FOLLOW_UP, BY_TOKEN]
    posted, noted = scene.rest.calls[-2:]
    [separate] = shown.separate.values()
    assert posted.body["flags"] == SUPPRESS_EMBEDS and f"for <@{USER}>" in posted.body["content"]
    assert separate.channel_id == CHANNEL and separate.message_id in scene.rest.messages
    assert f"https://discord.com/channels/{GUILD}/{CHANNEL}/{separate.message_id}" in str(noted.body["components"])
    assert (shown.place, shown.message_id) == (Place.FOLLOW_UP, ready().message_id)


async def test_the_follow_up_of_a_private_card_is_ephemeral_and_has_no_address(scene: Scene) -> None:
    scene.rest.fault("PATCH", *REFUSED)
    shown = await scene.publish(ready(private=True), 0)
    posted, noted = scene.rest.calls[-2:]
    assert posted.body["flags"] == SUPPRESS_EMBEDS | EPHEMERAL
    assert list(shown.separate) == [0]
    assert "Posted in a message of its own, below." in str(noted.body["components"])
    assert "discord.com/channels" not in str(noted.body["components"])


async def test_a_private_card_that_is_gone_is_followed_by_a_private_one(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED)
    assert (await scene.publish(ready(private=True), 0)).place is Place.FOLLOW_UP
    assert scene.rest.calls[-1].body["flags"] == COMPONENTS_V2 | EPHEMERAL


async def test_in_an_archived_thread_an_ending_without_an_image_comes_as_a_follow_up(scene: Scene) -> None:
    scene.rest.fault("PATCH", *ARCHIVED)
    assert (await scene.publish(declined(**OUTSIDE))).place is Place.FOLLOW_UP
    assert scene.rest.tried() == [BY_TOKEN, FOLLOW_UP, BY_TOKEN], "the old card is brought up to date, now that it can"


async def test_a_card_in_an_archived_thread_that_nothing_else_reaches_is_edited_once_the_thread_is_open(
    scene: Scene,
) -> None:
    scene.rest.fault("PATCH", *ARCHIVED, times=9)
    scene.rest.fault(FOLLOW_UP, 500, times=9)
    scene.rest.fault("POST", 403, 50007, times=9)  # the direct messages are closed
    made = ready(private=True)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(made, 0)
    scene.clock.advance(60)
    result = await scene.publish(made, 0)
    assert (result.place, result.card_retry_seconds) == (Place.NOWHERE, CLOSED_SECONDS)
    scene.rest.faults.clear()
    kept = generation(image(State.UNDELIVERED, 0, **READY), private=True)
    assert (await scene.publish(kept)).place is Place.CARD


@pytest.mark.parametrize("lost", [{"status": 500}, {"status": 0, "drop": True}], ids=["500", "cut"])
async def test_a_follow_up_that_may_have_been_posted_is_not_sent_twice(scene: Scene, lost: dict[str, Any]) -> None:
    scene.rest.fault("PATCH", *DELETED, times=9)
    scene.rest.fault(FOLLOW_UP, **lost, times=9)
    made = ready(**OUTSIDE)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(made, 0)
    scene.clock.advance(60)
    assert (await scene.publish(made, 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried().count(FOLLOW_UP) == 1


async def test_a_follow_up_is_sent_after_a_rate_limit_ends(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED, times=9)
    scene.rest.fault(FOLLOW_UP, 429, headers={"Via": "1.1 google"})
    assert (await scene.publish(ready(**OUTSIDE), 0)).place is Place.FOLLOW_UP
    scene.rest.fault(FOLLOW_UP, 429)
    other = replace(ready(**OUTSIDE), id=ready().id + 1)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(other, 0)
    scene.clock.advance(300)
    assert (await scene.publish(other, 0)).place is Place.FOLLOW_UP


async def test_too_many_follow_ups_lead_to_a_direct_message_at_once(scene: Scene) -> None:
    """Five for an app of the person's own (Discord docs: Receiving and Responding, "Create Followup Message")."""
    scene.rest.fault("PATCH", *DELETED, times=9)
    scene.rest.fault(FOLLOW_UP, 400, 40094, times=9)
    assert (await scene.publish(ready(**OUTSIDE), 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == [BY_TOKEN, FOLLOW_UP, *DIRECT]


async def test_an_invalid_token_is_also_detected_by_a_follow_up(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED, times=9)
    scene.rest.fault(FOLLOW_UP, 401, 50027)
    made = ready(**OUTSIDE)
    assert (await scene.publish(made, 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == [BY_TOKEN, FOLLOW_UP, *DIRECT]


async def test_a_follow_up_of_an_earlier_process_with_no_known_outcome_is_not_repeated(scene: Scene) -> None:
    scene.rest.fault("PATCH", *DELETED, times=9)
    begun = replace(ready(**OUTSIDE), follow_up_begun_at_ms=1)
    assert (await scene.publish(begun, 0)).place is Place.DIRECT_MESSAGE
    assert FOLLOW_UP not in scene.rest.tried()


class RecordedFollowUps:
    """Records each follow-up before it is sent."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.calls_before: list[int] = []
        self.fails_with: Exception | None = None

    async def begin(self, generation: Generation) -> int:
        if self.fails_with is not None:
            raise self.fails_with
        self.calls_before.append(len([call for call in self.scene.rest.calls if call.method == "POST"]))
        return 1000 + len(self.calls_before)


async def test_each_follow_up_is_noted_before_it_is_sent_and_one_with_a_known_outcome_may_be_followed(
    scene: Scene,
) -> None:
    noting = RecordedFollowUps(scene)
    delivery = DiscordDelivery(scene.client, scene.clock, follow_ups=noting, buttons=card_buttons)
    scene.rest.fault("PATCH", *DELETED)
    first = generation(image(State.SUCCEEDED, 0, **READY), image(State.SUCCEEDED, 1, **READY), **OUTSIDE)
    await delivery.publish(first, NOTHING, {0: image_file()})
    scene.rest.fault("PATCH", *DELETED)
    again = replace(first, revision=2, follow_up_begun_at_ms=1001)
    assert (await delivery.publish(again, NOTHING, {1: image_file(1)})).place is Place.FOLLOW_UP
    assert noting.calls_before == [0, 1]


async def test_a_process_that_lost_its_claim_sends_no_follow_up(scene: Scene) -> None:
    noting = RecordedFollowUps(scene)
    noting.fails_with = LostClaim(1)
    delivery = DiscordDelivery(scene.client, scene.clock, follow_ups=noting, buttons=card_buttons)
    scene.rest.fault("PATCH", *DELETED)
    with pytest.raises(LostClaim):
        await delivery.publish(ready(**OUTSIDE), NOTHING, {0: image_file()})
    assert scene.rest.tried() == [BY_TOKEN]


async def test_a_missing_permission_for_one_call_leaves_the_channel_to_the_bot(scene: Scene) -> None:
    """Only the card whose edit was refused is left to the interaction's token; others there are edited as before."""
    scene.rest.fault("PATCH", *DELETED)
    scene.rest.fault(AS_BOT, 403, 50013)
    assert (await scene.publish(ready(), 0)).place is Place.FOLLOW_UP
    other = replace(ready(origin={"token": ""}), id=ready().id + 1)
    scene.rest.calls.clear()
    assert (await scene.publish(other, 0)).place is Place.CARD
    assert scene.rest.tried() == [AS_BOT]


async def test_the_note_of_a_second_image_names_both_messages(scene: Scene) -> None:
    for position in (0, 1):
        scene.rest.fault("PATCH", *REFUSED)
        states = [State.DELIVERED if position else State.SUCCEEDED, State.SUCCEEDED]
        made = generation(
            *(image(state, at, **READY) for at, state in enumerate(states)), revision=1 + position, **OUTSIDE
        )
        shown = await scene.publish(made, position)
    assert all(isinstance(each, SeparateMessage) for each in shown.separate.values())
    assert str(scene.rest.calls[-1].body["components"]).count("https://discord.com/channels/") == 2
