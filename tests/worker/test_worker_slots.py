"""Task slots are learned from the limit of the local image API."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from generations.model import State
from generations.worker.stored_limits import StoredLimits
from generations.worker.throttle import FIRST_SLOTS, FIRST_TRY_SECONDS, Throttle
from qwen.errors import RateLimited
from qwen.models import Task, TaskRequest, TaskStatus
from sandbox.image_api import ImageApi
from sandbox.image_api.document import GenerateBody, Refused
from sandbox.image_api.moods import Mood
from tests.doubles import RUNNING_TASK, ManualClock
from tests.worker.conftest import WorkerHarness

PAINTING_SECONDS = 12.0


@dataclass
class LocalService:
    """The local image API without its server, on the clock of the test."""

    clock: ManualClock
    max_tasks: int | None
    refused_at: list[float] = field(default_factory=list)
    running: list[int] = field(default_factory=list)  # number of running tasks after each accepted POST

    def __post_init__(self) -> None:
        self.local = ImageApi(
            self.clock, rng=random.Random(7), monotonic=self.clock.monotonic, max_tasks=self.max_tasks
        )
        self.local.seconds_per_image = (PAINTING_SECONDS, PAINTING_SECONDS)

    async def create_task(self, request: TaskRequest) -> Task:
        body = GenerateBody(request.prompt, request.size.value, request.seed, "png", request.callback_url)
        try:
            task = self.local.accept(body, Mood.NORMAL, None)
        except Refused as refused:
            self.refused_at.append(self.clock.monotonic())
            raise RateLimited(http_status=refused.code) from None
        self.running.append(self.local.count_tasks()["running"])
        return Task(task.task_id, TaskStatus.PENDING, "PENDING", None, None, ())

    async def get_task(self, task_id: str) -> Task:
        told: dict[str, Any] = self.local.task(task_id).report(
            self.local.task(task_id).status(self.local.now_ms(), Mood.NORMAL), "x:/"
        )
        urls = tuple(told["response"] or ())
        return Task(task_id, TaskStatus(told["status"]), told["status"], told["consumed_credits"], None, urls)


async def ask(harness: WorkerHarness, images: int) -> list[int]:
    return [await harness.imagine(user_id=5000 + number) for number in range(images)]


async def live(harness: WorkerHarness, seconds: float, *, stride: float = 0.5) -> None:
    """Advance the clock, and step the worker until nothing is due, as its loop does."""
    for _ in range(round(seconds / stride)):
        while await harness.worker.step():
            pass
        harness.clock.advance(stride)


def open_service(harness: WorkerHarness, max_tasks: int | None) -> LocalService:
    service = LocalService(harness.clock, max_tasks)
    harness.service = service  # type: ignore[assignment]
    harness.restart()
    return service


def stored_limits(harness: WorkerHarness, throttle: Throttle, *, shared: bool = False) -> StoredLimits:
    return StoredLimits(harness.database, throttle, harness.clock, shared=shared)


@pytest.mark.parametrize(("max_tasks", "rounds"), [(1, 12), (10, 5)])
async def test_the_slots_settle_just_under_a_limit_that_the_service_does_not_name(
    harness: WorkerHarness, max_tasks: int, rounds: int
) -> None:
    service = open_service(harness, max_tasks)
    images = rounds * max_tasks
    asked = await ask(harness, images)
    began = harness.clock.monotonic()
    while len(service.running) < images:
        await live(harness, 1)
        assert harness.clock.monotonic() - began < rounds * (PAINTING_SECONDS + 5.0) * 1.25, "the slots are used"
    await live(harness, 20)
    assert {state for one in asked for state in await harness.states(one)} == {State.DELIVERED}
    assert max(service.running) == max_tasks
    waves = len({round(at) for at in service.refused_at})
    assert 1 <= waves <= 5, "at first, and after 30, 60, 120 and 240 s"
    assert len(service.refused_at) <= waves + FIRST_SLOTS
    assert {(await harness.balance(5000 + number)).available for number in range(images)} == {45}
    assert await harness.money(5000) == (45, 0)


async def test_a_service_without_a_limit_is_used_up_to_the_ceiling_at_once(harness: WorkerHarness) -> None:
    service = open_service(harness, None)
    await ask(harness, 40)
    await live(harness, 0.5)
    assert max(service.running) == len(service.running) == 20
    assert service.refused_at == []


async def test_no_more_than_a_few_are_tried_at_once_before_one_is_taken(harness: WorkerHarness) -> None:
    service = open_service(harness, 0)
    asked = await ask(harness, 40)
    await live(harness, 1)
    assert len(service.refused_at) == FIRST_SLOTS
    assert {state for one in asked for state in await harness.states(one)} == {State.REQUESTED}


async def test_an_image_refused_with_429_keeps_its_turn_before_waiting_ones(harness: WorkerHarness) -> None:
    service = open_service(harness, 1)
    _, second = await ask(harness, 2)
    await live(harness, 1)
    assert len(service.refused_at) == 1
    assert (await harness.load(second)).cancellable
    later = await harness.imagine(user_id=6000)
    while len(service.running) < 2:
        await live(harness, 1)
    assert [await harness.states(one) for one in (second, later)] == [[State.RUNNING], [State.REQUESTED]]


async def test_an_image_that_had_its_turn_is_not_sent_above_the_number_that_was_learned_since(
    harness: WorkerHarness,
) -> None:
    service = open_service(harness, 2)
    asked = await ask(harness, 6)
    await live(harness, FIRST_TRY_SECONDS - 2)
    assert len({round(at) for at in service.refused_at}) == 1, "one wave, and nobody of it came again too early"
    first = [progress.line for one, progress in harness.delivery.progress if one.id == asked[3] and progress.line]
    assert first, "its card says that it waits in line"


async def test_a_429_on_a_poll_says_nothing_about_tasks(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK, RateLimited(), *[RUNNING_TASK] * 50]
    await ask(harness, 8)
    await live(harness, 1)
    before = harness.context.throttle.slots.count(harness.clock.monotonic())
    await live(harness, 20)
    assert harness.context.throttle.slots.count(harness.clock.monotonic()) == before


@pytest.mark.parametrize("named", [20.0, None])
async def test_a_429_on_a_post_pauses_posts_and_no_poll(harness: WorkerHarness, named: float | None) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 100
    await ask(harness, 1)
    await live(harness, 1)
    harness.service.on_create = [RateLimited(http_status=429, retry_after_seconds=named)]
    await harness.imagine(user_id=6000)
    await live(harness, 18)
    (times,) = harness.service.polls.values()
    assert len(times) == 3
    assert len(harness.service.posts) == 2


async def test_learned_slots_are_loaded_after_a_kill_and_by_other_processes(harness: WorkerHarness) -> None:
    service = open_service(harness, 3)
    await ask(harness, 12)
    other = Throttle(20)
    kept_by_other = stored_limits(harness, other)
    await kept_by_other.load()
    await live(harness, 3)
    assert len(service.refused_at) == 1
    harness.restart()
    await stored_limits(harness, harness.context.throttle).load()
    await kept_by_other.share()
    for learned in (harness.context.throttle, other):
        assert learned.slots.count(harness.clock.monotonic()) == 3
    refused = len(service.refused_at)
    await live(harness, FIRST_TRY_SECONDS - 5)
    assert len(service.refused_at) == refused, "a new process does not find the limit out anew"


async def test_a_process_without_new_knowledge_does_not_overwrite_saved_slots(
    harness: WorkerHarness,
) -> None:
    throttles = Throttle(20), Throttle(20)
    kept_first, kept_second = (stored_limits(harness, throttle) for throttle in throttles)
    first, second = (throttle.slots for throttle in throttles)
    await kept_first.load()
    await kept_second.load()
    first.refused(6, harness.clock.monotonic())
    first.accepted(6, harness.clock.monotonic())
    await kept_first.share()
    await kept_second.share()
    await kept_first.share()
    assert first.dump() == second.dump()
    assert second.count(harness.clock.monotonic()) == 6


async def test_without_learned_slots_the_running_tasks_are_counted(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 100
    await ask(harness, 10)
    await live(harness, 1)
    harness.restart()
    slots = harness.context.throttle.slots
    await stored_limits(harness, harness.context.throttle).load()
    assert slots.count(harness.clock.monotonic()) == 10 + FIRST_SLOTS


async def test_a_server_has_no_more_images_made_at_once_than_its_cap_and_its_cards_say_so(
    harness: WorkerHarness,
) -> None:
    harness.max_per_guild = 2
    harness.restart()
    ids = [await harness.imagine(user_id=600 + number) for number in range(3)]
    accepted = await harness.accept(user_id=610)
    await harness.worker.step()
    assert [await harness.states(each) for each in ids] == [[State.RUNNING], [State.RUNNING], [State.REQUESTED]]
    assert accepted.line is not None, "a place in line though slots are free"
    line = harness.worker.publisher.first_progress(await harness.accept(user_id=611)).line
    assert line is not None
    assert (line.server_running, line.server_position) == (2, 3)
