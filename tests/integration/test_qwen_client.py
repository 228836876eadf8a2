"""QwenClient over real sockets: what it sends, and that it posts again only where nothing was sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from qwen.client import ANSWER_MAX_BYTES, QwenClient, Sessions, _timeout, open_sessions
from qwen.errors import (
    AccountEmpty,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.models import OutputFormat, Size, TaskRequest, TaskStatus
from tests.integration.pauses import Pauses
from tests.integration.raw_server import Conversation, Wire, raw_server
from version import VERSION

KEY = "canary-key-0123456789"
REQUEST = TaskRequest("a canary in a coal mine", Size.SQUARE, 7, OutputFormat.PNG)
TASK = {"task_id": "t-1", "status": "PENDING"}


@asynccontextmanager
async def a_client(
    url: str, *, timeout_seconds: float = 60.0, pauses: Pauses | None = None
) -> AsyncIterator[QwenClient]:
    async with open_sessions() as sessions:
        yield QwenClient(
            sessions,
            api_url=f"{url}/api",
            api_key=KEY,
            timeout_seconds=timeout_seconds,
            sleep=pauses or Pauses(),
            rng=random.Random(1),
        )


def a_closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# --- requests and answers -------------------------------------------------------------------------------------------


async def test_a_post_arrives_once_with_key_and_body_on_a_connection_of_its_own() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(200, TASK)

    async with raw_server(respond) as server, a_client(server.url) as client:
        assert (await client.create_task(REQUEST)).task_id == "t-1"
        assert (await client.create_task(REQUEST)).task_id == "t-1"
    assert server.connections == 2
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/generate HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert b"Content-Type: application/json\r\n" in head
    assert head.lower().count(b"content-type:") == head.lower().count(b"connection: close") == 1
    assert json.loads(body)["prompt"] == REQUEST.prompt


async def test_a_poll_names_its_task_and_reads_the_answer() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(200, {"task_id": "a&b/c", "status": "SUCCESS", "response": ["https://x.example/1.png"]})

    async with raw_server(respond) as server, a_client(server.url) as client:
        task = await client.get_task("a&b/c")
    assert (task.status, task.image_urls) == (TaskStatus.SUCCESS, ("https://x.example/1.png",))
    assert server.requests[0].startswith(b"GET /api/status?task_id=a%26b%2Fc HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n".encode() in server.requests[0]


async def test_a_request_names_the_client_and_uses_no_cookie_and_no_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, json.dumps({"code": 200, "data": TASK}).encode(), Set_Cookie="visit=1; Path=/")

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{a_closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    # By name: a jar would keep no cookies of a bare address.
    async with raw_server(respond) as server, a_client(f"http://localhost:{server.port}") as client:
        for _ in range(2):
            await client.get_task("t-1")
    for head in server.requests:
        assert f"User-Agent: qwen-imagine/{VERSION}\r\n".encode() in head
        assert b"cookie" not in head.lower()


async def test_an_answer_of_the_largest_size_is_read_whole() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, json.dumps({"code": 200, "data": TASK}).encode().rjust(ANSWER_MAX_BYTES))

    async with raw_server(respond) as server, a_client(server.url) as client:
        assert (await client.get_task("t-1")).task_id == "t-1"


async def test_a_session_that_keeps_its_connections_is_refused_for_posts() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="open_sessions"):
            QwenClient(Sessions(session, session), api_url="https://x.example/api", api_key=KEY)


async def test_polls_share_a_connection_that_a_post_never_uses() -> None:
    async def respond(wire: Wire) -> None:
        while True:
            await wire.hear()
            await wire.answer_json(200, TASK, connection="keep-alive")

    async with raw_server(respond) as server, a_client(server.url) as client:
        await client.get_task("t-1")
        await client.get_task("t-1")
        assert server.connections == 1
        await client.create_task(REQUEST)
        assert server.connections == 2
        await client.get_task("t-1")
    assert server.connections == 2


async def test_a_poll_on_a_kept_connection_that_the_server_closed_is_a_temporary_fault_and_not_repeated() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(200, TASK, connection="keep-alive")
        await wire.hear()
        wire.reset()

    async with raw_server(respond) as server, a_client(server.url) as client:
        await client.get_task("t-1")
        with pytest.raises(ServiceUnavailable):
            await client.get_task("t-1")
    assert (server.connections, len(server.requests)) == (1, 2)


# --- the body was not sent: posted again, at most three times in all ------------------------------------------------


async def test_a_refused_connection_is_tried_three_times_with_short_pauses_and_is_temporary() -> None:
    pauses = Pauses()
    async with a_client(f"http://127.0.0.1:{a_closed_port()}", pauses=pauses) as client:
        with pytest.raises(ServiceUnavailable, match="ClientConnectorError"):
            await client.create_task(REQUEST)
    assert len(pauses.seconds) == 2
    assert 0 <= pauses.seconds[0] <= 0.5
    assert 0 <= pauses.seconds[1] <= 1.0


async def test_a_name_that_does_not_resolve_is_temporary() -> None:
    async with a_client("http://no-such-host.invalid") as client:
        with pytest.raises(ServiceUnavailable, match="ClientConnectorDNSError"):
            await client.create_task(REQUEST)


async def test_a_failed_tls_handshake_is_temporary_and_no_request_was_received() -> None:
    async def respond(wire: Wire) -> None:
        await wire.reader.read(1)
        await wire.say(b"this is no TLS\r\n")

    async with raw_server(respond) as server, a_client(f"https://127.0.0.1:{server.port}") as client:
        with pytest.raises(ServiceUnavailable):
            await client.create_task(REQUEST)
    assert (server.connections, server.requests) == (3, [])


async def test_a_tls_handshake_that_never_ends_is_temporary_within_the_connect_timeout(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="qwen_imagine.qwen")
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with (
        raw_server(Wire.stay_silent) as server,
        a_client(f"https://127.0.0.1:{server.port}", timeout_seconds=0.3) as client,
    ):
        with pytest.raises(ServiceUnavailable, match="ConnectionTimeoutError"):
            await client.create_task(REQUEST)
    assert server.connections == 3
    noted_ms = [int(line.split()[-2]) for line in caplog.messages]
    assert len(noted_ms) == 3 and min(noted_ms) >= 100
    assert sum(noted_ms) <= (loop.time() - started) * 1000 + 3


async def test_a_timeout_while_waiting_for_a_free_connection_is_temporary() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.stay_silent()

    connector = aiohttp.TCPConnector(limit=1, force_close=True)
    async with raw_server(respond) as server, aiohttp.ClientSession(connector=connector) as session:
        sessions = Sessions(session, session)
        patient = QwenClient(sessions, api_url=server.url, api_key=KEY, timeout_seconds=60.0)
        hasty = QwenClient(sessions, api_url=server.url, api_key=KEY, timeout_seconds=0.15, sleep=Pauses())
        first = asyncio.ensure_future(patient.create_task(REQUEST))
        await server.heard.wait()
        with pytest.raises(ServiceUnavailable, match="ConnectionTimeoutError"):
            await hasty.create_task(REQUEST)
        first.cancel()
        await asyncio.wait([first])
    assert len(server.requests) == 1


async def test_a_connection_that_works_at_the_second_try_makes_one_task() -> None:
    port = a_closed_port()
    posts: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        posts.append(await reader.readuntil(b"\r\n\r\n"))
        body = json.dumps({"code": 200, "message": "", "data": TASK}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    listeners: list[asyncio.Server] = []

    async def open_up(_seconds: float) -> None:
        listeners.append(await asyncio.start_server(respond, "127.0.0.1", port))

    async with open_sessions() as sessions:
        client = QwenClient(sessions, api_url=f"http://127.0.0.1:{port}", api_key=KEY, sleep=open_up)
        assert (await client.create_task(REQUEST)).task_id == "t-1"
    assert (len(posts), len(listeners)) == (1, 1)
    listeners[0].close()


# --- it may have been taken: unknown, and sent exactly once ---------------------------------------------------------


async def close_before_the_request(wire: Wire) -> None:
    wire.server.requests.append(b"unread")


async def reset_after_the_head(wire: Wire) -> None:
    wire.server.requests.append(await wire.reader.readuntil(b"\r\n\r\n"))
    wire.reset()


async def reset_after_the_body(wire: Wire) -> None:
    await wire.hear()
    wire.reset()


async def close_after_the_body(wire: Wire) -> None:
    await wire.hear()


async def never_answer(wire: Wire) -> None:
    await wire.hear()
    await wire.stay_silent()


async def break_off_in_the_head(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Le")


async def break_off_in_the_body(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"code":200,"data":{"task_id":')


async def drip(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    while True:
        await wire.say(b" ")
        await asyncio.sleep(0.05)


async def answer_html(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(200, b"<html>Checking your browser</html>", Content_Type="text/html")


async def answer_bad_gateway(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(502, b"<html>Bad gateway</html>")


async def answer_code_500(wire: Wire) -> None:
    await wire.hear()
    await wire.answer_json(500, message="Internal Server Error")


async def answer_without_a_task(wire: Wire) -> None:
    await wire.hear()
    await wire.answer_json(200, {"status": "PENDING"})


async def answer_no_http(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def redirect(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(307, b"", Location=f"{wire.server.url}/api/elsewhere")


async def answer_too_much(wire: Wire) -> None:
    await wire.hear()
    padding = b" " * (ANSWER_MAX_BYTES + 10)
    await wire.answer(200, padding + json.dumps({"code": 200, "data": TASK}).encode())


async def answer_broken_gzip(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(200, b"\x1f\x8bnot gzip at all", Content_Encoding="gzip")


async def answer_a_gzip_bomb(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(200, gzip.compress(b" " * (10 * ANSWER_MAX_BYTES)), Content_Encoding="gzip")


UNSURE = [
    close_before_the_request,
    reset_after_the_head,
    reset_after_the_body,
    close_after_the_body,
    never_answer,
    break_off_in_the_head,
    break_off_in_the_body,
    drip,
    answer_html,
    answer_bad_gateway,
    answer_code_500,
    answer_without_a_task,
    answer_no_http,
    redirect,
    answer_too_much,
    answer_broken_gzip,
    answer_a_gzip_bomb,
]


# Only a timeout ends these. The others get enough time for a busy machine.
ENDLESS = (never_answer, drip)


def timeout_for(respond: Conversation) -> float:
    return 3.0 if respond in ENDLESS else 60.0


@pytest.mark.parametrize("respond", UNSURE, ids=lambda conversation: conversation.__name__)
async def test_a_post_that_may_have_been_taken_is_unknown_and_never_sent_again(respond) -> None:
    pauses = Pauses()
    async with (
        raw_server(respond) as server,
        a_client(server.url, timeout_seconds=timeout_for(respond), pauses=pauses) as client,
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            await client.create_task(REQUEST)
    assert (server.connections, len(server.requests)) == (1, 1)
    assert pauses.seconds == []
    assert_no_secret(caught.value)


@pytest.mark.parametrize(
    "respond", [c for c in UNSURE if c is not answer_without_a_task], ids=lambda conversation: conversation.__name__
)
async def test_the_same_faults_of_a_poll_are_temporary_and_it_is_sent_once(respond) -> None:
    async with raw_server(respond) as server, a_client(server.url, timeout_seconds=timeout_for(respond)) as client:
        with pytest.raises(ServiceUnavailable) as caught:
            await client.get_task("t-1")
    assert (server.connections, len(server.requests)) == (1, 1)
    assert_no_secret(caught.value)


async def test_a_cancelled_post_stays_cancelled() -> None:
    async with raw_server(never_answer) as server, a_client(server.url) as client:
        task = asyncio.ensure_future(client.create_task(REQUEST))
        await server.heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert server.connections == 1


# --- sure answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, PromptRefused), (401, KeyRefused), (429, RateLimited)],
)
async def test_a_refused_post_raises_at_once_and_is_not_repeated(code: int, error: type[QwenError]) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(code, message=f"no {KEY} for '{REQUEST.prompt}'")

    async with raw_server(respond) as server, a_client(server.url) as client:
        with pytest.raises(error) as caught:
            await client.create_task(REQUEST)
    assert len(server.requests) == 1
    assert_no_secret(caught.value)
    assert KEY not in caught.value.service_message


async def test_a_post_answered_by_a_challenge_page_is_temporary_and_not_sent_again_at_once() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(403, b"<html>Checking your browser</html>", Content_Type="text/html")

    pauses = Pauses()
    async with raw_server(respond) as server, a_client(server.url, pauses=pauses) as client:
        for call in (client.create_task(REQUEST), client.get_task("t-1")):
            with pytest.raises(ServiceUnavailable, match="HTTP 403") as caught:
                await call
            assert_no_secret(caught.value)
    assert (len(server.requests), pauses.seconds) == (2, [])


async def test_a_truncated_refusal_of_the_key_is_temporary() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 500\r\n\r\n{")

    async with raw_server(respond) as server, a_client(server.url) as client:
        with pytest.raises(ServiceUnavailable):
            await client.create_task(REQUEST)
    assert len(server.requests) == 1


async def test_the_account_is_not_empty_because_the_prompt_says_so() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(400, message="Refused: no credits")

    async with raw_server(respond) as server, a_client(server.url) as client:
        with pytest.raises(PromptRefused):
            await client.create_task(replace(REQUEST, prompt="a beggar with no credits"))
        with pytest.raises(AccountEmpty):
            await client.create_task(REQUEST)


async def test_an_unknown_task_and_a_retry_after_are_passed_on() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        if len(wire.server.requests) == 1:
            await wire.answer_json(404, message=f"{KEY} has no such task")
        else:
            await wire.answer(429, b"slow down", Retry_After="12")

    async with raw_server(respond) as server, a_client(server.url) as client:
        with pytest.raises(TaskNotFound) as refused:
            await client.get_task("t-1")
        assert refused.value.service_message == "(key) has no such task"
        with pytest.raises(RateLimited) as caught:
            await client.get_task("t-1")
    assert caught.value.retry_after_seconds == 12.0


async def test_a_compressed_answer_is_understood_although_none_was_asked_for() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        body = json.dumps({"code": 200, "message": "", "data": TASK}).encode()
        await wire.answer(200, gzip.compress(body), Content_Encoding="gzip")

    async with raw_server(respond) as server, a_client(server.url) as client:
        assert (await client.get_task("t-1")).status is TaskStatus.PENDING
    assert b"Accept-Encoding: identity" in server.requests[0]


# --- construction, secrets, log -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
async def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(key: str) -> None:
    async with open_sessions() as sessions:
        with pytest.raises(ValueError, match="API key must be") as caught:
            QwenClient(sessions, api_url="https://x.example/api", api_key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "", "x.example/api", "ftp://x.example", "https:///api", "https://[", "https://u:p@x.example/",
        "https://u@x.example", "https://:p@x.example", "https://x.example/?a=1", "https://x.example/#a",
    ],
)  # fmt: skip
async def test_a_malformed_address_is_refused(url: str) -> None:
    async with open_sessions() as sessions:
        with pytest.raises(ValueError, match="API's address must be"):
            QwenClient(sessions, api_url=url, api_key=KEY)


async def test_a_timeout_of_zero_is_refused() -> None:
    async with open_sessions() as sessions:
        with pytest.raises(ValueError, match="more than 0"):
            QwenClient(sessions, api_url="https://x.example", api_key=KEY, timeout_seconds=0)


def test_a_third_of_the_timeout_and_at_most_ten_seconds_are_for_the_connection() -> None:
    assert _timeout(60.0) == aiohttp.ClientTimeout(total=60.0, connect=10.0, sock_connect=10.0)
    assert _timeout(15.0) == aiohttp.ClientTimeout(total=15.0, connect=5.0, sock_connect=5.0)


async def test_the_log_has_the_id_and_the_outcome_of_each_request(caplog: pytest.LogCaptureFixture) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        if len(wire.server.requests) <= 2:
            await wire.answer_json(200, TASK)
        elif len(wire.server.requests) <= 4:
            await wire.answer_json(429)

    caplog.set_level(logging.DEBUG, logger="qwen_imagine.qwen")
    async with raw_server(respond) as server, a_client(server.url) as client:
        await client.create_task(REQUEST)
        await client.get_task("t-1")
        with pytest.raises(RateLimited):
            await client.create_task(REQUEST)
        with pytest.raises(RateLimited):
            await client.get_task("t-1")
        with pytest.raises(OutcomeUnknown, match="ServerDisconnectedError"):
            await client.create_task(REQUEST)
        with pytest.raises(ServiceUnavailable, match="ServerDisconnectedError"):
            await client.get_task("t-1")
    assert [line.rsplit(maxsplit=2)[0] for line in caplog.messages] == [
        "post task t-1: PENDING after",
        "poll task t-1: PENDING after",
        "post task -: RateLimited after",
        "poll task t-1: RateLimited after",
        "post task -: ServerDisconnectedError after",
        "poll task t-1: ServerDisconnectedError after",
    ]


async def test_twenty_unknown_statuses_are_logged_each_once(caplog: pytest.LogCaptureFixture) -> None:
    statuses = ["UPSCALING", "UPSCALING", *(f"STEP {number}" for number in range(20))]

    async def respond(wire: Wire) -> None:
        await wire.hear()
        status = statuses[len(wire.server.requests) - 1]
        await wire.answer_json(200, {"task_id": "t-1", "status": status})

    async with raw_server(respond) as server, a_client(server.url) as client:
        for _ in statuses:
            await client.get_task("t-1")
    line = "task t-1 has a status that is not in the API's document; taken as running"
    assert caplog.messages == [line] * 20


async def test_an_unknown_status_of_an_ended_task_is_logged_with_its_interpretation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(200, {"task_id": "t-1", "status": "completed", "response": ["https://x.example/1.png"]})

    async with raw_server(respond) as server, a_client(server.url) as client:
        assert [(await client.get_task("t-1")).status for _ in range(2)] == [TaskStatus.SUCCESS] * 2
    lines = [record.getMessage() for record in caplog.records if record.name == "qwen_imagine.qwen"]
    assert lines == ["task t-1 has a status that is not in the API's document; taken as SUCCESS"]


def assert_no_secret(error: BaseException) -> None:
    shown = f"{error} {error!r}"
    assert KEY not in shown
    assert "canary" not in shown
    assert "task_id=" not in shown
    assert error.__suppress_context__ or error.__context__ is None
