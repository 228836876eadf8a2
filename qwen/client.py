"""QwenClient: the two calls of the image API over aiohttp. What is sent and how it is read is in protocol.py.

Must not know Discord, credits or the database. Logs ids and milliseconds, never the prompt, the key or an address.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from qwen.cleaning import is_ascii_word
from qwen.connections import KEPT_SECONDS, NETWORK_FAULTS, USER_AGENT, fault_name, send_once
from qwen.errors import OutcomeUnknown, QwenError, ServiceUnavailable
from qwen.models import Task, TaskRequest, TaskStatus, parse_status
from qwen.protocol import HttpAnswer, HttpRequest, build_create, build_status, parse_create, parse_status_answer
from qwen.tries import Sleep, build_tries

ANSWER_MAX_BYTES = 256 * 1024
POST_TRIES = 3
CONNECT_MAX_SECONDS = 10.0

_log = logging.getLogger("qwen_imagine.qwen")
_STRANGE_STATUSES_MAX = 20


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of QwenClient, from open_sessions(). *posts* makes a new connection for each request."""

    posts: aiohttp.ClientSession
    polls: aiohttp.ClientSession


@asynccontextmanager
async def open_sessions() -> AsyncGenerator[Sessions]:
    """Open the sessions for QwenClient; they are closed at the end of the block.

    A POST gets a new connection: on a kept one that the server just closed, it would be unknown whether it was read. A
    poll may use a connection that another one left a moment ago. No cookies, no proxy or netrc from the environment.
    """
    kept = aiohttp.TCPConnector(keepalive_timeout=KEPT_SECONDS)
    async with _open_session(aiohttp.TCPConnector(force_close=True)) as posts, _open_session(kept) as polls:
        yield Sessions(posts, polls)


def _open_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        trust_env=False,
    )


class QwenClient:
    """Call the image API at `api_url` (for example https://qwen-image-2512.org/api) with `api_key`, over sessions of
    open_sessions().

    `timeout_seconds` is for one request as a whole; a third of it, at most 10 s, is for the connection. `sleep` and
    `rng` serve the pauses between tries. Raises ValueError, without the key in it, when a value cannot be used.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        api_url: str,
        api_key: str,
        timeout_seconds: float = 30.0,
        sleep: Sleep | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not api_key or not is_ascii_word(api_key):
            raise ValueError("The API key must be printable ASCII without spaces.")
        if not timeout_seconds > 0:
            raise ValueError("The timeout must be more than 0 seconds.")
        if sessions.posts.connector is None or not sessions.posts.connector.force_close:
            raise ValueError("A POST needs a connection of its own; open_sessions() makes such a session.")
        self._sessions = sessions
        self._api_url = _checked_api_url(api_url)
        self._key = api_key
        self._timeout = _timeout(timeout_seconds)
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 (spreads pauses; no secret depends on it)
        self._strange_statuses: set[str] = set()

    async def create_task(self, request: TaskRequest) -> Task:
        """POST /generate. Sent again, at most twice, only while it is sure that no byte of the body was sent.

        A request that was answered is not sent again here, even where it surely was not taken: a server that refuses
        requests does so for longer than a second. Raises RequestRefused (PromptRefused, KeyRefused, AccountEmpty),
        RateLimited, ServiceUnavailable: nothing was taken. Raises OutcomeUnknown: it may have been taken, and must not
        be posted again by itself.
        """
        tries = build_tries(
            POST_TRIES,
            again=lambda error: isinstance(error, ServiceUnavailable) and error.http_status is None,
            first_pause_seconds=0.5,
            rng=self._rng,
            sleep=self._sleep,
        )
        return await tries(self._post, request)

    async def get_task(self, task_id: str) -> Task:
        """GET /status, once. The caller decides when to poll again (5 s apart or more for one task).

        Raises TaskNotFound, KeyRefused, AccountEmpty, RateLimited, ServiceUnavailable (any temporary fault).
        """
        sent = build_status(self._api_url, self._key, task_id)
        started = self._seconds()
        try:
            answer = await self._exchange(self._sessions.polls, sent, None)
            task = parse_status_answer(answer, task_id, key=self._key)
        except NETWORK_FAULTS as fault:
            self._note("poll", task_id, started, fault_name(fault))
            raise ServiceUnavailable(fault_name(fault)) from None
        except QwenError as error:
            self._note("poll", task_id, started, type(error).__name__)
            raise
        self._note("poll", task_id, started, task.status.value)
        self._note_strange_status(task)
        return task

    async def _post(self, request: TaskRequest) -> Task:
        sent = build_create(self._api_url, self._key, request)
        body = _WatchedBody(sent.body)
        started = self._seconds()
        try:
            answer = await self._exchange(self._sessions.posts, sent, body)
            task = parse_create(answer, key=self._key, prompt=request.prompt)
        except NETWORK_FAULTS as fault:
            self._note("post", "-", started, fault_name(fault))
            error = OutcomeUnknown if body.was_begun else ServiceUnavailable
            # "from None": aiohttp's own words hold addresses.
            raise error(fault_name(fault)) from None
        except QwenError as error:
            self._note("post", "-", started, type(error).__name__)
            raise
        self._note("post", task.task_id, started, task.status.value)
        return task

    async def _exchange(
        self, session: aiohttp.ClientSession, sent: HttpRequest, body: aiohttp.Payload | None
    ) -> HttpAnswer:
        async with session.request(
            sent.method,
            URL(sent.url, encoded=True),
            headers=sent.headers,
            data=body,
            allow_redirects=False,
            timeout=self._timeout,
            middlewares=(send_once,),
        ) as response:
            return HttpAnswer(response.status, response.headers, await read_capped(response.content))

    def _note_strange_status(self, task: Task) -> None:
        seen, text = self._strange_statuses, task.status_text
        if parse_status(text) is TaskStatus.UNKNOWN and text not in seen and len(seen) < _STRANGE_STATUSES_MAX:
            seen.add(text)
            taken_as = "running" if task.status is TaskStatus.UNKNOWN else task.status.value
            _log.warning("task %s has a status that is not in the API's document; taken as %s", task.task_id, taken_as)

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time()

    def _note(self, call: str, task_id: str, started: float, outcome: str) -> None:
        _log.debug("%s task %s: %s after %.0f ms", call, task_id, outcome, (self._seconds() - started) * 1000)


class _WatchedBody(aiohttp.BytesPayload):
    """The body of the POST. Records whether aiohttp began to write it: before that the service can't have taken it."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self.was_begun = False

    # aiohttp writes a body by this alone (3.14.5, client_reqrep.py, `write_bytes`).
    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.was_begun = True
        await super().write_with_length(writer, content_length)


async def read_capped(content: aiohttp.StreamReader) -> bytes:
    """Return the body up to ANSWER_MAX_BYTES, or none if it broke off. Cut JSON is no envelope: the HTTP status then
    decides.
    """
    parts: list[bytes] = []
    left = ANSWER_MAX_BYTES
    try:
        while left > 0 and (part := await content.read(left)):
            parts.append(part)
            left -= len(part)
    except NETWORK_FAULTS:
        return b""
    return b"".join(parts)


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    connect = min(seconds / 3, CONNECT_MAX_SECONDS)
    return aiohttp.ClientTimeout(total=seconds, connect=connect, sock_connect=connect)


def _checked_api_url(api_url: str) -> str:
    try:
        url = URL(api_url)
    except ValueError:
        url = URL()
    if (
        url.scheme not in ("http", "https")
        or not url.host
        or url.user
        or url.password
        or url.query_string
        or url.fragment
    ):
        raise ValueError("The API's address must be a full http or https address without a name, password or query.")
    return str(url)
