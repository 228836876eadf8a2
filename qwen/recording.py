"""QwenClient and ImageDownloader that also keep what was answered, word for word. For `python bot.py doctor --live`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from qwen.client import QwenClient
from qwen.images import ImageDownloader
from qwen.protocol import HttpAnswer, HttpRequest


@dataclass(frozen=True, slots=True)
class ImageHead:
    """The head of a response for an image. *host*: of its address."""

    host: str
    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)


class RecordingClient(QwenClient):
    """The client of the image API; `answers` are those since they were last cleared."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.answers: list[HttpAnswer] = []

    async def _exchange(
        self, session: aiohttp.ClientSession, sent: HttpRequest, body: aiohttp.Payload | None
    ) -> HttpAnswer:
        answer = await super()._exchange(session, sent, body)
        self.answers.append(answer)
        return answer


class RecordingDownloader(ImageDownloader):
    """The downloader of images; `heads` and `hosts` are those since they were last cleared.

    *hosts*: of each request, so that a redirect shows.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heads: list[ImageHead] = []
        self.hosts: list[str] = []

    async def _get(self, url: URL, announced: Callable[[int], None] | None) -> bytes | URL:
        self.hosts.append(url.host or "")
        return await super()._get(url, announced)

    def _check_head(self, response: aiohttp.ClientResponse) -> None:
        headers = tuple(response.headers.items())
        self.heads.append(ImageHead(response.url.host or "", response.status, headers))
        super()._check_head(response)
