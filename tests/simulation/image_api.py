"""The image API and its CDN, as a world of their own behind two sessions: what was taken, painted, looked at, fetched.

QwenClient and ImageDownloader are the real ones; only aiohttp's session is replaced. A request that was sent goes on
at the service when the process that sent it is dead.
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
from tests.simulation.paintings import frame_of, number_in, painting_of, task_in

HOST = "cdn.example.com"
STORE_HOST = "store.example.com"  # where every address of an image redirects to
API_URL = "https://api.example.com/api"
PUBLIC_URL = "https://bot.example.com"
HUGE_BYTES = 30 << 20
Trouble = Callable[[str], str | None]
Note = Callable[[str], None]


@dataclass(slots=True)
class Post:
    """One POST that left a process."""

    image: str  # which image it was for
    life: Life
    at: float
    fault: str | None
    taken: bool = False  # the service made a task of it
    sure: bool = False  # it was answered with a sure refusal, or never sent
    told: str | None = None  # the task id, once the process that asked was handed it
    token: str = ""  # of the address to call back on; empty: nobody wants to be called
    asked: dict[str, Any] = field(default_factory=dict[str, Any])
    above_limit: bool = False  # it was refused because as many tasks ran as may


@dataclass(slots=True)
class ApiTask:
    id: str
    image: str  # empty: another customer's
    outcome: str
    ready_at: float
    consumed: int
    data: bytes
    huge: bool = False  # more bytes than anybody fetches
    asked: dict[str, Any] = field(default_factory=dict[str, Any])  # what it says it was asked for


@dataclass(slots=True)
class Look:
    at: float
    life: Life
    said: str = ""  # the status or the refusal, once it was told


@dataclass
class ImageApi:
    """What the service knows. *outcomes* are taken in turn by the tasks it accepts."""

    loop: VirtualLoop
    seed: int
    outcomes: tuple[str, ...]
    paints: tuple[float, float]
    trouble: Trouble
    note: Note
    sizes: tuple[str, ...] = ()  # of the images, taken in turn; none: frames without an image in them
    task_limit: int = 0  # tasks that may run at once; 0: any number
    on_take: Callable[[Post, ApiTask], None] = lambda post, task: None
    healed: bool = False  # nothing is stuck or gone any more
    posts: list[Post] = field(default_factory=list)
    tasks: dict[str, ApiTask] = field(default_factory=dict)
    polls: dict[str, list[Look]] = field(default_factory=dict)
    downloads: Counter[tuple[str, str]] = field(default_factory=Counter)  # of whole images, by (life, task)

    def dice(self, what: str) -> random.Random:
        """Chances that depend on what they are about, not on what else happens in the run."""
        return random.Random(f"{self.seed} {what}")

    def take(self, image: str) -> ApiTask:
        dice = self.dice(f"task {image} {len(self.posts)}")
        number = sum(map(ord, image)) % len(self.outcomes)
        task = ApiTask(
            id=f"task-{image}-{len(self.tasks)}",
            image=image,
            outcome=self.outcomes[number],
            ready_at=self.loop.time() + dice.uniform(*self.paints),
            consumed=dice.choice((5, 5, 5, 3, 0)),
            data=b"",
        )
        self.tasks[task.id] = task
        task.data = frame_of(task.id)
        if self.sizes:
            number = len(self.tasks) - 1
            task.data = painting_of(task.id, number, self.dice(f"painting {task.id}"))
            # What nobody fetches nobody can look into: such a task has an image, or none at all.
            task.huge = self.sizes[number % len(self.sizes)] == "huge" and task.outcome != "not an image"
        return task

    def is_full(self) -> bool:
        """Whether as many tasks run as may."""
        running = sum(bool(task.image) and not self.has_ended(task) for task in self.tasks.values())
        return 0 < self.task_limit <= running

    def has_ended(self, task: ApiTask) -> bool:
        return self.loop.time() >= task.ready_at and self.outcome_of(task) not in ("stuck", "gone")

    def take_strangers(self, name: str) -> ApiTask:
        """A task of another customer's that is ready, with an image of its own."""
        asked = {"prompt": "somebody else's idea", "seed": 7}
        task = ApiTask(name, "", "success", self.loop.time(), 5, frame_of(name), asked=asked)
        return self.tasks.setdefault(name, task)

    def task_shown(self, data: bytes) -> str:
        """Whose image this is, also after it was made smaller."""
        return task_in(data) or list(self.tasks)[number_in(data)]

    def outcome_of(self, task: ApiTask) -> str:
        return "success" if self.healed and task.outcome in ("stuck", "gone") else task.outcome

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
    """An answer of the service, as far as qwen.client and qwen.images read it."""

    status: int
    body: bytes
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    more_bytes: int = 0  # that are announced and never fetched

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
    """aiohttp.ClientSession, as far as qwen uses it, for one process."""

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
                yield await self._look(parse_qs(urlsplit(str(url)).query)["task_id"][0])

    @asynccontextmanager
    async def get(self, url: Any, **_: Any) -> AsyncIterator[_Reply]:
        async with asyncio.timeout(15.0):
            yield await self._image(str(url))

    async def _post(self, body: Any) -> _Reply:
        api, asked = self._api, json.loads(body.decode())
        image = f"{asked['prompt'].split()[-1]}-{asked['seed']}"
        fault = api.trouble("post")
        token = asked.get("callback_url", "").rpartition("/")[2]
        post = Post(image, self._life, api.loop.time(), fault, token=token, asked=asked if token else {})
        api.posts.append(post)
        api.note(f"{self._life.name} posts image {image}: {fault or 'ok'}")
        dice = api.dice(f"post {image} {len(api.posts)}")
        await asyncio.sleep(dice.uniform(0.001, 0.1))
        if fault == "refused":
            post.sure = True
            raise aiohttp.ClientConnectionError("refused")
        await body.write_with_length(_Writer(), None)
        reply = await self._exchange(fault, dice, lambda: _answer_post(api, post, fault))
        if post.taken and reply.status == 200 and fault is None:
            post.told = json.loads(reply.body)["data"]["task_id"]
        return reply

    async def _look(self, task_id: str) -> _Reply:
        api = self._api
        fault = api.trouble("look")
        polls = api.polls.setdefault(task_id, [])
        look = Look(api.loop.time(), self._life)
        polls.append(look)
        dice = api.dice(f"look {task_id} {len(polls)}")
        reply = await self._exchange(fault, dice, lambda: _answer_poll(api, task_id, fault))
        look.said = _said(reply)
        api.note(f"{self._life.name} looks at {task_id}: {fault or 'ok'} {reply.status} {reply.body[:90]!r}")
        return reply

    async def _image(self, url: str) -> _Reply:
        api = self._api
        fault = api.trouble("image")
        dice = api.dice(f"image {url} {api.loop.time()}")
        reply = await self._exchange(fault, dice, lambda: _answer_image(api, url, fault))
        api.note(f"{self._life.name} downloads {url}: {fault or 'ok'} {reply.status}")
        if reply.status == 200:
            api.downloads[self._life.name, _task_at(url)] += 1
        return reply

    async def _exchange(self, fault: str | None, dice: random.Random, effect: Callable[[], _Reply]) -> _Reply:
        """Send, have the effect at the service, and wait for the answer: each of the three may fail."""
        loop = self._api.loop
        answer: asyncio.Future[_Reply] = loop.create_future()

        async def serve() -> None:
            await asyncio.sleep(dice.uniform(0.005, 0.3) * (40 if fault == "slow" else 1))
            if fault == "cut before":
                return _break(answer)
            reply = effect()
            if fault == "cut after":
                return _break(answer)
            if fault != "silent":
                await asyncio.sleep(dice.uniform(0.005, 0.3) * (40 if fault == "slow" else 1))
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


def _refusal(fault: str | None, *, turned_away: bool = False) -> _Reply | None:
    """*turned_away*: a page of HTML is a CDN's challenge, which was not passed on to the service."""
    if fault == "html":
        return _Reply(403 if turned_away else 200, b"<!doctype html><title>Please wait</title>")
    if fault not in _REFUSALS:
        return None
    code = _REFUSALS[fault]
    headers = CIMultiDict({"Retry-After": "7"}) if fault == "429 wait" else CIMultiDict[str]()
    return _Reply(code, json.dumps({"code": code, "message": "no", "data": None}).encode(), headers)


def _answer_post(api: ImageApi, post: Post, fault: str | None) -> _Reply:
    turned_away = len(api.posts) % 2 == 0
    refusal = _refusal(fault, turned_away=turned_away)
    post.sure = fault in _SURE or (fault == "html" and turned_away)
    if refusal is not None:
        return refusal
    if api.is_full():
        post.above_limit, post.sure = True, fault not in ("cut after", "silent")  # else this answer arrives
        return _refusal("429") or _envelope({})
    task = api.take(post.image)
    post.taken = True
    task.asked = {name: post.asked[name] for name in ("prompt", "seed") if name in post.asked}
    api.on_take(post, task)
    api.note(f"the service takes {task.id} ({task.outcome})")
    if fault == "500 after":
        return _Reply(500, b"")
    data = {} if fault == "no task id" else {"task_id": task.id, "status": "PENDING"}
    return _envelope(data)


def _answer_poll(api: ImageApi, task_id: str, fault: str | None) -> _Reply:
    refusal = _refusal(fault, turned_away=len(api.polls[task_id]) % 2 == 0)
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


def _said(reply: _Reply) -> str:
    """The status of the task, or the code of the refusal."""
    if not reply.body.startswith(b"{"):
        return "html"
    answer = json.loads(reply.body)
    status = (answer["data"] or {}).get("status", answer["code"])
    return next((known for known, other in _OTHER_WORDS.items() if status == other), str(status))
