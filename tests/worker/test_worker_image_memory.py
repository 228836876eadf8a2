"""The image memory: within the budget over all steps, and no download before publishing is possible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, func, select

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, Generation, Progress, State
from generations.records.tables import generations
from generations.worker.loop import LEASE_SECONDS, MAX_STEPS
from images.image_memory import BUDGET_BYTES, KEEP_SECONDS, ImageMemory
from qwen.errors import ImageUnavailable
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from tests.doubles import READY_TASK, RUNNING_TASK, FakeDelivery, FakeImageStore
from tests.worker.conftest import WorkerHarness

LARGE = DownloadedImage(bytes(24 * 1024 * 1024), OutputFormat.PNG, 1024, 1024)  # all downloads share these bytes


@dataclass
class LargeImageStore(FakeImageStore):
    """A store of large images. Counts the bytes from download to publish; *gate* delays downloads."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    bytes_now: int = 0
    bytes_most: int = 0

    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage:
        self.downloads.append(url)
        self.bytes_now += len(LARGE.data)
        self.bytes_most = max(self.bytes_most, self.bytes_now)
        await self.gate.wait()
        if announced is not None:
            announced(len(LARGE.data))
        await asyncio.sleep(0)
        return LARGE


@dataclass
class CountingDelivery(FakeDelivery):
    """A delivery that subtracts published images from the store's count."""

    large_images: LargeImageStore = field(default_factory=LargeImageStore)

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, DownloadedImage]
    ) -> DeliveryResult:
        await asyncio.sleep(0)
        result = await super().publish(generation, progress, image_files)
        self.large_images.bytes_now -= len(LARGE.data) * len(image_files)
        return result


@pytest.fixture
def large_images(harness: WorkerHarness) -> LargeImageStore:
    made = LargeImageStore()
    harness.image_store, harness.delivery = made, CountingDelivery(large_images=made)
    harness.max_in_flight, harness.max_per_user = 10 * MAX_STEPS, 4  # allows enough polls a second
    harness.restart()
    return made


async def until(harness: WorkerHarness, happened: Callable[[], object]) -> None:
    """Run rounds of the worker until *happened* returns true."""
    async with asyncio.timeout(60):
        while not happened():
            harness.worker.nudge()
            await asyncio.sleep(0.01)


async def shortest_lease(harness: WorkerHarness) -> float:
    """Return the seconds until the first lease of the claimed generations ends."""
    until_ms = await harness.database.run(Connection.scalar, select(func.min(generations.c.lease_until_ms)))
    assert until_ms is not None
    return (until_ms - harness.clock.now_ms()) / 1000


@pytest.mark.parametrize(("people", "count"), [(16, 1), (8, 4)])
async def test_large_images_that_are_ready_at_once_stay_within_the_budget_and_all_arrive(
    harness: WorkerHarness, large_images: LargeImageStore, people: int, count: int
) -> None:
    large_images.gate.set()
    asked = [await harness.imagine(user_id=1000 + person, count=count) for person in range(people)]
    await harness.worker.step()
    async with asyncio.timeout(60):
        await harness.pass_time(12)
    assert [await harness.states(one) for one in asked] == [[State.DELIVERED] * count] * people
    assert len(large_images.downloads) == people * count
    assert large_images.bytes_most <= BUDGET_BYTES
    assert harness.context.images.bytes_held == 0


async def test_while_images_wait_for_memory_other_tasks_are_asked_about_and_leases_are_kept(
    harness: WorkerHarness, large_images: LargeImageStore
) -> None:
    asked = [await harness.imagine(user_id=1000 + person) for person in range(MAX_STEPS + 1)]
    while await harness.worker.step():
        pass
    harness.clock.advance(6)
    running = asyncio.create_task(harness.worker.run())
    await until(harness, lambda: len(harness.service.polls) == MAX_STEPS + 1)
    for _ in range(4):
        harness.clock.advance(4)
        async with asyncio.timeout(60):
            while await shortest_lease(harness) < LEASE_SECONDS - 1:
                harness.worker.nudge()
                await asyncio.sleep(0.01)
    fences = [(await harness.load(one)).fence for one in asked]
    large_images.gate.set()
    await until(harness, lambda: len(harness.delivery.published) == MAX_STEPS + 1)
    await harness.worker.drain()
    await running
    assert [await harness.states(one) for one in asked] == [[State.DELIVERED]] * len(asked)
    assert [(await harness.load(one)).fence for one in asked] == fences, "nobody took them over"


# ---- an image that can't be shown now ------------------------------------------------------------------------------


async def test_a_postponed_image_is_published_from_memory(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)] * 20
    await harness.worker.step()
    await harness.pass_time(150)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.image_store.downloads) == 1
    assert harness.context.images.bytes_held == 0


async def test_a_postponed_image_is_published_from_memory_also_when_its_link_has_died(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)]
    await harness.worker.step()
    await harness.pass_time(6)
    harness.image_store.faults = [ImageUnavailable(temporary=False)]
    await harness.pass_time(10)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)


async def test_nothing_is_downloaded_or_published_while_discord_can_not_be_reached(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)]
    await harness.worker.step()
    await harness.pass_time(6)
    harness.restart()  # with nothing in memory
    harness.delivery.delay_seconds = 30.0
    await harness.pass_time(600)
    assert (len(harness.image_store.downloads), harness.delivery.published) == (1, [])
    assert await harness.states(generation_id) == [State.SUCCEEDED]
    harness.delivery.delay_seconds = 0.0
    await harness.pass_time(31)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.image_store.downloads) == 2
    assert await harness.money() == (45, 0)


async def test_an_image_that_becomes_ready_meanwhile_is_paid_for_and_kept_in_memory(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    await harness.worker.step()
    harness.delivery.delay_seconds = 30.0
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.SUCCEEDED]
    assert (await harness.money(), harness.delivery.published) == ((45, 0), [])
    harness.delivery.delay_seconds = 0.0
    await harness.pass_time(31)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.image_store.downloads) == 1


async def test_the_other_images_of_a_postponed_card_are_polled_meanwhile(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(count=2)
    await harness.worker.step()
    harness.service.on_poll = [READY_TASK, RUNNING_TASK, RUNNING_TASK]
    harness.delivery.delay_seconds = 7.0
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.SUCCEEDED] * 2
    assert len(harness.image_store.downloads) == 2
    harness.delivery.delay_seconds = 0.0
    await harness.pass_time(8)
    assert await harness.states(generation_id) == [State.DELIVERED] * 2


async def test_an_image_that_does_not_fit_into_the_budget_is_downloaded_again_later(
    harness: WorkerHarness,
) -> None:
    harness.max_per_user = 3
    harness.restart()
    harness.context.images = ImageMemory(len(b"\x89PNG image"))
    asked = [await harness.imagine(user_id=1000 + person) for person in range(3)]
    await harness.worker.step()
    harness.delivery.delay_seconds = 30.0
    await harness.pass_time(600)
    assert len(harness.image_store.downloads) == 3
    harness.delivery.delay_seconds = 0.0
    await harness.pass_time(60)
    assert [await harness.states(one) for one in asked] == [[State.DELIVERED]] * 3
    assert len(harness.image_store.downloads) <= 6


async def test_images_that_are_not_published_again_leave_the_memory(harness: WorkerHarness) -> None:
    await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)]
    await harness.worker.step()
    await harness.pass_time(6)
    first = harness.context
    assert first.images.bytes_held
    harness.clock.advance(KEEP_SECONDS + 1)
    await first.run_maintenance()
    assert first.images.bytes_held == 0


async def test_an_image_without_a_place_leaves_the_memory(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0), Place.NOWHERE]
    await harness.worker.step()
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    assert harness.context.images.bytes_held == 0


async def test_an_image_that_can_not_be_used_leaves_the_memory_and_its_hold_is_released(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [ImageUnavailable(temporary=False)]
    await harness.worker.step()
    await harness.pass_time(6)
    assert (await harness.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert harness.context.images.bytes_held == 0


async def test_an_image_that_lies_in_memory_stays_there_while_the_next_one_of_its_card_is_fetched(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine(count=2)
    await harness.worker.step()
    harness.service.on_poll = [READY_TASK, *[RUNNING_TASK] * 3]
    harness.delivery.delay_seconds = 1.0  # so that it is due again in the step in which the other one comes
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.SUCCEEDED] * 2
    harness.delivery.delay_seconds = 0.0
    await harness.pass_time(5)
    assert await harness.states(generation_id) == [State.DELIVERED] * 2
    assert len(harness.image_store.downloads) == 2
