"""What the worker logs: one line for each move of an image, and few lines a minute in an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from generations import records
from generations.delivery_result import Place
from generations.model import MOVES, State
from generations.records.tables import images
from generations.stale_edits import StaleEditGuard
from qwen.errors import ImageUnavailable, OutcomeUnknown, PromptRefused, ServiceUnavailable
from qwen.models import Task, TaskRequest, TaskStatus
from store.errors import DatabaseLost
from store.transactions import Transaction
from tests.captured_log import CapturedLog, Moves, captured_log
from tests.doubles import RUNNING_TASK, DatabaseInFront, ScriptedService, task
from tests.worker.conftest import JONAS, MIRA, WorkerHarness

DAY_SECONDS = 86_400


@pytest.fixture
def log(harness: WorkerHarness) -> Iterator[CapturedLog]:
    with captured_log(harness.clock, "qwen_imagine") as made:
        yield made


class WatchedDatabase(DatabaseInFront):
    """A database that notes after each transaction which images are in another state than before it."""

    def __init__(self, harness: WorkerHarness) -> None:
        super().__init__(harness.database)
        self._states: dict[str, str] = {}
        self.moves: Moves = []

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        yield
        for image_id, state in (await self.real.read(load_states)).items():
            before = self._states.get(image_id, state)
            if before != state:
                self.moves.append((image_id, before, state))
            self._states[image_id] = state


def load_states(tx: Transaction) -> dict[str, str]:
    rows = tx.execute(select(images.c.generation_id, images.c.position, images.c.state))
    return {f"{row[0]}-{row[1]}": row[2] for row in rows}


async def test_each_move_of_an_image_is_one_line_with_both_states_and_why(
    harness: WorkerHarness, log: CapturedLog
) -> None:
    watched = harness.database = WatchedDatabase(harness)
    harness.max_per_user = 20
    harness.restart()
    service, delivery, worker = harness.service, harness.delivery, harness.worker

    service.on_create = [ServiceUnavailable("refused"), RUNNING_TASK, RUNNING_TASK, OutcomeUnknown("reset")]
    await harness.imagine(count=4)
    await harness.pass_time(20)
    service.on_create = [PromptRefused("no", http_status=400), RUNNING_TASK]
    service.on_poll = [task(TaskStatus.FAILED, error="no")]
    await harness.imagine(count=2)
    await harness.pass_time(10)
    cancelled = await harness.imagine(user_id=JONAS)
    await harness.generations.cancel(cancelled, user_id=JONAS, may_manage=False)
    await harness.generations.abandon(await harness.imagine(user_id=JONAS, answered=False))
    await worker.step()

    delivery.places = [Place.NOWHERE]
    await harness.imagine(user_id=JONAS)
    await harness.pass_time(8)
    harness.image_store.faults = [ImageUnavailable("gone", temporary=False)] * 10
    for _ in range(10):
        harness.clock.advance(DAY_SECONDS)
        await worker.step()
    harness.image_store.faults = []

    late = await harness.imagine(user_id=JONAS)
    await worker.step()
    service.on_poll = [RUNNING_TASK]
    harness.clock.advance(harness.deadline_seconds)
    await worker.step()
    await harness.pass_time(600, stride=60)
    assert await harness.states(late) == [State.DELIVERED]
    attachments = (await harness.load(late)).attachment_ids
    guard = StaleEditGuard(harness.database, harness.clock)
    await guard.forget_attachments(await harness.load(late), attachments)
    await worker.step()

    assert log.moves() == watched.moves
    legal = {(source.value, target.value) for source, targets in MOVES.items() for target in targets}
    assert legal - {move[1:] for move in watched.moves} == {
        *(("requested", "expired"), ("succeeded", "failed"), ("undelivered", "delivered")),
        ("unknown", "succeeded"),
    }, "the moves that happened here are all but these"


async def test_a_task_that_came_after_its_claim_was_lost_moves_its_image_in_one_line(
    harness: WorkerHarness, log: CapturedLog
) -> None:
    generation_id = await harness.imagine()
    (image,) = (await harness.load(generation_id)).images
    await harness.database.run(records.move, image, State.SUBMITTING, fence=None, why="its turn")
    for _ in range(2):
        await harness.database.run(records.adopt_task, generation_id, 0, "task-1", 0, by_submitter=True)
    assert log.moves()[1:] == [(image.image_id, "submitting", "running")]


async def test_the_lines_of_a_step_have_the_ids_of_its_image_person_and_server(
    harness: WorkerHarness, log: CapturedLog
) -> None:
    harness.service.on_poll = [ServiceUnavailable("no answer")]
    generation_id = await harness.imagine(count=2)
    await harness.pass_time(8)
    (failed,) = [line for line in log.lines() if "poll failed" in line["message"]]
    ids = {
        "correlation": str(generation_id),
        "generation": str(generation_id),
        "image": 0,
        "user": str(MIRA),
        "guild": "3",
    }
    assert {name: failed[name] for name in ids} == ids
    delivered = [line for line in log.lines() if line.get("to") == "delivered"]
    assert [{name: line[name] for name in ids} for line in delivered] == [{**ids, "image": 1}]


class AwayService(ScriptedService):
    """A service that can be reached by nobody while it is *away*."""

    away = False

    async def create_task(self, request: TaskRequest) -> Task:
        if self.away:
            self.on_create.insert(0, ServiceUnavailable("nobody answers"))
        return await super().create_task(request)

    async def get_task(self, task_id: str) -> Task:
        if self.away:
            self.on_poll.insert(0, ServiceUnavailable("nobody answers"))
        return await super().get_task(task_id)


async def test_while_the_image_service_is_away_tries_are_counted_and_few_lines_are_logged_a_minute(
    harness: WorkerHarness, log: CapturedLog
) -> None:
    harness.service = service = AwayService(harness.clock)
    harness.max_in_flight = 200
    harness.restart()

    async def live(seconds: int) -> int:
        """Let time pass, and return how many lines were logged meanwhile."""
        before = len(log.lines())
        for _ in range(seconds):
            harness.clock.advance(1)
            while await harness.worker.step():
                pass
        return len(log.lines()) - before

    for person in range(20):
        await harness.imagine(user_id=1000 + person)
    await live(1)
    assert len(service.posts) == 20
    service.away = True
    for person in range(20, 40):
        await harness.imagine(user_id=1000 + person)
    each_image_once = 2 * 20
    first, second = await live(60), await live(60)
    assert first <= each_image_once + 6 and second <= 6
    polls, posts = sum(map(len, service.polls.values())), len(service.posts) - 20
    assert polls > 100 and posts > 20
    service.away = False
    await live(120)
    assert len([move for move in log.moves() if move[2] == "delivered"]) == 40
    assert log.counted("poll failed") >= polls / 2
    assert log.counted("submitting -> requested") >= posts / 2


class LostDatabase(DatabaseInFront):
    """A database that can't be reached while it is *away*."""

    away = False

    @asynccontextmanager
    async def around(self) -> AsyncGenerator[None, None]:
        if self.away:
            raise DatabaseLost("the connection to the database broke")
        yield


async def test_a_minute_without_database_is_a_few_lines_and_the_failed_rounds_are_counted(
    harness: WorkerHarness, log: CapturedLog
) -> None:
    harness.database = database = LostDatabase(harness.database)
    harness.restart()
    for person in range(20):
        await harness.imagine(user_id=1000 + person)
    await harness.worker.step()

    async def lose_database() -> None:
        database.away = True

    harness.service.during_poll = lose_database
    harness.clock.advance(10)
    began = len(log.lines())
    running = asyncio.create_task(harness.worker.run())
    while not database.away or harness.worker.steps():  # noqa: ASYNC110 - it gives no signal
        await asyncio.sleep(0.01)
    for _ in range(60):
        harness.clock.advance(1)
        harness.worker.nudge()
        await asyncio.sleep(0.02)
    lines = len(log.lines()) - began
    await harness.worker.drain()
    await running
    assert 2 <= lines <= 5, log.messages()[began:]
