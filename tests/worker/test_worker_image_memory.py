"""Bytes of images in memory: within the budget over all steps, and fetched again only when they can be shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, Generation, Progress, State
from generations.records.tables import generations
from generations.worker.loop import LEASE_SECONDS, MAX_STEPS
from images.image_memory import BUDGET_BYTES, KEEP_SECONDS, ImageMemory
from qwen.errors import ImageUnavailable
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from tests.doubles import PAINTING, READY, Shelf, Wall
from tests.worker.conftest import Workshop

LARGE = DownloadedImage(bytes(24 * 1024 * 1024), OutputFormat.PNG, 1024, 1024)  # all downloads share these bytes


@dataclass
class Warehouse(Shelf):
    """Large images, each counted from its request until it was shown; the gate holds up what was asked for."""

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
class Uploads(Wall):
    """A delivery of what the warehouse has."""

    warehouse: Warehouse = field(default_factory=Warehouse)

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, DownloadedImage]
    ) -> DeliveryResult:
        await asyncio.sleep(0)
        shown = await super().publish(generation, progress, image_files)
        self.warehouse.bytes_now -= len(LARGE.data) * len(image_files)
        return shown


@pytest.fixture
def warehouse(workshop: Workshop) -> Warehouse:
    made = Warehouse()
    workshop.shelf, workshop.wall = made, Uploads(warehouse=made)
    workshop.max_in_flight, workshop.max_per_user = 10 * MAX_STEPS, 4  # so many looks a second may be taken at once
    workshop.restart()
    return made


async def until(workshop: Workshop, happened: Callable[[], object]) -> None:
    """Let the worker go round until something has happened."""
    async with asyncio.timeout(60):
        while not happened():
            workshop.worker.nudge()
            await asyncio.sleep(0.01)


async def shortest_lease(workshop: Workshop) -> float:
    """Seconds until the first lease of those that are worked on runs out."""
    async with workshop.database.transaction() as tx:
        until_ms = await tx.scalar(select(func.min(generations.c.lease_until_ms)))
    assert until_ms is not None
    return (until_ms - workshop.clock.now_ms()) / 1000


@pytest.mark.parametrize(("people", "count"), [(16, 1), (8, 4)])
async def test_large_images_that_are_ready_at_once_stay_within_the_budget_and_all_arrive(
    workshop: Workshop, warehouse: Warehouse, people: int, count: int
) -> None:
    warehouse.gate.set()
    asked = [await workshop.imagine(user_id=1000 + person, count=count) for person in range(people)]
    await workshop.worker.step()
    async with asyncio.timeout(60):
        await workshop.pass_time(12)
    assert [await workshop.states(one) for one in asked] == [[State.DELIVERED] * count] * people
    assert len(warehouse.downloads) == people * count
    assert warehouse.bytes_most <= BUDGET_BYTES
    assert workshop.context.images.bytes_held == 0


async def test_while_images_wait_for_memory_other_tasks_are_asked_about_and_leases_are_kept(
    workshop: Workshop, warehouse: Warehouse
) -> None:
    asked = [await workshop.imagine(user_id=1000 + person) for person in range(MAX_STEPS + 1)]
    while await workshop.worker.step():
        pass
    workshop.clock.advance(6)
    running = asyncio.create_task(workshop.worker.run())
    await until(workshop, lambda: len(workshop.service.polls) == MAX_STEPS + 1)
    for _ in range(4):
        workshop.clock.advance(4)
        async with asyncio.timeout(60):
            while await shortest_lease(workshop) < LEASE_SECONDS - 1:
                workshop.worker.nudge()
                await asyncio.sleep(0.01)
    fences = [(await workshop.load(one)).fence for one in asked]
    warehouse.gate.set()
    await until(workshop, lambda: len(workshop.wall.shows) == MAX_STEPS + 1)
    await workshop.worker.drain()
    await running
    assert [await workshop.states(one) for one in asked] == [[State.DELIVERED]] * len(asked)
    assert [(await workshop.load(one)).fence for one in asked] == fences, "nobody took them over"


# ---- an image that can't be shown now ------------------------------------------------------------------------------


async def test_an_image_that_was_put_off_is_shown_from_memory(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)] * 20
    await workshop.worker.step()
    await workshop.pass_time(150)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.shelf.downloads) == 1
    assert workshop.context.images.bytes_held == 0


async def test_an_image_that_was_put_off_is_shown_from_memory_also_when_its_link_has_died(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    workshop.shelf.faults = [ImageUnavailable(temporary=False)]
    await workshop.pass_time(10)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)


async def test_nothing_is_fetched_again_and_nothing_shown_while_discord_can_not_be_reached(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    workshop.restart()  # with nothing in memory
    workshop.wall.delay_seconds = 30.0
    await workshop.pass_time(600)
    assert (len(workshop.shelf.downloads), workshop.wall.shows) == (1, [])
    assert await workshop.states(generation_id) == [State.SUCCEEDED]
    workshop.wall.delay_seconds = 0.0
    await workshop.pass_time(31)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.shelf.downloads) == 2
    assert await workshop.money() == (45, 0)


async def test_an_image_that_becomes_ready_meanwhile_is_paid_for_and_kept_in_memory(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    await workshop.worker.step()
    workshop.wall.delay_seconds = 30.0
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.SUCCEEDED]
    assert (await workshop.money(), workshop.wall.shows) == ((45, 0), [])
    workshop.wall.delay_seconds = 0.0
    await workshop.pass_time(31)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.shelf.downloads) == 1


async def test_the_other_images_of_its_card_are_asked_about_meanwhile(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(count=2)
    await workshop.worker.step()
    workshop.service.on_poll = [READY, PAINTING, PAINTING]
    workshop.wall.delay_seconds = 7.0
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.SUCCEEDED] * 2
    assert len(workshop.shelf.downloads) == 2
    workshop.wall.delay_seconds = 0.0
    await workshop.pass_time(8)
    assert await workshop.states(generation_id) == [State.DELIVERED] * 2


async def test_what_does_not_fit_into_the_budget_is_fetched_once_more_when_its_turn_comes(workshop: Workshop) -> None:
    workshop.max_per_user = 3
    workshop.restart()
    workshop.context.images = ImageMemory(len(b"\x89PNG image"))
    asked = [await workshop.imagine(user_id=1000 + person) for person in range(3)]
    await workshop.worker.step()
    workshop.wall.delay_seconds = 30.0
    await workshop.pass_time(600)
    assert len(workshop.shelf.downloads) == 3
    workshop.wall.delay_seconds = 0.0
    await workshop.pass_time(60)
    assert [await workshop.states(one) for one in asked] == [[State.DELIVERED]] * 3
    assert len(workshop.shelf.downloads) <= 6


async def test_images_that_nobody_asks_for_leave_the_memory(workshop: Workshop) -> None:
    await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    first = workshop.context
    assert first.images.bytes_held
    workshop.clock.advance(KEEP_SECONDS + 1)
    await first.run_maintenance()
    assert first.images.bytes_held == 0


async def test_an_image_without_a_place_leaves_the_memory(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0), Place.NOWHERE]
    await workshop.worker.step()
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.UNDELIVERED]
    assert workshop.context.images.bytes_held == 0


async def test_an_image_that_can_not_be_used_leaves_the_memory_and_its_hold_is_released(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageUnavailable(temporary=False)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert workshop.context.images.bytes_held == 0


async def test_an_image_that_lies_in_memory_stays_there_while_the_next_one_of_its_card_is_fetched(
    workshop: Workshop,
) -> None:
    generation_id = await workshop.imagine(count=2)
    await workshop.worker.step()
    workshop.service.on_poll = [READY, *[PAINTING] * 3]
    workshop.wall.delay_seconds = 1.0  # so that it is due again in the step in which the other one comes
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.SUCCEEDED] * 2
    workshop.wall.delay_seconds = 0.0
    await workshop.pass_time(5)
    assert await workshop.states(generation_id) == [State.DELIVERED] * 2
    assert len(workshop.shelf.downloads) == 2
