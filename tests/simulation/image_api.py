"""A simulated image API and its CDN, behind a replacement of aiohttp.ClientSession; records posts, polls and downloads.

QwenClient and ImageDownloader are the real ones. The service completes a request that was sent, even when the process
that sent it is dead.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from multidict import CIMultiDict

from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.png_images import empty_png, number_in, numbered_png, task_id_in

HOST = "cdn.example.com"
STORE_HOST = "store.example.com"  # where every address of an image redirects to
API_URL = "https://api.example.com/api"
PUBLIC_URL = "https://bot.example.com"
HUGE_BYTES = 30 << 20
PickFault = Callable[[str], str | None]
Note = Callable[[str], None]


@dataclass(slots=True)
class Post:
    """One POST that left a process."""

    image: str  # key of the image it asks for
    life: Life
    at: float
    fault: str | None
    accepted: bool = False  # the service accepted it and created a task
    sure: bool = False  # it was answered with a sure refusal, or never sent
    received_task_id: str | None = None  # the task id, once the process has received it
    token: str = ""  # of the callback address; empty: no callback was asked for
    asked: dict[str, Any] = field(default_factory=dict[str, Any])
    above_limit: bool = False  # it was refused by the limit of running tasks


@dataclass(slots=True)
class ApiTask:
    id: str
    image: str  # empty: a task of another customer
    outcome: str
    ready_at: float
    consumed: int
    data: bytes
    huge: bool = False  # announced with more bytes than the bot downloads
    asked: dict[str, Any] = field(default_factory=dict[str, Any])  # prompt and seed, as its status reports them


@dataclass(slots=True)
class Poll:
    at: float
    life: Life
    answer: str = ""  # the status or the code of the refusal, once it was sent


@dataclass
class ImageApi:
    """The state of the service. The tasks it accepts get *outcomes* and *sizes* in turn."""

    loop: VirtualLoop
    seed: int
    outcomes: tuple[str, ...]
    task_seconds: tuple[float, float]
    pick_fault: PickFault
    note: Note
    sizes: tuple[str, ...] = ()  # of the images, in turn: "usual" or "huge"; none: PNG files without pixels
    task_limit: int = 0  # tasks that may run at once; 0: any number
    on_accept: Callable[[Post, ApiTask], None] = lambda post, task: None
    faults_ended: bool = False  # no task is stuck or gone any more
    posts: list[Post] = field(default_factory=list)
    tasks: dict[str, ApiTask] = field(default_factory=dict)
    polls: dict[str, list[Poll]] = field(default_factory=dict)
    downloads: Counter[tuple[str, str]] = field(default_factory=Counter)  # of whole images, by (life, task)

    def rng_for(self, what: str) -> random.Random:
        """Return a generator seeded by *what*, so that other calls of the run don't change its values."""
        return random.Random(f"{self.seed} {what}")

    def accept(self, image: str) -> ApiTask:
        rng = self.rng_for(f"task {image} {len(self.posts)}")
        number = sum(map(ord, image)) % len(self.outcomes)
        task = ApiTask(
            id=f"task-{image}-{len(self.tasks)}",
            image=image,
            outcome=self.outcomes[number],
            ready_at=self.loop.time() + rng.uniform(*self.task_seconds),
            consumed=rng.choice((5, 5, 5, 3, 0)),
            data=b"",
        )
        self.tasks[task.id] = task
        task.data = empty_png(task.id)
        if self.sizes:
            number = len(self.tasks) - 1
            task.data = numbered_png(task.id, number, self.rng_for(f"painting {task.id}"))
            # A huge image is never downloaded, so it can't turn out to be "not an image".
            task.huge = self.sizes[number % len(self.sizes)] == "huge" and task.outcome != "not an image"
        return task

    def is_full(self) -> bool:
        """Whether the limit of running tasks is reached."""
        running = sum(bool(task.image) and not self.has_ended(task) for task in self.tasks.values())
        return 0 < self.task_limit <= running

    def has_ended(self, task: ApiTask) -> bool:
        return self.loop.time() >= task.ready_at and self.outcome_of(task) not in ("stuck", "gone")

    def create_foreign_task(self, name: str) -> ApiTask:
        """Create a finished task of another customer, with an image of its own."""
        asked = {"prompt": "somebody else's idea", "seed": 7}
        task = ApiTask(name, "", "success", self.loop.time(), 5, empty_png(name), asked=asked)
        return self.tasks.setdefault(name, task)

    def task_of_image(self, data: bytes) -> str:
        """Return the id of the task that made this image, also after re-encoding."""
        return task_id_in(data) or list(self.tasks)[number_in(data)]

    def outcome_of(self, task: ApiTask) -> str:
        return "success" if self.faults_ended and task.outcome in ("stuck", "gone") else task.outcome

    def status(self, task: ApiTask) -> dict[str, Any]:
        outcome = self.outcome_of(task)
        data: dict[str, Any] = {"task_id": task.id, "status": "IN_PROGRESS", "consumed_credits": 0}
        data |= {"request": task.asked} if task.asked else {}
        if not self.has_ended(task):
            return data
        if outcome in ("declined", "failed"):
            words = "Content policy violation detected" if outcome == "declined" else "the worker restarted"
            return {**data, "status": "FAILED", "error_message": words}
        urls = [] if outcome == "no image" else [f"https://{HOST}/{task.id}.png"]
        return {**data, "status": "SUCCESS", "consumed_credits": task.consumed, "response": urls}


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer of the service; the part of aiohttp.ClientResponse that qwen uses."""

    status: int
    body: bytes
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    more_bytes: int = 0  # announced bytes beyond the body

    @property
    def content(self) -> _Body:
        return _Body(self.body)

    @property
    def content_length(self) -> int:
        return len(self.body) + self.more_bytes


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, most: int) -> bytes:
        part, self._data = self._data[:most], self._data[most:]
        return part

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._data


class _Writer:
    async def write(self, data: bytes) -> None:
        pass


class _Connector:
    force_close = True


class Session:
    """The part of aiohttp.ClientSession that qwen uses, for one process."""

    def __init__(self, api: ImageApi, life: Life) -> None:
        self.connector = _Connector()
        self._api = api
        self._life = life

    @asynccontextmanager
    async def request(
        self, method: str, url: Any, *, data: Any = None, timeout: Any = None, **_: Any
    ) -> AsyncIterator[_Reply]:
        async with asyncio.timeout(timeout.total):
            if method == "POST":
                yield await self._post(data)
            else:
                yield await self._poll(parse_qs(urlsplit(str(url)).query)["task_id"][0])

    @asynccontextmanager
    async def get(self, url: Any, **_: Any) -> AsyncIterator[_Reply]:
        async with asyncio.timeout(15.0):
            yield await self._image(str(url))

    async def _post(self, body: Any) -> _Reply:
        api, asked = self._api, json.loads(body.decode())
        image = f"{asked['prompt'].split()[-1]}-{asked['seed']}"
        fault = api.pick_fault("post")
        token = asked.get("callback_url", "").rpartition("/")[2]
        post = Post(image, self._life, api.loop.time(), fault, token=token, asked=asked if token else {})
        api.posts.append(post)
        api.note(f"{self._life.name} posts image {image}: {fault or 'ok'}")
        rng = api.rng_for(f"post {image} {len(api.posts)}")
        await asyncio.sleep(rng.uniform(0.001, 0.1))
        if fault == "refused":
            post.sure = True
            raise aiohttp.ClientConnectionError("refused")
        await body.write_with_length(_Writer(), None)
        reply = await self._exchange(fault, rng, lambda: _answer_post(api, post, fault))
        if post.accepted and reply.status == 200 and fault is None:
            post.received_task_id = json.loads(reply.body)["data"]["task_id"]
        return reply

    async def _poll(self, task_id: str) -> _Reply:
        api = self._api
        fault = api.pick_fault("poll")
        polls = api.polls.setdefault(task_id, [])
        poll = Poll(api.loop.time(), self._life)
        polls.append(poll)
        rng = api.rng_for(f"look {task_id} {len(polls)}")
        reply = await self._exchange(fault, rng, lambda: _answer_poll(api, task_id, fault))
        poll.answer = _answer_in(reply)
        api.note(f"{self._life.name} polls {task_id}: {fault or 'ok'} {reply.status} {reply.body[:90]!r}")
        return reply

    async def _image(self, url: str) -> _Reply:
        api = self._api
        fault = api.pick_fault("image")
        rng = api.rng_for(f"image {url} {api.loop.time()}")
        reply = await self._exchange(fault, rng, lambda: _answer_image(api, url, fault))
        api.note(f"{self._life.name} downloads {url}: {fault or 'ok'} {reply.status}")
        if reply.status == 200:
            api.downloads[self._life.name, _task_at(url)] += 1
        return reply

    async def _exchange(self, fault: str | None, rng: random.Random, effect: Callable[[], _Reply]) -> _Reply:
        """Send a request, run *effect* at the service and wait for the answer; each of the three may fail."""
        loop = self._api.loop
        answer: asyncio.Future[_Reply] = loop.create_future()

        async def serve() -> None:
            await asyncio.sleep(rng.uniform(0.005, 0.3) * (40 if fault == "slow" else 1))
            if fault == "cut before":
                return _break(answer)
            reply = effect()
            if fault == "cut after":
                return _break(answer)
            if fault != "silent":
                await asyncio.sleep(rng.uniform(0.005, 0.3) * (40 if fault == "slow" else 1))
                if not answer.done():
                    answer.set_result(reply)
            return None

        loop.spawn(None, serve())
        if fault == "refused":
            raise aiohttp.ClientConnectionError("refused")
        return await answer


def _break(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(aiohttp.ServerDisconnectedError())


_REFUSALS = {"400": 400, "401": 401, "402": 402, "429": 429, "429 wait": 429, "500 before": 500, "503": 503, "404": 404}
_OTHER_WORDS = {"IN_PROGRESS": "processing", "SUCCESS": "completed", "FAILED": "error"}
_SURE = {"400", "401", "402", "429", "429 wait"}


def _refusal(fault: str | None, *, by_proxy: bool = False) -> _Reply | None:
    """*by_proxy*: a page of HTML is a CDN's challenge, and the request did not reach the service."""
    if fault == "html":
        return _Reply(403 if by_proxy else 200, b"<!doctype html><title>Please wait</title>")
    if fault not in _REFUSALS:
        return None
    code = _REFUSALS[fault]
    headers = CIMultiDict({"Retry-After": "7"}) if fault == "429 wait" else CIMultiDict[str]()
    return _Reply(code, json.dumps({"code": code, "message": "no", "data": None}).encode(), headers)


def _answer_post(api: ImageApi, post: Post, fault: str | None) -> _Reply:
    by_proxy = len(api.posts) % 2 == 0
    refusal = _refusal(fault, by_proxy=by_proxy)
    post.sure = fault in _SURE or (fault == "html" and by_proxy)
    if refusal is not None:
        return refusal
    if api.is_full():
        post.above_limit, post.sure = True, fault not in ("cut after", "silent")  # else this answer arrives
        return _refusal("429") or _envelope({})
    task = api.accept(post.image)
    post.accepted = True
    task.asked = {name: post.asked[name] for name in ("prompt", "seed") if name in post.asked}
    api.on_accept(post, task)
    api.note(f"the service accepts {task.id} ({task.outcome})")
    if fault == "500 after":
        return _Reply(500, b"")
    data = {} if fault == "no task id" else {"task_id": task.id, "status": "PENDING"}
    return _envelope(data)


def _answer_poll(api: ImageApi, task_id: str, fault: str | None) -> _Reply:
    refusal = _refusal(fault, by_proxy=len(api.polls[task_id]) % 2 == 0)
    task = api.tasks.get(task_id)
    if refusal is not None:
        return refusal
    if task is None or api.outcome_of(task) == "gone":
        return _refusal("404") or _envelope({})
    if fault == "odd" and len(api.polls[task_id]) % 2 == 0:
        status = api.status(task)
        return _envelope({**status, "status": _OTHER_WORDS[status["status"]]})
    if fault == "odd":
        return _envelope({"task_id": task_id, "status": "WARMING_UP"})
    return _envelope(api.status(task))


def _answer_image(api: ImageApi, url: str, fault: str | None) -> _Reply:
    refusal = _refusal(fault)
    name = url.rpartition("/")[2]
    task = api.tasks.get(_task_at(url))
    if refusal is not None:
        return refusal
    if not url.startswith(f"https://{STORE_HOST}/"):
        return _Reply(302, b"", CIMultiDict({"Location": f"//{STORE_HOST}/{name}"}))
    if task is None:
        return _Reply(404, b"")
    more_bytes = HUGE_BYTES if task.huge else 0
    return _Reply(200, b"just text" if task.outcome == "not an image" else task.data, more_bytes=more_bytes)


def _task_at(url: str) -> str:
    return url.rpartition("/")[2].removesuffix(".png")


def _envelope(data: dict[str, Any]) -> _Reply:
    return _Reply(200, json.dumps({"code": 200, "message": "success", "data": data}).encode())


def _answer_in(reply: _Reply) -> str:
    """Return the status of the task, or the code of the refusal."""
    if not reply.body.startswith(b"{"):
        return "html"
    answer = json.loads(reply.body)
    status = (answer["data"] or {}).get("status", answer["code"])
    return next((known for known, other in _OTHER_WORDS.items() if status == other), str(status))
