"""HTTP answers damaged at random lead to a result or to an error of qwen.errors, never to another exception."""

from __future__ import annotations

import json
import random

import pytest

from qwen.client import QwenClient, open_sessions
from qwen.errors import ImageError, OutcomeUnknown, QwenError, RequestRefused, ServiceUnavailable
from qwen.images import ImageDownloader, open_download_session
from qwen.models import OutputFormat, Size, TaskRequest
from tests.integration.raw_server import Conversation, Wire, raw_server

ROUNDS = 150
REQUEST = TaskRequest("a canary in a coal mine", Size.SQUARE, 7, OutputFormat.PNG)
TASK = json.dumps({"code": 200, "message": "success", "data": {"task_id": "t-1", "status": "PENDING"}}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
    b"Set-Cookie: a=b; Path=/\r\nContent-Length: %d\r\n\r\n%s" % (len(TASK), TASK)
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(TASK), TASK)
ODD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 999 Strange\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/0.9 200\r\n\r\n",
    b"\x00" * 100,
    b"",
]


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Change some bytes, cut out or repeat a piece, or drop the end."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 10)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 40)]
            case _:
                del data[max(at, 1) :]
    return bytes(data)


def noise() -> list[bytes]:
    rng = random.Random(2512)
    return ODD + [damaged(rng.choice([ANSWER, CHUNKED]), rng) for _ in range(ROUNDS)]


def saying(answers: list[bytes]) -> Conversation:
    """Return a function that answers each connection with the next of these."""
    waiting = list(reversed(answers))

    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.say(waiting.pop())

    return respond


async def test_a_post_and_a_poll_through_noise_give_a_task_or_an_error_of_the_tree() -> None:
    answers = noise()
    pairs = [answer for answer in answers for _ in range(2)]
    async with raw_server(saying(pairs)) as server, open_sessions() as sessions:
        client = QwenClient(sessions, api_url=server.url, api_key="canary-key-0123456789", timeout_seconds=60.0)
        for answer in answers:
            for call, error_class in (
                (lambda: client.create_task(REQUEST), (OutcomeUnknown, RequestRefused)),
                (lambda: client.get_task("t-1"), (ServiceUnavailable, RequestRefused)),
            ):
                try:
                    task = await call()
                except QwenError as error:
                    assert isinstance(error, error_class), answer
                    assert "canary" not in f"{error}{error!r}"
                else:
                    assert task.task_id
    assert len(server.requests) == len(pairs), "each call was sent once"


async def test_an_image_through_noise_is_an_error_of_the_tree() -> None:
    answers = noise()
    hosts = frozenset({"127.0.0.1"})
    async with raw_server(saying(answers)) as server, open_download_session(hosts) as session:
        downloader = ImageDownloader(
            session, allowed_hosts=hosts, max_bytes=10_000, tries=1, total_timeout_seconds=60.0
        )
        for _ in answers:
            with pytest.raises(ImageError):
                await downloader.download(f"{server.url}/i.png")
