"""The state of the local image API: its key, tasks, mood and callbacks. Its routes are in routes.py."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.image_api.callbacks import Callbacks, forged_data
from sandbox.image_api.document import GenerateBody, Json, Refused
from sandbox.image_api.moods import Mood, MoodDial
from sandbox.image_api.tasks import Task, draw_seed, new_task_id

FAST_SECONDS = (0.5, 1.0)
SLOW_SECONDS = (50.0, 70.0)
# The document names no limit; similar services let a free key run 3 tasks at once, a paid one 10.
FEW_TASKS = 3
_ENDINGS = frozenset({"SUCCESS", "FAILED"})


@dataclass(frozen=True, slots=True)
class Post:
    """One POST /api/generate. `status` is the answer's HTTP status, None where no answer was sent."""

    at_ms: int  # monotonic
    body: object
    status: int | None
    task_id: str | None  # set when a task was made, also where the answer does not name it


class ImageApi:
    """The local image API. Times of tasks are monotonic, so a jump of the wall clock finishes none.

    *max_tasks*: how many tasks may run at once before a POST is answered with 429; None: any number.
    `seconds_per_image`: how long a task takes, drawn evenly from this range. `answer_seconds`: how long an answer takes
    after its effect. `posts`: every POST in order. `polls`, `calls`: the monotonic milliseconds of every GET /status
    and of every callback, by task id.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
        max_tasks: int | None = None,
    ) -> None:
        self.max_tasks = max_tasks
        self.key = f"sk-sandbox-{rng.getrandbits(128):032x}"
        self.dial = MoodDial()
        self.tasks: dict[str, Task] = {}
        self.posts: list[Post] = []
        self.polls: dict[str, list[int]] = {}
        self.calls: dict[str, list[int]] = {}
        self.seconds_per_image = (6.0, 9.0)
        self.answer_seconds = (0.0, 0.0)
        self.callbacks = Callbacks()
        self._clock = clock
        self._rng = rng
        self._answer_rng = random.Random(rng.getrandbits(64))
        self._monotonic = monotonic
        self._callback_tasks: set[asyncio.Task[None]] = set()

    @property
    def mood(self) -> Mood:
        return self.dial.mood

    @property
    def remaining(self) -> int | None:
        """How many more tasks the mood is for, None when it lasts."""
        return self.dial.remaining

    def set_mood(self, mood: Mood | str, count: int | None = None) -> None:
        """Set the mood, until it is changed or for the next *count* tasks. Raises ValueError for an unknown mood or a
        count below 1.
        """
        self.dial.set(Mood(mood), count)

    def aim_mood(self, words: str, mood: Mood | str) -> None:
        """Set the mood of the next POST whose prompt contains *words*. Raises ValueError for an unknown mood."""
        self.dial.aim(words, Mood(mood))

    def advance(self, seconds: float) -> None:
        """Make every task older by *seconds*."""
        for task in self.tasks.values():
            task.advance(seconds)

    def now_ms(self) -> int:
        """Return monotonic milliseconds."""
        return int(self._monotonic() * 1000)

    async def delay_answer(self) -> None:
        """Wait for a time drawn from `answer_seconds`."""
        await asyncio.sleep(self._answer_rng.uniform(*self.answer_seconds))

    def accept(self, body: GenerateBody, mood: Mood, kept_mood: Mood | None) -> Task:
        """Make a task that takes as long as the mood says. Raises Refused(429) above the limit of running tasks."""
        limit = FEW_TASKS if mood is Mood.FEW_TASKS else self.max_tasks
        if limit is not None and self.count_tasks()["running"] >= limit:
            raise Refused(429, "Too many tasks are running.")
        spans = {Mood.FAST: FAST_SECONDS, Mood.SLOW: SLOW_SECONDS}
        seconds = self._rng.uniform(*spans.get(mood, self.seconds_per_image))
        now_ms = self.now_ms()
        task = Task(
            task_id=new_task_id(self._rng),
            body=body,
            seed=draw_seed(body, self._rng),
            created_at_ms=self._clock.now_ms(),
            accepted_at_ms=now_ms,
            due_at_ms=now_ms + round(seconds * 1000),
            kept_mood=kept_mood,
        )
        self.tasks[task.task_id] = task
        return task

    def task(self, task_id: str) -> Task:
        """Return a task. Raises Refused(404) for an unknown id."""
        if task_id not in self.tasks:
            raise Refused(404, "Not Found: task ID does not exist.")
        return self.tasks[task_id]

    def mood_of(self, task: Task) -> Mood:
        return self.dial.for_task(task.kept_mood)

    def count_tasks(self) -> dict[str, int]:
        """Return how many tasks are running, done and failed now."""
        counts = {"running": 0, "done": 0, "failed": 0}
        for task in self.tasks.values():
            status = task.status(self.now_ms(), self.mood_of(task))
            counts[{"SUCCESS": "done", "FAILED": "failed"}.get(status, "running")] += 1
        return counts

    async def call_back(self, task: Task, cdn_url: str) -> None:
        """Start the callbacks that the task asked for; an early one is sent before this returns."""
        url = task.body.callback_url
        if url is None:
            return
        if self.mood_of(task) is Mood.CALLBACK_EARLY:
            await self._send(task, url, self._report(task, cdn_url))
        started = asyncio.create_task(self._call_back_when_done(task, url, cdn_url))
        self._callback_tasks.add(started)
        started.add_done_callback(self._callback_tasks.discard)

    async def close(self) -> None:
        """Cancel the callbacks under way."""
        for started in list(self._callback_tasks):
            started.cancel()
        await asyncio.gather(*self._callback_tasks, return_exceptions=True)
        await self.callbacks.close()

    async def _send(self, task: Task, url: str, data: Json) -> None:
        self.calls.setdefault(task.task_id, []).append(self.now_ms())
        await self.callbacks.send(url, data, self.mood_of(task))

    def _report(self, task: Task, cdn_url: str) -> Json:
        mood = self.mood_of(task)
        return task.report(task.status(self.now_ms(), mood), cdn_url, mood)

    async def _call_back_when_done(self, task: Task, url: str, cdn_url: str) -> None:
        half_seconds = (task.due_at_ms - self.now_ms()) / 2000
        await asyncio.sleep(half_seconds)
        if self.mood_of(task) is Mood.CALLBACK_FORGED:
            await self._send(task, url, forged_data(task))
        while task.status(self.now_ms(), self.mood_of(task)) not in _ENDINGS:  # noqa: ASYNC110 - time gives no signal
            await asyncio.sleep(max(0.02, min(0.5, (task.due_at_ms - self.now_ms()) / 1000)))
        times = {Mood.CALLBACK_LOST: 0, Mood.CALLBACK_TWICE: 2}.get(self.mood_of(task), 1)
        for _ in range(times):
            await self._send(task, url, self._report(task, cdn_url))
