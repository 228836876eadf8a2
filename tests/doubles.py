"""Fakes for the worker's neighbours, each behind a protocol of generations.ports."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Generation, Origin, Progress, State
from limits.model import Requester
from qwen.errors import QwenError
from qwen.images import DownloadedImage, FoundImage
from qwen.models import OutputFormat, Task, TaskRequest, TaskStatus
from settings import Settings
from store.database import Database
from store.transactions import Transaction

START_MS = 1_800_000_000_000

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def make_settings(**values: Any) -> Settings:
    """Return the default settings with *values*, unchecked; environment variables are ignored."""
    return Settings(**{"discord_token": "token", "qwen_api_key": "sk-key", **values})


def requester_of(origin: Origin) -> Requester:
    """Return who asks by *origin*: somebody without roles, in a channel that is open to all."""
    return Requester(origin.user_id, origin.guild_id, origin.channel_id)


class ManualClock:
    """A clock that moves only when a test advances it."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._numbers), future))
        await future

    def advance(self, seconds: float) -> None:
        """Advance both clocks and wake the sleepers that are due."""
        self._monotonic += seconds
        self._now_ms += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def jump(self, seconds: float) -> None:
        """Move the wall clock only, as an administrator or a time server does."""
        self._now_ms += round(seconds * 1000)


Answer = Task | QwenError


def task(
    status: TaskStatus,
    *,
    task_id: str = "",
    credits: int | None = 5,
    urls: tuple[str, ...] = (),
    error: str | None = None,
) -> Task:
    return Task(task_id, status, status.value, credits, error, urls)


RUNNING_TASK = task(TaskStatus.IN_PROGRESS)
READY_TASK = task(TaskStatus.SUCCESS, urls=("https://cdn.example.com/image.png",))


@dataclass
class ScriptedService:
    """An image API with scripted answers. Records every call, polls with their monotonic time."""

    clock: ManualClock
    on_create: list[Answer | BaseException] = field(default_factory=list)
    on_poll: list[Answer] = field(default_factory=list)
    posts: list[TaskRequest] = field(default_factory=list)
    polls: dict[str, list[float]] = field(default_factory=dict)
    during_create: Callable[[], Awaitable[None]] | None = None  # awaited once, before the answer
    during_poll: Callable[[], Awaitable[None]] | None = None  # the same

    async def create_task(self, request: TaskRequest) -> Task:
        self.posts.append(request)
        if self.during_create is not None:
            meanwhile, self.during_create = self.during_create, None
            await meanwhile()
        answer = self.on_create.pop(0) if self.on_create else RUNNING_TASK
        if isinstance(answer, BaseException):
            raise answer
        return task(answer.status, task_id=answer.task_id or f"task-{len(self.posts)}")

    async def get_task(self, task_id: str) -> Task:
        self.polls.setdefault(task_id, []).append(self.clock.monotonic())
        if self.during_poll is not None:
            meanwhile, self.during_poll = self.during_poll, None
            await meanwhile()
        answer = self.on_poll.pop(0) if self.on_poll else READY_TASK
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def closest_polls(self) -> float:
        """Return the shortest time between two polls of one task, in seconds."""
        gaps = [later - earlier for times in self.polls.values() for earlier, later in itertools.pairwise(times)]
        return min(gaps, default=float("inf"))


@dataclass
class FakeImageStore:
    """An image store. *faults* are raised first, one for each download."""

    faults: list[QwenError] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    during_download: Callable[[], Awaitable[None]] | None = None  # awaited once, before the answer

    async def download(self, url: str, announced: object = None) -> DownloadedImage:
        self.downloads.append(url)
        if self.during_download is not None:
            meanwhile, self.during_download = self.during_download, None
            await meanwhile()
        if self.faults:
            raise self.faults.pop(0)
        return DownloadedImage(b"\x89PNG picture", OutputFormat.PNG, 1024, 1024)


@dataclass
class FakeDelivery:
    """A delivery that records what it was asked to publish, in order."""

    places: list[Place | DeliveryResult | DeliveryDelayed] = field(default_factory=list)
    progress: list[tuple[Generation, Progress]] = field(default_factory=list)
    published: list[tuple[Generation, dict[int, FoundImage]]] = field(default_factory=list)
    card: int | None = 777
    delay_seconds: float = 0.0  # until images can be published
    found_cards: list[int | DeliveryDelayed | None] = field(default_factory=list)  # answers of find_card, before *card*

    def publish_progress(self, generation: Generation, progress: Progress) -> None:
        self.progress.append((generation, progress))

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        place = self.places.pop(0) if self.places else Place.CARD
        if isinstance(place, DeliveryDelayed):
            raise place
        self.published.append((generation, dict(image_files)))
        result = place if isinstance(place, DeliveryResult) else DeliveryResult(place)
        if result.attachments or result.place is Place.NOWHERE:
            return result
        return replace(
            result,
            attachments={position: 9000 + position for position in image_files},
            file_names={position: f"image-{position}.png" for position in image_files},
        )

    def publish_delay_seconds(self, generation: Generation) -> float:
        return self.delay_seconds

    async def find_card(self, generation: Generation) -> int | None:
        found = self.found_cards.pop(0) if self.found_cards else self.card
        if isinstance(found, DeliveryDelayed):
            raise found
        return found

    def last_states(self) -> list[State]:
        """Return the states of the images on the card that was published last."""
        return [image.state for image in self.published[-1][0].images]


@dataclass
class FakeOperator:
    """An operator that records its alerts."""

    matters: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)  # the details of those that are told once

    def tell(self, matter: str, detail: str) -> None:
        self.matters.append(matter)

    def tell_change(self, matter: str, detail: str) -> None:
        self.matters.append(matter)
        self.changes.append(detail)


class DatabaseInFront(Database):
    """A wrapper of a *real* database. Subclasses delay or break its transactions in around()."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.is_postgresql = real.is_postgresql

    @abstractmethod
    def around(self) -> AbstractAsyncContextManager[None]:
        """Return what each transaction runs in, reading ones too."""

    def in_background(self) -> Database:
        return self

    async def run(
        self, work: Callable[Concatenate[Transaction, Parameters], Result], *args: Any, **kwargs: Any
    ) -> Result:
        async with self.around():
            return await self.real.run(work, *args, **kwargs)

    async def read(
        self, work: Callable[Concatenate[Transaction, Parameters], Result], *args: Any, **kwargs: Any
    ) -> Result:
        async with self.around():
            return await self.real.read(work, *args, **kwargs)

    async def truncate_wal(self) -> bool:
        return await self.real.truncate_wal()

    async def vacuum(self, due: str, *, bytes_max: int | None = None) -> bool:
        return await self.real.vacuum(due, bytes_max=bytes_max)
