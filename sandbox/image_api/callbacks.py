"""Sends callbacks: on time, twice, early or forged.

The document names callback_url and nothing else: one POST of JSON, with the same envelope as a status answer, is this
stand-in's choice; some moods call as similar services do. Only addresses of this machine are ever called.
"""

from __future__ import annotations

import ipaddress
import logging
from urllib.parse import urlsplit

import aiohttp

from sandbox.image_api.document import Json, envelope
from sandbox.image_api.moods import Mood
from sandbox.image_api.tasks import Task

TIMEOUT_SECONDS = 5.0
FORGED_URL = "http://127.0.0.1:1/forged.png"

log = logging.getLogger(__name__)


def is_loopback_url(url: str) -> bool:
    """Return whether the URL's host is localhost or a loopback address; no name is resolved."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def forged_data(task: Task) -> Json:
    """Return what an attacker who knows only the callback's URL would send."""
    return {**task.report("SUCCESS", ""), "response": [FORGED_URL]}


def callback_body(data: Json, mood: Mood) -> Json:
    """Return the body of a callback about a task whose status answer would have *data*."""
    others = {name: value for name, value in data.items() if name != "task_id"}
    if mood is Mood.CALLBACK_ID:
        return {"id": data["task_id"], **others}
    return envelope(200, "success", {"taskId": data["task_id"], **others} if mood is Mood.CALLBACK_TASKID else data)


class Callbacks:
    """Sends callbacks through one HTTP session of its own."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0

    async def send(self, url: str, data: Json, mood: Mood = Mood.NORMAL) -> None:
        """Send one POST, or a PUT where the mood says so. There are no retries: the document promises none."""
        if not is_loopback_url(url):
            log.error("callback_url names another machine; the sandbox never calls it")
            return
        self.sent += 1
        try:
            method = "PUT" if mood is Mood.CALLBACK_PUT else "POST"
            async with self._open_session().request(
                method, url, json=callback_body(data, mood), allow_redirects=False
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("a callback was not delivered: %s", type(error).__name__)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
