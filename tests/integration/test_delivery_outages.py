"""DiscordDelivery in outages: an hour without an answer, a refused token, a ban, a stop meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from generations.delivery_result import Place
from generations.errors import DeliveryDelayed
from tests.integration.delivery_scene import (
    AS_BOT,
    BY_TOKEN,
    CARD,
    CHANNEL,
    Scene,
    a_scene,
    declined,
    painting,
    ready,
)
from ui.delivery.fallback import REWRITE_SECONDS
from ui.delivery.progress_interval import PROGRESS_SECONDS

HOUR_SECONDS = 3600


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


async def delay_of(scene: Scene) -> float:
    with pytest.raises(DeliveryDelayed) as raised:
        await scene.publish(ready(), 0)
    return raised.value.retry_after_seconds


async def test_publishing_is_delayed_longer_and_longer_and_succeeds_after_an_hour(scene: Scene) -> None:
    scene.rest.fault("PATCH", 500, drop=True, times=10_000)
    waited: list[float] = []
    while sum(waited) < HOUR_SECONDS:
        waited.append(await delay_of(scene))
        scene.clock.advance(waited[-1])
    assert 5.0 <= waited[0] <= 6.0
    assert max(waited) <= 61.0
    assert 60 <= len(waited) <= 200, "a try a minute at most, and not much less"
    assert len({round(seconds, 3) for seconds in waited}) > 20, "no two cards keep step"
    scene.rest.faults.clear()
    assert (await scene.publish(ready(), 0)).place is Place.CARD
    scene.rest.fault("PATCH", 500, drop=True)
    assert await delay_of(scene) <= 6.0, "a success starts it over"


async def test_the_image_comes_as_soon_as_a_progress_edit_has_succeeded_after_half_a_minute_of_500s(
    scene: Scene,
) -> None:
    scene.rest.fault("PATCH", 500, times=1)
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    began = asyncio.get_running_loop().time()
    assert (await scene.publish(ready(), 0)).place is Place.CARD
    assert asyncio.get_running_loop().time() - began < 2.5, "discord.py waits a second before it tries again"
    assert [bool(call.files) for call in scene.rest.edits()] == [False, False, True]
    assert scene.rest.most_at_once == 1


async def test_an_answer_that_discord_py_cannot_read_delays_publishing(scene: Scene) -> None:
    scene.rest.fault("PATCH", 429, headers={"Via": "1.1 google", "Content-Type": "text/html"})
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    assert (await scene.publish(ready(), 0)).place is Place.CARD


@pytest.mark.parametrize("body", [{"id": "abc", "channel_id": "20"}, {}, [], None])
async def test_a_200_without_a_message_delays_publishing(scene: Scene, body: Any) -> None:
    scene.rest.fault("PATCH", 200, body=body)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    assert (await scene.publish(ready(), 0)).place is Place.CARD


async def test_a_closed_client_delays_publishing(scene: Scene) -> None:
    await scene.client.close()
    await delay_of(scene)


async def test_a_refused_bot_token_is_tried_once_for_all_cards(scene: Scene) -> None:
    scene.rest.fault("PATCH /channels", 401, 0, times=1000)
    for number in range(50):
        scene.rest.add_message(CARD + 1 + number, CHANNEL)
        other = replace(ready(origin={"token": ""}), id=number + 1, message_id=CARD + 1 + number)
        with pytest.raises(DeliveryDelayed):
            await scene.publish(other, 0)
    assert len(scene.rest.edits()) == 1
    assert (await scene.publish(ready(), 0)).place is Place.CARD, "an interaction's token is another matter"
    assert scene.rest.tried() == [f"PATCH /channels/{CHANNEL}/messages/{CARD + 1}", BY_TOKEN]


async def test_a_ban_delays_every_card_and_its_progress(scene: Scene) -> None:
    scene.rest.fault("PATCH", 429, headers={"Retry-After": "30"})
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    scene.rest.add_message(CARD + 1, CHANNEL)
    other = {"id": 1, "message_id": CARD + 1}
    with pytest.raises(DeliveryDelayed):
        await scene.publish(replace(declined(), **other))
    going, progress = painting(0.5)
    scene.delivery.publish_progress(replace(going, **other), progress)
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.settled()
    assert scene.rest.tried() == [BY_TOKEN]
    scene.clock.advance(30)
    assert (await scene.publish(ready(), 0)).place is Place.CARD


async def test_a_ban_also_stops_edits_with_the_bots_token(scene: Scene) -> None:
    scene.rest.fault("PATCH", 403, 40333)
    with pytest.raises(DeliveryDelayed):
        await scene.publish(ready(), 0)
    assert scene.rest.tried() == [BY_TOKEN]
    assert AS_BOT not in scene.rest.tried()


async def test_a_stop_in_an_outage_does_not_wait_for_discord_to_come_back(scene: Scene) -> None:
    scene.rest.gate.clear()
    publisher = asyncio.create_task(scene.publish(ready(), 0))
    await scene.edited(1)
    began = asyncio.get_running_loop().time()
    await scene.delivery.drain(0.1)
    assert asyncio.get_running_loop().time() - began < 1.0
    scene.rest.gate.set()
    await publisher


async def test_a_new_message_that_an_earlier_try_may_have_sent_is_edited_to_the_words_of_today(scene: Scene) -> None:
    """Discord answers the second try with the message of the first one, as it was then (nonce with enforce_nonce)."""
    scene.rest.fault("PATCH", 404, 10008, times=9)
    scene.rest.fault(f"POST /channels/{CHANNEL}/messages", 500, drop=True, times=9)
    assert await delay_of(scene) > 0
    scene.rest.faults.clear()
    scene.rest.fault("PATCH", 404, 10008, times=9)
    scene.clock.advance(60)
    again = await scene.publish(ready(), 0)
    assert (again.place, again.card_retry_seconds) == (Place.CHANNEL, REWRITE_SECONDS)
    other = await scene.publish(replace(ready(), id=ready().id + 1), 0)
    assert (other.place, other.card_retry_seconds) == (Place.CHANNEL, None)
