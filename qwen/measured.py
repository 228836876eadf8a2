"""Count the calls of the image API and the downloads, and how long they take. Used only where metrics are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from observability.metrics import Metrics
from qwen.errors import QwenError, RateLimited
from qwen.images import DownloadedImage
from qwen.models import Task, TaskRequest

Result = TypeVar("Result")


class _Service(Protocol):
    async def create_task(self, request: TaskRequest) -> Task: ...

    async def get_task(self, task_id: str) -> Task: ...


class _Store(Protocol):
    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage: ...


class _Measure:
    def __init__(self, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._metrics = metrics
        self._monotonic = monotonic

    async def __call__(self, call: str, made: Awaitable[Result], status_of: Callable[[Result], str]) -> Result:
        began_at, status = self._monotonic(), "cut_off"
        try:
            result = await made
            status = status_of(result)
            return result
        except QwenError as error:
            status = type(error).__name__
            if isinstance(error, RateLimited):
                self._metrics.rate_limited("api", error.retry_after_seconds or 0.0)
            raise
        finally:
            self._metrics.api_called(call, status, self._monotonic() - began_at)


class MeasuredService:
    """QwenClient, counted."""

    def __init__(self, service: _Service, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._service = service
        self._measure = _Measure(metrics, monotonic)

    async def create_task(self, request: TaskRequest) -> Task:
        return await self._measure("post", self._service.create_task(request), _status_of)

    async def get_task(self, task_id: str) -> Task:
        return await self._measure("poll", self._service.get_task(task_id), _status_of)


class MeasuredStore:
    """ImageDownloader, counted."""

    def __init__(self, store: _Store, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._measure = _Measure(metrics, monotonic)

    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage:
        return await self._measure("download", self._store.download(url, announced), lambda _: "ok")


def _status_of(task: Task) -> str:
    return task.status.value
