"""Found by tests/simulation: what the worker does when it is overtaken in the narrowest places."""

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
from store.database import Database, Transaction
from tests.doubles import PAINTING, READY, DatabaseInFront, ScriptedService, Wall
from tests.worker.conftest import MIRA, Workshop


async def test_a_task_that_comes_between_anothers_claim_and_its_verdict_runs_on(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    generation_id = await workshop.imagine()

    async def oversleep() -> None:
        workshop.clock.advance(30)
        now_ms = workshop.clock.now_ms()
        async with workshop.database.transaction() as tx:
            await records.claim_due(tx, lease_holder="another", now_ms=now_ms, lease_until_ms=now_ms + 10_000, limit=5)

    workshop.service.during_create = oversleep
    await workshop.worker.step()
    image = (await workshop.load(generation_id)).images[0]
    assert (image.state, image.task_id) == (State.RUNNING, "task-1")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)
    assert len(workshop.service.posts) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_image_that_the_cdn_does_not_have_yet_is_asked_for_again(workshop: Workshop, status: int) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageUnavailable(temporary=False, http_status=status) for _ in range(2)]
    await workshop.worker.step()
    await workshop.pass_time(120)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)


async def test_an_image_that_stays_missing_costs_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageUnavailable(temporary=False, http_status=404) for _ in range(20)]
    await workshop.worker.step()
    await workshop.pass_time(600, stride=5)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert await workshop.money() == (50, 0)


@dataclass
class InterruptedService(ScriptedService):
    """While the first look is under way the wall clock leaps, and the worker's loop goes round once more."""

    workshop: Workshop | None = None

    async def get_task(self, task_id: str) -> Task:
        answer = await super().get_task(task_id)
        if self.workshop is not None:
            workshop, self.workshop = self.workshop, None
            workshop.clock.jump(3600)
            await workshop.worker.step()
        return answer


async def test_a_poll_under_way_is_not_doubled_when_the_wall_clock_leaps(workshop: Workshop) -> None:
    service = workshop.service = InterruptedService(workshop.clock)
    workshop.restart()
    await workshop.imagine()
    await workshop.worker.step()
    service.workshop = workshop
    await workshop.pass_time(6)
    assert len(service.polls["task-1"]) == 1
    await workshop.pass_time(60)
    assert service.closest_polls() >= 5.0


async def test_after_a_leap_of_the_wall_clock_no_process_polls_right_after_another(workshop: Workshop) -> None:
    await workshop.imagine()
    first = workshop.worker
    workshop.restart()
    workshop.service.on_poll = [PAINTING] * 3
    await first.step()
    await workshop.worker.step()
    workshop.clock.advance(5)
    await first.step()
    assert len(workshop.service.polls["task-1"]) == 1
    workshop.clock.jump(30)
    await workshop.pass_time(60)
    assert len(workshop.service.polls["task-1"]) == 4
    assert workshop.service.closest_polls() >= 5.0


async def test_a_cancel_that_overtakes_the_submit_is_shown_at_once_and_is_no_fault(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    generation_id = await workshop.imagine()
    workshop.database = MeanwhileCancelled(workshop.database, workshop, generation_id)
    workshop.restart()
    await workshop.worker.step()
    await workshop.worker.step()
    assert workshop.wall.last_states() == [State.CANCELLED]
    assert workshop.service.posts == []
    assert await workshop.money() == (50, 0)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_step_that_fails_does_not_end_the_claim_while_a_post_beside_it_is_under_way(
    workshop: Workshop,
) -> None:
    generation_id = await workshop.imagine(count=2)
    workshop.database = MeanwhileCancelled(workshop.database, workshop, generation_id, after=2)
    workshop.restart()

    async def take_long() -> None:
        await asyncio.sleep(0.2)

    workshop.service.during_create = take_long
    await workshop.worker.step()
    await workshop.worker.step()
    assert await workshop.states(generation_id) == [State.RUNNING, State.CANCELLED]
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.DELIVERED, State.CANCELLED]
    assert await workshop.money() == (45, 0)


class MeanwhileCancelled(DatabaseInFront):
    """The same database, in which the person cancels right after so many transactions; the first is the claim."""

    def __init__(self, database: Database, workshop: Workshop, generation_id: int, *, after: int = 1) -> None:
        super().__init__(database)
        self._generation_id, self._left = generation_id, after
        self._service = workshop.generations
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        async with self._turn:
            async with self._database.transaction() as tx:
                yield tx
            self._left -= 1
            if self._left == 0:
                await self._service.cancel(self._generation_id, user_id=MIRA, may_manage=False)


@dataclass
class SleepyWall(Wall):
    """Its process is stopped in the middle of its first show, until another one has shown all there is."""

    workshop: Workshop | None = None
    attachment_ids: list[list[int]] = field(default_factory=list)  # the positions on the card after each show

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, DownloadedImage]
    ) -> DeliveryResult:
        if self.workshop is not None:
            workshop, self.workshop = self.workshop, None
            workshop.restart()
            workshop.clock.jump(30)  # past the lease, without waking its renewal
            await workshop.pass_time(20)
        shown = await super().publish(generation, progress, image_files)
        self.attachment_ids.append(sorted(generation.attachment_ids.keys() | shown.attachments.keys()))
        return shown


async def test_what_a_stopped_process_shows_too_late_is_shown_anew_with_the_image_it_took_away(
    workshop: Workshop,
) -> None:
    wall = workshop.wall = SleepyWall()
    workshop.restart()
    generation_id = await workshop.imagine(count=2)
    await workshop.worker.step()
    workshop.service.on_poll = [READY, PAINTING]
    wall.workshop = workshop
    await workshop.pass_time(60)
    assert wall.attachment_ids[-3:] == [[0, 1], [0], [0, 1]], "the other one's, the late one, and the last"
    assert await workshop.states(generation_id) == [State.DELIVERED, State.DELIVERED]
    assert await workshop.money() == (40, 0)


async def test_what_one_handler_undid_is_told_on_the_card_that_another_had_sent(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(answered=False)
    await workshop.generations.abandon(generation_id, card=True)
    assert await workshop.money() == (50, 0)
    workshop.wall.finds = [DeliveryDelayed(5), 777]
    await workshop.pass_time(60)
    assert workshop.wall.last_states() == [State.CANCELLED]
    assert (await workshop.load(generation_id)).message_id == 777
    assert workshop.wall.finds == []
    assert workshop.service.posts == []


async def test_a_request_that_was_undone_and_has_no_card_owes_nobody_anything(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(answered=False)
    await workshop.generations.abandon(generation_id, card=True)
    workshop.wall.finds = [None]
    await workshop.pass_time(60)
    assert not (await workshop.load(generation_id)).is_unpublished
    assert workshop.wall.finds == [] and workshop.wall.shows == []
