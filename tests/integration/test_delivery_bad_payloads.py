"""A card to which Discord answers 5xx while it answers everything else: it is sent in another form, and no other card
waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Generation
from tests.integration.delivery_scene import (
    AS_BOT,
    CARD,
    CHANNEL,
    POST,
    USER,
    Scene,
    a_scene,
    declined,
    painting,
    ready,
)
from ui.delivery.circuit_breaker import AWAY_AFTER, TRY_FIRST_SECONDS

LONG = "a lighthouse in a storm, " * 80
ASKED = AS_BOT.replace("PATCH", "GET")
FAILS = 503  # to a call with the bot's own token discord.py 2.7.1 makes one try of it, and five of 500, 502 and 504
LATE: dict[str, Any] = {"origin": {"token": ""}}  # so all edits here go by the bot's own token


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


def long_ready(count: int = 1) -> Generation:
    made = ready(count, **LATE)
    return replace(made, request=replace(made.request, prompt=LONG))


async def publish_until_taken(scene: Scene, made: Generation, *positions: int) -> DeliveryResult:
    for _ in range(5):
        try:
            return await scene.publish(made, *positions)
        except DeliveryDelayed as delayed:
            scene.clock.advance(delayed.retry_after_seconds)
    raise AssertionError("it is put off for ever")


async def test_a_card_that_is_too_long_for_discord_is_sent_brief_after_three_failures(scene: Scene) -> None:
    scene.rest.fails_over_text = 1500
    shown = await publish_until_taken(scene, long_ready(), 0)
    assert shown.place is Place.CARD
    assert scene.rest.tried() == [AS_BOT, AS_BOT, ASKED, AS_BOT, ASKED, AS_BOT]
    assert "lighthouse" in str(scene.rest.messages[CARD]["components"])


async def test_what_discord_fails_over_is_remembered_for_the_card(scene: Scene) -> None:
    scene.rest.fails_over_text = 1500
    made = long_ready(count=2)
    await publish_until_taken(scene, made, 0)
    scene.rest.calls.clear()
    assert (await scene.publish(replace(made, revision=2), 1)).place is Place.CARD
    assert scene.rest.tried() == [AS_BOT]
    assert len(scene.card_names()) == 2


async def test_a_card_that_fails_with_an_image_also_when_brief_gets_a_separate_message(scene: Scene) -> None:
    scene.rest.fails_with_files = True
    shown = await publish_until_taken(scene, ready(2, **LATE), 0)
    assert (shown.place, shown.message_id) == (Place.CHANNEL, CARD)
    assert list(shown.separate) == [0]
    assert scene.rest.tried()[-2:] == [POST, AS_BOT]
    assert "Posted in a message of its own" in str(scene.rest.messages[CARD]["components"])
    scene.rest.calls.clear()
    await scene.publish(ready(2, revision=2, **LATE), 1)
    assert scene.rest.tried() == [POST, AS_BOT], "the card is not tried with an image again"


async def test_a_card_over_which_discord_fails_in_every_form_is_given_up(scene: Scene) -> None:
    scene.rest.fault("PATCH", FAILS, times=1000)
    shown = await publish_until_taken(scene, ready(**LATE), 0)
    assert shown.place is Place.CHANNEL
    [posted] = [call for call in scene.rest.calls if call.method == "POST"]
    assert posted.files and not posted.body["components"], "a plain message with the image"
    assert (await scene.publish(declined(revision=2, **LATE))).place is Place.NOWHERE


async def test_an_ending_over_which_discord_fails_is_given_up(scene: Scene) -> None:
    scene.rest.fault("PATCH", FAILS, times=1000)
    assert await publish_until_taken(scene, declined(**LATE)) == DeliveryResult(Place.NOWHERE)


@pytest.mark.parametrize(
    "where",
    [{"private": True, **LATE}, {"origin": {"token": "", "bot_in_channel": False}}],
    ids=["private", "without the bot"],
)
async def test_a_direct_message_over_which_discord_fails_is_followed_by_a_plain_one(
    scene: Scene, where: dict[str, Any]
) -> None:
    """Nothing reaches the card any more, so the bot asks Discord for the channel of the direct messages instead."""
    scene.rest.fails_over_components = True
    shown = await publish_until_taken(scene, ready(**where), 0)
    assert shown.place is Place.DIRECT_MESSAGE
    assert [call for call in scene.rest.tried() if call.startswith("GET")] == [f"GET /channels/7{USER}"] * 2
    assert scene.rest.calls[-1].files and not scene.rest.calls[-1].body["components"]


async def test_an_outage_does_not_count_against_a_direct_message(scene: Scene) -> None:
    scene.rest.fault(".", FAILS, times=1000)
    made = ready(private=True, **LATE)
    for _ in range(5):
        with pytest.raises(DeliveryDelayed) as raised:
            await scene.publish(made, 0)
        scene.clock.advance(raised.value.retry_after_seconds)
    scene.rest.faults.clear()
    assert (await scene.publish(made, 0)).place is Place.DIRECT_MESSAGE
    assert scene.rest.calls[-1].body["components"]


async def test_where_every_call_fails_no_failure_counts_against_the_card(scene: Scene) -> None:
    scene.rest.fault(".", FAILS, times=1000)
    for _ in range(6):
        with pytest.raises(DeliveryDelayed) as raised:
            await scene.publish(long_ready(), 0)
        scene.clock.advance(raised.value.retry_after_seconds)
    scene.rest.faults.clear()
    assert (await scene.publish(long_ready(), 0)).place is Place.CARD
    [item] = scene.rest.edits()[-1].body["components"][0]["components"][0]["items"]
    assert len(item["description"]) == 1024, "the card has all its words"


async def test_an_outage_that_ends_during_the_third_failure_does_not_count_against_the_card(scene: Scene) -> None:
    scene.rest.fault("PATCH", FAILS, times=3)
    scene.rest.fault("GET", FAILS, times=1)
    assert (await publish_until_taken(scene, long_ready(), 0)).place is Place.CARD
    [item] = scene.rest.edits()[-1].body["components"][0]["components"][0]["items"]
    assert len(item["description"]) == 1024


@pytest.mark.parametrize("cards", [1, AWAY_AFTER, 8])
async def test_cards_over_which_discord_fails_delay_no_other_card_for_long(scene: Scene, cards: int) -> None:
    scene.rest.fault(f"PATCH .*/{CARD}\\d", FAILS, times=1000)
    bad = [replace(ready(**LATE), id=number, message_id=CARD * 10 + number) for number in range(cards)]
    for made in bad:
        scene.rest.add_message(made.message_id or 0, CHANNEL)
    for made in bad:
        with pytest.raises(DeliveryDelayed):
            await scene.publish(made, 0)
    scene.clock.advance(TRY_FIRST_SECONDS)
    assert [(await publish_until_taken(scene, made, 0)).place for made in bad] == [Place.CHANNEL] * cards
    assert (await scene.publish(ready(**LATE), 0)).place is Place.CARD


async def test_failing_progress_of_one_card_does_not_open_the_circuit_breaker(scene: Scene) -> None:
    scene.rest.fault("PATCH", FAILS, times=10)
    for number in range(10):
        scene.delivery.publish_progress(*painting(number / 10, **LATE))
        scene.clock.advance(30)
        await scene.edited(number + 1)
        await scene.settled()
    other = replace(ready(**LATE), id=1, message_id=CARD + 1)
    scene.rest.add_message(CARD + 1, CHANNEL)
    assert (await scene.publish(other, 0)).place is Place.CARD


async def test_a_message_in_the_channel_over_which_discord_fails_is_followed_by_a_plain_one(scene: Scene) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=1000)
    scene.rest.fails_over_components = True
    shown = await publish_until_taken(scene, ready(**LATE), 0)
    assert shown.place is Place.CHANNEL
    assert scene.rest.tried()[:2] == [AS_BOT, POST]
    assert scene.rest.tried()[-1] == POST
    assert not scene.rest.calls[-1].body["components"]
