"""The routes of the local image API: POST /generate, GET /status and the CDN, in the document's words.

Knows nothing of Discord or of the bot. What it answers on a good day is the document to the letter; anything that the
document does not name is refused loudly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from sandbox.clock import Clock
from sandbox.image_api.document import (
    GenerateBody,
    Json,
    Refused,
    check_authorization,
    check_utf16_length,
    envelope,
    parse_generate,
    parse_status,
)
from sandbox.image_api.downloads import serve
from sandbox.image_api.image_cache import Gallery
from sandbox.image_api.moods import Mood, written_status
from sandbox.image_api.service import Post, Service
from sandbox.image_api.tasks import Task
from sandbox.image_api.unanswered import Silence

ROOT = "/image-api"
RETRY_AFTER_SECONDS = 7
HTML_PAGE = "<!doctype html><title>Please wait</title><h1>Checking your browser before accessing this site</h1>\n"

log = logging.getLogger(__name__)

_REFUSING_MOODS = {
    Mood.KEY_REFUSED: Refused(401, "Unauthorized: missing or invalid API key."),
    Mood.BUSY: Refused(429, "Too many requests."),
    Mood.BUSY_WAIT: Refused(429, "Too many requests."),
    Mood.ERROR_BEFORE: Refused(500, "Internal Server Error."),
    Mood.CHALLENGE: Refused(403, "Forbidden."),
}
_POST_REFUSING_MOODS = {
    **_REFUSING_MOODS,
    Mood.BAD_REQUEST: Refused(400, "Bad Request: Invalid parameters."),
    Mood.EMPTY_ACCOUNT: Refused(400, "Insufficient credits. Please top up."),
}


class ImageApi:
    """The stand-in as one object: state for the panel and for tests, and `attach()` for its routes.

    `seconds_per_image`: how long a task takes, drawn evenly from this range; `answer_seconds`: how long an answer is on
    its way, after what was asked for has happened. `posts` holds every POST in order, `polls`
    the monotonic milliseconds of every GET /status by task id. `max_tasks`: above so many running tasks a POST is
    answered with 429.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
        max_tasks: int | None = None,
    ) -> None:
        self.service = Service(clock, rng=rng, monotonic=monotonic, max_tasks=max_tasks)
        self.answer_seconds = (0.0, 0.0)
        self._rng = random.Random(rng.getrandbits(64))
        self._gallery = Gallery()
        self._silence = Silence()
        self._public_url: Callable[[], str] = str

    @property
    def key(self) -> str:
        return self.service.key

    @property
    def mood(self) -> Mood:
        return self.service.dial.mood

    @property
    def remaining(self) -> int | None:
        """How many more tasks the mood is for, or None when it lasts."""
        return self.service.dial.remaining

    @property
    def tasks(self) -> dict[str, Task]:
        return self.service.tasks

    @property
    def posts(self) -> list[Post]:
        return self.service.posts

    @property
    def polls(self) -> dict[str, list[int]]:
        return self.service.polls

    @property
    def calls(self) -> dict[str, list[int]]:
        """The monotonic milliseconds of every callback, by task id, as it was sent."""
        return self.service.calls

    @property
    def seconds_per_image(self) -> tuple[float, float]:
        return self.service.seconds_per_image

    @seconds_per_image.setter
    def seconds_per_image(self, span: tuple[float, float]) -> None:
        self.service.seconds_per_image = span

    def set_mood(self, mood: Mood | str, count: int | None = None) -> None:
        """Change the mood, for good or for the next `count` tasks. Raises ValueError for an unknown mood or count."""
        self.service.dial.set(Mood(mood), count)

    def aim_mood(self, words: str, mood: Mood | str) -> None:
        """A mood for the next POST whose prompt holds *words* and no other. Raises ValueError for an unknown one."""
        self.service.dial.aim(words, Mood(mood))

    def advance(self, seconds: float) -> None:
        """Let so much time pass for every task at once; the wall clock's jumps don't reach them."""
        for task in self.tasks.values():
            task.advance(seconds)

    def attach(self, app: web.Application, public_url: Callable[[], str]) -> None:
        """Add the routes under /image-api. `public_url()` gives the server's address once it listens."""
        self._public_url = public_url
        app.router.add_post(f"{ROOT}/api/generate", self._generate)
        app.router.add_get(f"{ROOT}/api/status", self._status, allow_head=False)
        app.router.add_get(f"{ROOT}/cdn/{{name}}", self._image, allow_head=False)
        app.router.add_route("*", f"{ROOT}/{{rest:.*}}", self._unknown)
        app.on_shutdown.append(self._shut_down)

    async def close(self) -> None:
        """End callbacks under way and requests kept in silence."""
        self._silence.end()
        await self.service.close()

    async def _shut_down(self, _: web.Application) -> None:
        await self.close()

    @property
    def _cdn_url(self) -> str:
        return f"{self._public_url()}{ROOT}/cdn"

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        at_ms = self.service.now_ms()
        body: object = None
        task: Task | None = None
        mood = Mood.NORMAL
        try:
            check_authorization(request.headers.get("Authorization"), self.key)
            body = await _read_json(request)
            wanted = parse_generate(request.content_type, body)
            mood, kept_mood = self.service.dial.for_post(wanted.prompt)
            task = await self._accept(wanted, mood, kept_mood)
            answer = self._answer_post(task, mood)
        except Refused as refused:
            answer = _refuse(refused, mood)
        sent = None if mood is Mood.SILENT else answer.status
        self.posts.append(Post(at_ms, body, sent, task.task_id if task else None))
        await asyncio.sleep(self._rng.uniform(*self.answer_seconds))
        return await self._silence.instead_of(answer, request) if mood is Mood.SILENT else answer

    async def _accept(self, wanted: GenerateBody, mood: Mood, kept_mood: Mood | None) -> Task:
        if mood in _POST_REFUSING_MOODS:
            raise _POST_REFUSING_MOODS[mood]
        if mood is Mood.COUNTS_UTF16:
            check_utf16_length(wanted.prompt)
        task = self.service.accept(wanted, mood, kept_mood)
        await self.service.call_back(task, self._cdn_url)
        return task

    def _answer_post(self, task: Task, mood: Mood) -> web.Response:
        if mood is Mood.GARBAGE:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        if mood is Mood.ERROR_AFTER:
            return _refuse(Refused(500, "Internal Server Error."), mood)
        mood = self.service.mood_of(task)
        status = written_status(task.status(self.service.now_ms(), mood), mood)
        return _json(200, envelope(200, "success", {"task_id": task.task_id, "status": status}))

    async def _status(self, request: web.Request) -> web.StreamResponse:
        mood = Mood.NORMAL
        try:
            check_authorization(request.headers.get("Authorization"), self.key)
            task_id = parse_status(dict(request.query))
            self.polls.setdefault(task_id, []).append(self.service.now_ms())
            task = self.service.task(task_id)
            mood = task.next_polls.pop(0) if task.next_polls else self.service.dial.for_poll(task.kept_mood)
            answer = self._answer_poll(task, mood)
        except Refused as refused:
            answer = _refuse(refused, mood)
        await asyncio.sleep(self._rng.uniform(*self.answer_seconds))
        return await self._silence.instead_of(answer, request) if mood is Mood.SILENT else answer

    def _answer_poll(self, task: Task, mood: Mood) -> web.Response:
        if mood in _REFUSING_MOODS:
            raise _REFUSING_MOODS[mood]
        if mood is Mood.LOST_TASK:
            raise Refused(404, "Not Found: task ID does not exist.")
        if mood is Mood.GARBAGE:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        status = task.look(self.service.now_ms(), mood)
        return _json(200, envelope(200, "success", task.report(status, self._cdn_url, mood)))

    async def _image(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        task = self.tasks.get(name.split(".")[0].split("-")[0])
        if task is None or name not in task.image_names():
            return web.Response(status=404, text="No such image.\n")
        body = task.body
        seed = task.seed + task.image_names().index(name)
        return await serve(
            request,
            self.service.mood_of(task),
            f"image/{body.output_format}",
            lambda: self._gallery.picture(body.prompt, seed, body.size, body.output_format),
        )

    async def _unknown(self, request: web.Request) -> web.Response:
        log.error("the image API's document has no %s %s", request.method, request.path)
        return _json(404, envelope(404, "Not Found: no such endpoint.", None))


async def _read_json(request: web.Request) -> object:
    try:
        body: object = json.loads(await request.read())
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        raise Refused(400, "Bad Request: the body must be a JSON object.") from None
    return body


def _refuse(refused: Refused, mood: Mood) -> web.Response:
    if mood is Mood.CHALLENGE:  # Cloudflare docs, "Detect a Challenge Page response"
        return web.Response(
            status=refused.code, text=HTML_PAGE, content_type="text/html", headers={"cf-mitigated": "challenge"}
        )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if mood is Mood.BUSY_WAIT else {}
    return _json(refused.code, envelope(refused.code, refused.message, None), headers)


def _json(status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=HTTPStatus(status), headers=headers)
