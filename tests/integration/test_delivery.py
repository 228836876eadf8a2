"""DiscordDelivery over real HTTP: each place of the fallback, and payloads that Discord refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, SeparateMessage, State
from generations.token_only_channels import TokenOnlyChannels
from tests.integration.delivery_scene import (
    APPLICATION,
    AS_BOT,
    BY_TOKEN,
    CARD,
    CHANNEL,
    DIRECT,
    FOLLOW_UP,
    GENERATION,
    GUILD,
    NOTHING,
    POST,
    PROMPT,
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
from ui.delivery.cards import DiscordDelivery
from ui.delivery.rate_guard import PAUSE_FIRST_SECONDS
from ui.interactions.buttons import card_buttons


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


# ---- the fallback -----------------------------------------------------------------------------------------------


async def test_a_fresh_card_is_edited_by_its_token_with_the_image_in_a_gallery(scene: Scene) -> None:
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN]
    call = scene.rest.calls[-1]
    name = "a-lighthouse-everyone-in-a-storm-42.png"
    assert call.files == {name: b"image 0"}
    assert call.body["attachments"] == [{"id": 0, "filename": name, "description": f"AI-generated image: {PROMPT}"}]
    assert call.body["allowed_mentions"] == {"parse": []}
    assert call.body["flags"] == 32768
    assert not call.authorized
    [attachment_id] = scene.rest.messages[CARD]["attachments"]
    assert shown == DeliveryResult(Place.CARD, CARD, CHANNEL, {0: attachment_id}, {0: shown.file_names[0]})


async def test_a_token_near_its_end_is_not_used(scene: Scene) -> None:
    scene.clock.advance(14 * 60 + 1)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [AS_BOT]
    assert scene.rest.calls[-1].authorized
    assert shown.place is Place.CARD
    assert shown.attachments


async def test_a_deleted_token_is_not_used(scene: Scene) -> None:
    await scene.publish(ready(origin={"token": ""}), 0)
    assert scene.rest.tried() == [AS_BOT]


@pytest.mark.parametrize(("status", "code"), [(401, 50027), (404, 10015), (404, 10062)])
async def test_an_invalid_token_is_used_once_and_never_again(scene: Scene, status: int, code: int) -> None:
    scene.rest.fault("PATCH /webhooks", status, code, times=9)
    assert (await scene.publish(ready(), 0)).place is Place.CARD
    await scene.publish(declined(revision=2))
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, AS_BOT]


@pytest.mark.parametrize(("status", "code"), [(404, 10008), (429, 30046)])
async def test_if_the_card_cannot_be_edited_a_message_is_posted_in_the_channel(
    scene: Scene, status: int, code: int
) -> None:
    scene.rest.fault("PATCH", status, code, times=9)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, POST]
    body = scene.rest.calls[-1].body
    assert shown.place is Place.CHANNEL
    assert shown.message_id in scene.rest.messages
    assert list(shown.attachments) == list(shown.file_names) == [0]
    assert body["nonce"] == f"{GENERATION}-1"
    assert body["enforce_nonce"] is True
    assert len(body["nonce"]) <= 25
    assert body["allowed_mentions"] == {"parse": []}
    assert f"for <@{USER}>" in str(body["components"])


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (403, 50013), (404, 10003)])
async def test_a_channel_that_refused_the_bot_is_not_posted_to_with_its_own_token(
    scene: Scene, status: int, code: int
) -> None:
    scene.rest.fault(f"PATCH .*/messages/{CARD}", status, code, times=9)
    assert (await scene.publish(ready(), 0)).place is Place.FOLLOW_UP
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, FOLLOW_UP]


async def test_the_message_in_the_channel_is_the_card_from_then_on(scene: Scene) -> None:
    scene.rest.fault(f"messages/{CARD}$", 404, 10008, times=9)
    first = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1))
    shown = await scene.publish(first, 0)
    scene.rest.calls.clear()
    second = generation(image(State.DELIVERED, 0, **READY), image(State.SUCCEEDED, 1, **READY), revision=2)
    assert (await scene.publish(second, 1)).place is Place.CARD
    assert scene.rest.tried() == [f"PATCH /channels/{CHANNEL}/messages/{shown.message_id}"]
    assert len(scene.rest.messages[shown.message_id or 0]["attachments"]) == 2


async def test_a_new_card_keeps_no_attachment_of_the_deleted_one(scene: Scene) -> None:
    states = [image(State.SUCCEEDED, position, **READY) for position in range(3)]
    one = await scene.publish(generation(*states), 0)
    states[0] = replace(states[0], state=State.DELIVERED, attachment_id=one.attachments[0])
    scene.rest.fault(f"messages/{CARD}$", 404, 10008, times=9)
    two = await scene.publish(generation(*states, revision=2), 1)
    three = await scene.publish(generation(*states, revision=3), 2)
    assert (two.place, three.place) == (Place.CHANNEL, Place.CARD)
    assert two.message_id == three.message_id
    attachment_ids = scene.rest.messages[two.message_id or 0]["attachments"]
    assert list(attachment_ids) == [two.attachments[1], three.attachments[2]]


async def test_a_closed_channel_is_followed_by_a_direct_message(scene: Scene) -> None:
    """After the token's end the channel is tried as well, before the direct message."""
    scene.clock.advance(900)
    scene.rest.fault(f"(PATCH|POST) .*{CHANNEL}/|webhooks", 403, 50001, times=9)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [AS_BOT, POST, *DIRECT]
    assert shown.place is Place.DIRECT_MESSAGE
    assert shown.channel_id == int(f"7{USER}")


@pytest.mark.parametrize(("code", "is_open"), [(50013, True), (50001, False)])
async def test_only_a_channel_that_the_bot_can_not_see_is_left_to_the_token(
    scene: Scene, code: int, is_open: bool
) -> None:
    channels = TokenOnlyChannels(scene.clock)
    delivery = DiscordDelivery(scene.client, scene.clock, token_only=channels, buttons=card_buttons)
    scene.rest.fault("PATCH", 404, 10008, times=9)
    scene.rest.fault(POST, 403, code)
    made = ready()
    assert (await delivery.publish(made, NOTHING, {0: image_file()})).place is Place.FOLLOW_UP
    assert channels.bot_may_enter(made.origin) is is_open


async def test_direct_messages_that_are_opened_too_fast_mean_later(scene: Scene) -> None:
    scene.rest.fault(f"(PATCH|POST) .*{CHANNEL}/|webhooks", 403, 50001, times=9)
    scene.rest.fault("POST /users/@me/channels", 403, 40003)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    assert (await scene.publish(ready(), 0)).place is Place.DIRECT_MESSAGE


async def test_with_closed_direct_messages_the_image_is_published_nowhere(scene: Scene) -> None:
    """The card can't be edited now; the edit is tried again later."""
    scene.rest.fault("(PATCH|POST) .*(messages|webhooks)", 403, 50007, times=9)
    assert await scene.publish(ready(), 0) == DeliveryResult(Place.NOWHERE, card_retry_seconds=60)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, FOLLOW_UP, *DIRECT]
    scene.rest.faults.clear()
    kept = generation(image(State.UNDELIVERED, 0, **READY), revision=2)
    assert (await scene.publish(kept)).place is Place.CARD
    assert "no place left to post it" in str(scene.rest.calls[-1].body["components"])


async def test_the_note_of_a_kept_image_is_edited_into_the_card_as_soon_as_that_works(scene: Scene) -> None:
    scene.rest.fault("PATCH", 400, 50035)
    scene.rest.fault("PATCH", 503, times=9)
    scene.rest.fault("POST .*messages", 403, 50013, times=9)
    shown = await scene.publish(ready(origin={"token": ""}), 0)
    assert shown.place is Place.NOWHERE
    assert shown.card_retry_seconds is not None


async def test_an_ending_without_images_is_only_edited_into_the_card(scene: Scene) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=9)
    assert await scene.publish(declined()) == DeliveryResult(Place.NOWHERE)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT]


async def test_a_private_image_never_goes_into_the_channel(scene: Scene) -> None:
    scene.clock.advance(900)
    assert (await scene.publish(ready(private=True), 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == DIRECT


async def test_where_the_bot_is_no_member_only_the_interactions_token_is_used(scene: Scene) -> None:
    outside = {"bot_in_channel": False}
    assert (await scene.publish(ready(origin=outside), 0)).place is Place.CARD
    scene.clock.advance(900)
    assert (await scene.publish(ready(origin=outside, revision=2), 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == [BY_TOKEN, *DIRECT]


async def test_a_card_that_an_earlier_process_moved_is_edited_where_it_is(scene: Scene) -> None:
    scene.rest.add_message(4321, 765)
    scene.rest.posted.add(4321)
    moved = replace(ready(), message_id=4321, card_channel_id=765)
    for _ in range(2):
        shown = await scene.publish(moved, 0)
        assert (shown.place, shown.channel_id) == (Place.CARD, 765)
    by_token, *others = scene.rest.tried()
    assert (
        by_token == f"PATCH /webhooks/{APPLICATION}/{TOKEN}/messages/4321"
    )  # the rows may be wrong, so the token is tried once
    assert others == ["PATCH /channels/765/messages/4321"] * 2


async def test_a_working_token_is_used_before_the_channel_in_the_rows(scene: Scene) -> None:
    shown = await scene.publish(replace(ready(origin={"channel_id": 0}), card_channel_id=CHANNEL), 0)
    assert scene.rest.tried() == [BY_TOKEN]
    assert (shown.place, shown.channel_id) == (Place.CARD, 0)  # it is where it was asked for, so it has not moved


async def test_a_card_in_an_unknown_channel_is_edited_by_token_and_never_as_the_bot(scene: Scene) -> None:
    """discord.py 2.7.1 drops a channel of a type that it does not know."""
    unknown = {"channel_id": 0, "bot_in_channel": True}
    shown = await scene.publish(ready(2, origin=unknown), 0)
    assert (shown.place, shown.message_id, shown.channel_id) == (Place.CARD, CARD, 0)
    scene.clock.advance(900)
    assert (await scene.publish(ready(2, origin=unknown, revision=2), 1)).place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == [BY_TOKEN, *DIRECT]


# ---- payloads that Discord refuses ------------------------------------------------------------------------------


async def test_a_refused_gallery_becomes_a_plain_message_and_the_card_links_to_it(scene: Scene) -> None:
    scene.rest.fault("PATCH", 400, 50035)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN, POST, BY_TOKEN]
    posted, noted = scene.rest.calls[-2:]
    assert posted.body["components"] == []
    assert posted.body["flags"] == 4, "a link in it would unfurl"
    assert list(posted.files.values()) == [b"image 0"]
    assert f"for <@{USER}>" in posted.body["content"]
    assert f"https://discord.com/channels/{GUILD}/{CHANNEL}/" in str(noted.body["components"])
    assert shown == DeliveryResult(
        Place.CHANNEL, CARD, CHANNEL, separate={0: SeparateMessage(CHANNEL, min(scene.rest.messages))}
    )


async def test_the_link_to_a_separate_message_is_edited_into_the_card_as_soon_as_that_works(scene: Scene) -> None:
    scene.rest.fault("PATCH", 400, 50035)
    scene.rest.fault("PATCH", 429, 0, times=9)
    shown = await scene.publish(ready(), 0)
    assert (shown.place, shown.message_id) == (Place.CHANNEL, CARD)
    assert shown.card_retry_seconds is not None
    scene.rest.faults.clear()
    scene.clock.advance(shown.card_retry_seconds)
    again = await scene.publish(generation(image(State.DELIVERED, 0, **READY)))
    assert (again.place, again.card_retry_seconds) == (Place.CARD, None)
    assert f"https://discord.com/channels/{GUILD}/{CHANNEL}/" in str(scene.rest.calls[-1].body["components"])


async def test_after_a_restart_the_card_still_links_to_a_separate_message(scene: Scene) -> None:
    posted = image(State.DELIVERED, 0, separate_channel_id=CHANNEL, separate_message_id=9999, **READY)
    await scene.publish(generation(posted, image(State.FAILED, 1, ending=Ending.DECLINED), revision=2))
    assert f"https://discord.com/channels/{GUILD}/{CHANNEL}/9999" in str(scene.rest.calls[-1].body["components"])


async def test_the_card_links_to_an_image_in_the_direct_messages(scene: Scene) -> None:
    posted = image(State.DELIVERED, 0, separate_channel_id=777, separate_message_id=9999, **READY)
    await scene.publish(generation(posted, image(State.FAILED, 1, ending=Ending.DECLINED), revision=2))
    assert "https://discord.com/channels/@me/777/9999" in str(scene.rest.calls[-1].body["components"])


async def test_an_edit_of_a_card_in_a_closed_channel_is_tried_again_for_an_hour(scene: Scene) -> None:
    scene.rest.fault("PATCH", 403, 50013, times=100)
    pauses = [(await scene.publish(declined(origin={"token": ""}))).card_retry_seconds for _ in range(7)]
    assert pauses == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, None]
    scene.rest.faults.clear()
    assert await scene.publish(declined(origin={"token": ""})) == DeliveryResult(Place.CARD, CARD, CHANNEL)


async def test_a_deleted_card_is_not_edited_again(scene: Scene) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=100)
    assert await scene.publish(declined()) == DeliveryResult(Place.NOWHERE)


async def test_every_image_of_a_refused_gallery_is_posted_with_a_nonce_of_its_own(scene: Scene) -> None:
    first = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1))
    second = generation(image(State.DELIVERED, 0, **READY), image(State.SUCCEEDED, 1, **READY), revision=2)
    for made, position in ((first, 0), (second, 1)):
        scene.rest.fault("PATCH", 400, 50035)
        await scene.publish(made, position)
    posted = [call for call in scene.rest.calls if call.method == "POST"]
    assert [call.body["nonce"] for call in posted] == [f"{GENERATION}-1", f"{GENERATION}-2"]
    assert str(scene.rest.calls[-1].body["components"]).count("https://discord.com/channels/") == 2


async def test_if_the_gallery_is_refused_everywhere_the_card_says_so(scene: Scene) -> None:
    scene.rest.fault("PATCH", 400, 50035)
    scene.rest.fault("POST .*(messages|webhooks)", 403, 50013, times=9)
    assert await scene.publish(ready(), 0) == DeliveryResult(Place.NOWHERE)
    assert scene.rest.tried() == [BY_TOKEN, POST, FOLLOW_UP, *DIRECT, BY_TOKEN]
    assert "no place left to post it" in str(scene.rest.calls[-1].body["components"])


async def test_a_failed_edit_of_a_deleted_card_is_ignored(scene: Scene) -> None:
    scene.rest.fault("PATCH", 400, 50035)
    scene.rest.fault("PATCH", 404, 10008, times=2)
    shown = await scene.publish(ready(), 0)
    assert shown.place is Place.CHANNEL
    assert shown.message_id != CARD


async def test_a_card_refused_in_the_channel_is_posted_there_as_a_plain_message(scene: Scene) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=2)
    scene.rest.fault("POST", 400, 50035)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, POST, POST]
    assert (shown.place, list(shown.attachments)) == (Place.CHANNEL, [0])


@pytest.mark.parametrize("status", [413, 400])
async def test_an_image_that_is_too_large_becomes_a_link_that_expires(scene: Scene, status: int) -> None:
    scene.rest.fault("PATCH", status, 40005)
    shown = await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN, BY_TOKEN]
    body = scene.rest.calls[-1].body
    assert "too large" in str(body)
    assert "https://x.example/a.png" in str(body)
    assert not scene.rest.calls[-1].files
    assert shown == DeliveryResult(Place.CARD, CARD, CHANNEL, file_names={0: ""})


async def test_an_image_over_the_channels_limit_is_not_sent(scene: Scene) -> None:
    await scene.publish(ready(origin={"attachment_size_limit": 100}), 0, size=101)
    assert scene.rest.tried() == [BY_TOKEN]
    assert not scene.rest.calls[-1].files


async def test_four_images_that_are_too_large_together_are_sent_one_by_one(scene: Scene) -> None:
    scene.rest.fault("PATCH", 413, 40005)
    shown = await scene.publish(ready(4), 0, 1, 2, 3)
    assert [len(call.files) for call in scene.rest.edits()] == [4, 1, 1, 1, 1]
    assert len(scene.card_names()) == 4
    assert sorted(shown.attachments) == [0, 1, 2, 3]


# ---- delays ------------------------------------------------------------------------------------------------------


async def test_an_outage_delays_publishing_and_no_other_place_is_tried(scene: Scene) -> None:
    scene.rest.fault("PATCH", 503)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(origin={"token": ""}), 0)
    assert scene.rest.tried() == [AS_BOT]
    assert (await scene.publish(ready(origin={"token": ""}), 0)).place is Place.CARD


async def test_a_broken_connection_delays_publishing(scene: Scene) -> None:
    scene.rest.fault("PATCH", 500, drop=True)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN]


@pytest.mark.parametrize("page", [True, False], ids=["page", "code 0"])
@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("token", [TOKEN, ""], ids=["by token", "as the bot"])
async def test_a_refusal_without_a_code_delays_publishing_and_the_token_is_used_again(
    scene: Scene, status: int, page: bool, token: str
) -> None:
    """Such an answer comes from a proxy or a CDN in front of Discord."""
    made = ready(origin={"token": token})
    scene.rest.fault("PATCH", status, page=page)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(made, 0)
    [first] = scene.rest.tried()
    scene.clock.advance(PAUSE_FIRST_SECONDS)
    assert (await scene.publish(made, 0)).place is Place.CARD
    assert scene.rest.tried() == [first, first]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_after_a_refusal_without_a_code_the_channel_and_direct_messages_are_used_again(
    scene: Scene, status: int
) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=9)
    scene.rest.fault(f"POST .*{CHANNEL}/messages", status, page=True)
    scene.rest.fault(f"POST .*{CHANNEL}/messages", 403, 50013, times=9)
    scene.rest.fault(FOLLOW_UP, 403, 50013, times=9)
    scene.rest.fault("POST /users/@me/channels", status, page=True)
    for _ in range(2):
        with pytest.raises(DeliveryDelayed):
            await scene.publish(ready(), 0)
        scene.clock.advance(60)
    assert (await scene.publish(ready(), 0)).place is Place.DIRECT_MESSAGE


async def test_a_limit_that_the_library_does_not_wait_out_delays_for_as_long_as_discord_says(scene: Scene) -> None:
    scene.rest.fault("PATCH", 429, headers={"Retry-After": "42"})
    with pytest.raises(DeliveryDelayed) as raised:
        await scene.publish(ready(), 0)
    assert raised.value.retry_after_seconds == 42


async def test_a_refused_bot_token_delays_publishing(scene: Scene) -> None:
    scene.rest.fault("PATCH", 401, 0)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(origin={"token": ""}), 0)


async def test_an_image_is_sent_whole_again_after_a_limit(scene: Scene) -> None:
    scene.rest.fault("PATCH", 429, headers={"Via": "1.1 google"})
    await scene.publish(ready(), 0)
    assert [list(call.files.values()) for call in scene.rest.edits()] == [[b"image 0"], [b"image 0"]]


async def test_an_image_is_sent_whole_to_every_place_of_the_fallback(scene: Scene) -> None:
    scene.rest.fault("PATCH", 403, 50001, times=2)
    await scene.publish(ready(), 0)
    assert [list(call.files.values()) for call in scene.rest.calls if call.files] == [[b"image 0"]] * 3


async def test_images_that_arrived_before_a_delay_are_not_sent_again(scene: Scene) -> None:
    scene.rest.fault("PATCH", 413, 40005)
    scene.rest.fault("PATCH", 503, skip=1)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(2, origin={"token": ""}), 0, 1)
    shown = await scene.publish(ready(2, origin={"token": ""}), 0, 1)
    assert [sorted(call.files.values()) for call in scene.rest.edits()][-1] == [b"image 1"]
    assert sorted(shown.attachments) == [0, 1]
    assert len(scene.card_names()) == 2
