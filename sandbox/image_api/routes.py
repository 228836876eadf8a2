"""The routes of the local image API: POST /generate, GET /status and the CDN.

In the mood "normal" they answer exactly as the document says; what the document does not name is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from sandbox.image_api.api import ImageApi, Post
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
from sandbox.image_api.image_cache import ImageCache
from sandbox.image_api.moods import Mood, written_status
from sandbox.image_api.tasks import Task
from sandbox.image_api.unanswered import UnansweredRequests
from sandbox.json_bodies import read_json

ROOT = "/image-api"
API_PATH = f"{ROOT}/api"
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


def attach_image_api(app: web.Application, images: ImageApi, public_url: Callable[[], str]) -> None:
    """Add the routes under /image-api. *public_url* gives the server's address once it listens."""
    Routes(images, public_url).attach(app)


class Routes:
    """The routes of one image API. When the application shuts down they end its callbacks and its open requests."""

    def __init__(self, images: ImageApi, public_url: Callable[[], str]) -> None:
        self._images = images
        self._public_url = public_url
        self._cache = ImageCache()
        self._unanswered = UnansweredRequests()

    def attach(self, app: web.Application) -> None:
        app.router.add_post(f"{API_PATH}/generate", self._generate)
        app.router.add_get(f"{API_PATH}/status", self._status, allow_head=False)
        app.router.add_get(f"{ROOT}/cdn/{{name}}", self._image, allow_head=False)
        app.router.add_route("*", f"{ROOT}/{{rest:.*}}", self._unknown)
        app.on_shutdown.append(self._shut_down)

    async def _shut_down(self, _: web.Application) -> None:
        self._unanswered.end()
        await self._images.close()

    @property
    def _cdn_url(self) -> str:
        return f"{self._public_url()}{ROOT}/cdn"

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        at_ms = self._images.now_ms()
        body: object = None
        task: Task | None = None
        mood = Mood.NORMAL
        try:
            check_authorization(request.headers.get("Authorization"), self._images.key)
            body = await _read_body(request)
            wanted = parse_generate(request.content_type, body)
            mood, kept_mood = self._images.dial.for_post(wanted.prompt)
            task = await self._accept(wanted, mood, kept_mood)
            answer = self._answer_post(task, mood)
        except Refused as refused:
            answer = _refuse(refused, mood)
        sent = None if mood is Mood.SILENT else answer.status
        self._images.posts.append(Post(at_ms, body, sent, task.task_id if task else None))
        await self._images.delay_answer()
        return await self._unanswered.keep(request, answer) if mood is Mood.SILENT else answer

    async def _accept(self, wanted: GenerateBody, mood: Mood, kept_mood: Mood | None) -> Task:
        if mood in _POST_REFUSING_MOODS:
            raise _POST_REFUSING_MOODS[mood]
        if mood is Mood.COUNTS_UTF16:
            check_utf16_length(wanted.prompt)
        task = self._images.accept(wanted, mood, kept_mood)
        await self._images.call_back(task, self._cdn_url)
        return task

    def _answer_post(self, task: Task, mood: Mood) -> web.Response:
        if mood is Mood.GARBAGE:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        if mood is Mood.ERROR_AFTER:
            return _refuse(Refused(500, "Internal Server Error."), mood)
        mood = self._images.mood_of(task)
        status = written_status(task.status(self._images.now_ms(), mood), mood)
        return _json(200, envelope(200, "success", {"task_id": task.task_id, "status": status}))

    async def _status(self, request: web.Request) -> web.StreamResponse:
        mood = Mood.NORMAL
        try:
            check_authorization(request.headers.get("Authorization"), self._images.key)
            task_id = parse_status(dict(request.query))
            self._images.polls.setdefault(task_id, []).append(self._images.now_ms())
            task = self._images.task(task_id)
            mood = task.next_polls.pop(0) if task.next_polls else self._images.dial.for_poll(task.kept_mood)
            answer = self._answer_poll(task, mood)
        except Refused as refused:
            answer = _refuse(refused, mood)
        await self._images.delay_answer()
        return await self._unanswered.keep(request, answer) if mood is Mood.SILENT else answer

    def _answer_poll(self, task: Task, mood: Mood) -> web.Response:
        if mood in _REFUSING_MOODS:
            raise _REFUSING_MOODS[mood]
        if mood is Mood.LOST_TASK:
            raise Refused(404, "Not Found: task ID does not exist.")
        if mood is Mood.GARBAGE:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        status = task.poll(self._images.now_ms(), mood)
        return _json(200, envelope(200, "success", task.report(status, self._cdn_url, mood)))

    async def _image(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        task = self._images.tasks.get(name.split(".")[0].split("-")[0])
        if task is None or name not in task.image_names():
            return web.Response(status=404, text="No such image.\n")
        body = task.body
        seed = task.seed + task.image_names().index(name)
        return await serve(
            request,
            self._images.mood_of(task),
            f"image/{body.output_format}",
            lambda: self._cache.get(body.prompt, seed, body.size, body.output_format),
        )

    async def _unknown(self, request: web.Request) -> web.Response:
        log.error("the image API's document has no %s %s", request.method, request.path)
        return _json(404, envelope(404, "Not Found: no such endpoint.", None))


async def _read_body(request: web.Request) -> object:
    try:
        return await read_json(request)
    except ValueError:
        raise Refused(400, "Bad Request: the body must be a JSON object.") from None


def _refuse(refused: Refused, mood: Mood) -> web.Response:
    if mood is Mood.CHALLENGE:  # Cloudflare docs, "Detect a Challenge Page response"
        return web.Response(
            status=refused.code, text=HTML_PAGE, content_type="text/html", headers={"cf-mitigated": "challenge"}
        )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if mood is Mood.BUSY_WAIT else {}
    return _json(refused.code, envelope(refused.code, refused.message, None), headers)


def _json(status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=HTTPStatus(status), headers=headers)
