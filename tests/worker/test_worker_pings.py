"""Pings when images are ready, and kills before and after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from generations.delivery_result import DeliveryResult
from generations.errors import DeliveryDelayed
from generations.model import Generation, Progress, State
from generations.pings import wants_ping
from people.model import Ping
from qwen.errors import ImageTooLarge
from qwen.images import FoundImage, OversizedImage
from tests.doubles import RUNNING_TASK, FakeDelivery
from tests.worker.conftest import WorkerHarness


class Killed(BaseException):
    """A kill. A BaseException, so that the worker's `except Exception` does not catch it."""


@dataclass
class FakePings:
    """Pings that are recorded. *is_killed*: the process dies before it sends one."""

    pinged: list[int] = field(default_factory=list)
    is_killed: bool = False

    def send(self, generation: Generation) -> None:
        if self.is_killed:
            raise Killed
        self.pinged.append(generation.id)


class KilledDelivery(FakeDelivery):
    """A delivery whose process dies when it has published."""

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        await super().publish(generation, progress, image_files)
        raise Killed


def install_fake_pings(harness: WorkerHarness) -> FakePings:
    harness.context.pings = fake_pings = FakePings()
    return fake_pings


async def slow_image(harness: WorkerHarness) -> int:
    generation_id = await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 6
    return generation_id


async def test_a_person_is_pinged_once_when_the_image_is_on_the_card(harness: WorkerHarness) -> None:
    fake_pings = install_fake_pings(harness)
    generation_id = await slow_image(harness)
    await harness.pass_time(120)
    assert fake_pings.pinged == [generation_id]


async def test_no_ping_is_sent_before_discord_has_the_image(harness: WorkerHarness) -> None:
    fake_pings = install_fake_pings(harness)
    generation_id = await slow_image(harness)
    harness.delivery.places = [DeliveryDelayed(20)] * 3
    await harness.pass_time(60)
    assert fake_pings.pinged == []
    await harness.pass_time(120)
    assert fake_pings.pinged == [generation_id]


async def test_a_process_that_dies_before_the_decision_leaves_it_to_the_next(harness: WorkerHarness) -> None:
    harness.delivery = KilledDelivery()
    harness.restart()
    killed = install_fake_pings(harness)
    generation_id = await slow_image(harness)
    with pytest.raises(Killed):
        await harness.pass_time(120)
    assert len(harness.delivery.published) == 1
    assert killed.pinged == []
    harness.delivery = FakeDelivery()
    harness.restart()
    fake_pings = install_fake_pings(harness)
    await harness.pass_time(30)
    assert fake_pings.pinged == [generation_id]


async def test_a_process_that_dies_after_the_decision_loses_the_ping_and_none_is_sent_twice(
    harness: WorkerHarness,
) -> None:
    install_fake_pings(harness).is_killed = True
    generation_id = await slow_image(harness)
    with pytest.raises(Killed):
        await harness.pass_time(120)
    assert await harness.states(generation_id) == [State.DELIVERED]
    harness.restart()
    fake_pings = install_fake_pings(harness)
    await harness.pass_time(60)
    assert fake_pings.pinged == []


# ---- images that are too large to be fetched ----------------------------------------------------------------------


async def test_an_image_that_is_too_large_to_download_is_paid_for_and_published_as_oversized(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [ImageTooLarge(25 << 20)]
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)
    [(generation, image_files)] = harness.delivery.published
    assert image_files == {0: OversizedImage()}
    assert generation.images[0].image_url == "https://cdn.example.com/image.png"


async def test_an_oversized_image_is_paid_for_once_after_a_delayed_publish(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [ImageTooLarge(25 << 20), ImageTooLarge(25 << 20)]
    harness.delivery.places = [DeliveryDelayed(1)]
    await harness.pass_time(30)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)


async def test_a_card_in_the_direct_messages_needs_no_ping(harness: WorkerHarness) -> None:
    generation = await harness.load(await harness.imagine())
    now_ms = generation.created_at_ms + 60_000
    assert wants_ping(generation, Ping.SLOW, now_ms)
    assert not wants_ping(replace(generation, card_channel_id=5), Ping.ALWAYS, now_ms)
