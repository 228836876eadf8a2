"""Races found by tests/simulation: another process or a cancel comes between two steps of the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from generations import records
from generations.delivery_result import DeliveryResult
from generations.errors import DeliveryDelayed
from generations.model import Ending, Generation, Progress, State
from qwen.errors import ImageUnavailable
from qwen.images import DownloadedImage
from qwen.models import Task
from store.database import Database
from tests.doubles import READY_TASK, RUNNING_TASK, DatabaseInFront, FakeDelivery, ScriptedService
from tests.worker.conftest import MIRA, WorkerHarness


async def test_a_task_stored_during_a_recovery_is_not_ended(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    generation_id = await harness.imagine()

    async def oversleep() -> None:
        harness.clock.advance(30)
        now_ms = harness.clock.now_ms()
        await harness.database.run(
            records.claim_due, lease_holder="another", now_ms=now_ms, lease_until_ms=now_ms + 10_000, limit=5
        )

    harness.service.during_create = oversleep
    await harness.worker.step()
    image = (await harness.load(generation_id)).images[0]
    assert (image.state, image.task_id) == (State.RUNNING, "task-1")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)
    assert len(harness.service.posts) == 1


async def test_an_image_that_the_cdn_does_not_have_yet_is_asked_for_again(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [
        ImageUnavailable(temporary=False, http_status=status) for status in (401, 403, 404, 410)
    ]
    await harness.worker.step()
    await harness.pass_time(120)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)


async def test_an_image_that_stays_missing_costs_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [ImageUnavailable(temporary=False, http_status=404) for _ in range(20)]
    await harness.worker.step()
    await harness.pass_time(600, stride=5)
    assert (await harness.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert await harness.money() == (50, 0)


@dataclass
class InterruptedService(ScriptedService):
    """A service during whose first poll the wall clock jumps and the worker starts another round."""

    harness: WorkerHarness | None = None

    async def get_task(self, task_id: str) -> Task:
        answer = await super().get_task(task_id)
        if self.harness is not None:
            harness, self.harness = self.harness, None
            harness.clock.jump(3600)
            await harness.worker.step()
        return answer


async def test_a_poll_under_way_is_not_repeated_when_the_wall_clock_jumps(harness: WorkerHarness) -> None:
    service = harness.service = InterruptedService(harness.clock)
    harness.restart()
    await harness.imagine()
    await harness.worker.step()
    service.harness = harness
    await harness.pass_time(6)
    assert len(service.polls["task-1"]) == 1
    await harness.pass_time(60)
    assert service.closest_polls() >= 5.0


async def test_after_a_jump_of_the_wall_clock_no_process_polls_right_after_another(harness: WorkerHarness) -> None:
    await harness.imagine()
    first = harness.worker
    harness.restart()
    harness.service.on_poll = [RUNNING_TASK] * 3
    await first.step()
    await harness.worker.step()
    harness.clock.advance(5)
    await first.step()
    assert len(harness.service.polls["task-1"]) == 1
    harness.clock.jump(30)
    await harness.pass_time(60)
    assert len(harness.service.polls["task-1"]) == 4
    assert harness.service.closest_polls() >= 5.0


async def test_a_cancel_before_the_submit_is_published_at_once_and_logs_no_error(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    generation_id = await harness.imagine()
    harness.database = MeanwhileCancelled(harness.database, harness, generation_id)
    harness.restart()
    await harness.worker.step()
    await harness.worker.step()
    assert harness.delivery.last_states() == [State.CANCELLED]
    assert harness.service.posts == []
    assert await harness.money() == (50, 0)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_step_that_fails_does_not_end_the_claim_while_a_post_beside_it_is_under_way(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine(count=2)
    harness.database = MeanwhileCancelled(harness.database, harness, generation_id, after=2)
    harness.restart()

    async def take_long() -> None:
        await asyncio.sleep(0.2)

    harness.service.during_create = take_long
    await harness.worker.step()
    await harness.worker.step()
    assert await harness.states(generation_id) == [State.RUNNING, State.CANCELLED]
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.DELIVERED, State.CANCELLED]
    assert await harness.money() == (45, 0)


class MeanwhileCancelled(DatabaseInFront):
    """A database in which the person cancels right after *after* transactions; the first is the claim."""

    def __init__(self, database: Database, harness: WorkerHarness, generation_id: int, *, after: int = 1) -> None:
        super().__init__(database)
        self._generation_id, self._left = generation_id, after
        self._service = harness.generations
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        async with self._turn:
            yield
            self._left -= 1
            if self._left == 0:
                await self._service.cancel(self._generation_id, user_id=MIRA, may_manage=False)


@dataclass
class SlowDelivery(FakeDelivery):
    """A delivery whose process is stopped during its first publish, until another one has published everything."""

    harness: WorkerHarness | None = None
    attachment_ids: list[list[int]] = field(default_factory=list)  # the positions on the card after each publish

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, DownloadedImage]
    ) -> DeliveryResult:
        if self.harness is not None:
            harness, self.harness = self.harness, None
            harness.restart()
            harness.clock.jump(30)  # past the lease, without waking its renewal
            await harness.pass_time(20)
        shown = await super().publish(generation, progress, image_files)
        self.attachment_ids.append(sorted(generation.attachment_ids.keys() | shown.attachments.keys()))
        return shown


async def test_a_stale_edit_of_a_stopped_process_is_published_again_with_the_image_it_removed(
    harness: WorkerHarness,
) -> None:
    delivery = harness.delivery = SlowDelivery()
    harness.restart()
    generation_id = await harness.imagine(count=2)
    await harness.worker.step()
    harness.service.on_poll = [READY_TASK, RUNNING_TASK]
    delivery.harness = harness
    await harness.pass_time(60)
    assert delivery.attachment_ids[-3:] == [[0, 1], [0], [0, 1]], "the other one's, the late one, and the last"
    assert await harness.states(generation_id) == [State.DELIVERED, State.DELIVERED]
    assert await harness.money() == (40, 0)


async def test_a_request_cancelled_by_one_handler_is_published_on_the_card_of_another(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(answered=False)
    await harness.generations.abandon(generation_id, card=True)
    assert await harness.money() == (50, 0)
    harness.delivery.found_cards = [DeliveryDelayed(5), 777]
    await harness.pass_time(60)
    assert harness.delivery.last_states() == [State.CANCELLED]
    assert (await harness.load(generation_id)).message_id == 777
    assert harness.delivery.found_cards == []
    assert harness.service.posts == []


async def test_a_cancelled_request_without_a_card_has_nothing_to_publish(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(answered=False)
    await harness.generations.abandon(generation_id, card=True)
    harness.delivery.found_cards = [None]
    await harness.pass_time(60)
    assert not (await harness.load(generation_id)).is_unpublished
    assert harness.delivery.found_cards == [] and harness.delivery.published == []
