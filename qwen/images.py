"""Download the finished image over aiohttp: from permitted addresses, up to a limit of bytes, its header checked.

The rules are in addresses.py and image_header.py.

Must not know the image API's key, Discord or the database. Never logs an address: it may be signed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qwen.addresses import AllowedHosts, check_image_url, check_redirect, is_public
from qwen.challenges import is_challenge
from qwen.connections import KEPT_SECONDS, NETWORK_FAULTS, USER_AGENT, ConnectionBroke, fault_name, send_once
from qwen.errors import ImageError, ImageTooLarge, ImageUnavailable, ImageUrlRefused, NotAnImage, NotWhole
from qwen.image_header import read_image_header
from qwen.models import OutputFormat
from qwen.tries import Sleep, build_tries

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 15.0
REDIRECTS_MAX = 3

_log = logging.getLogger("qwen_imagine.qwen")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110, 15.4: those that lead to another address
_TEMPORARY_STATUSES = frozenset({408, 425, 429})
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class DownloadedImage:
    """An image's bytes as downloaded, with the format and size in pixels from its own header."""

    data: bytes = field(repr=False)
    format: OutputFormat
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class OversizedImage:
    """An image that exists and has more bytes than are downloaded: only its address can be posted."""


FoundImage = DownloadedImage | OversizedImage


class PrivateAddress(OSError):
    """The name resolves to at least one address outside the public internet."""


class GuardedResolver(AbstractResolver):
    """Return the addresses that `inner` resolves a name to, if all are public. aiohttp connects to exactly these, so a
    name that resolves differently later (DNS rebinding) does no harm.
    """

    def __init__(self, inner: AbstractResolver, allowed: AllowedHosts) -> None:
        self._inner = inner
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        if not self._allowed.names(host) and not all(is_public(answer["host"]) for answer in answers):
            raise PrivateAddress("the name resolves to an address that is not public")
        return answers

    async def close(self) -> None:
        await self._inner.close()


def open_download_session(
    allowed_hosts: frozenset[str] = frozenset(), *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Open a session for ImageDownloader, apart from the API's: no key, no cookies, no proxy from the environment.

    Call it inside the running loop; the caller closes it. `resolver`: the system's by default.
    Raises ValueError for a host that is none.
    """
    guarded = GuardedResolver(resolver or aiohttp.DefaultResolver(), AllowedHosts.parse(allowed_hosts))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=guarded, use_dns_cache=False, keepalive_timeout=KEPT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


class ImageDownloader:
    """Download images of at most `max_bytes` over a session of open_download_session() with the same hosts.

    `total_timeout_seconds` is for all tries together. After `grace_seconds` a download must have come in at
    `min_bytes_per_second` or faster, or it is given up as too slow. `mark` writes into a downloaded file who made it.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        allowed_hosts: frozenset[str] = frozenset(),
        max_bytes: int,
        total_timeout_seconds: float = 60.0,
        tries: int = 3,
        min_bytes_per_second: int = 8192,
        grace_seconds: float = 10.0,
        sleep: Sleep | None = None,
        rng: random.Random | None = None,
        mark: Callable[[bytes, OutputFormat], bytes] = lambda data, _: data,
    ) -> None:
        if max_bytes < 1 or tries < 1 or not total_timeout_seconds > 0:
            raise ValueError("The largest size, the tries and the time for a download must be more than 0.")
        self._session = session
        self._allowed = AllowedHosts.parse(allowed_hosts)
        self._max_bytes = max_bytes
        self._total_seconds = total_timeout_seconds
        self._tries = tries
        self._min_rate = min_bytes_per_second
        self._grace_seconds = grace_seconds
        self._sleep = sleep
        self._mark = mark
        self._rng = rng or random.Random()  # noqa: S311 (spreads pauses; no secret depends on it)

    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage:
        """Download one image. Temporary errors are tried again after growing, fully jittered pauses.

        *announced*: called with the Content-Length of each try, if there is one, before the bytes are read.
        At most 3 redirects are followed, each through the same guard as `url`; each try begins at `url` again.
        Raises ImageUrlRefused (the guard, too many redirects), ImageTooLarge, NotAnImage, ImageUnavailable.
        """
        checked = check_image_url(url, self._allowed)
        tries = build_tries(
            self._tries, again=_is_worth_another_try, first_pause_seconds=1.0, rng=self._rng, sleep=self._sleep
        )
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._total_seconds):
                image: DownloadedImage = await tries(self._fetch, checked, announced)
        except TimeoutError:
            raise ImageUnavailable(f"it took more than {self._total_seconds:g} s", temporary=True) from None
        milliseconds = (asyncio.get_running_loop().time() - started) * 1000
        _log.debug("image of %d bytes fetched in %.0f ms", len(image.data), milliseconds)
        return image

    async def _fetch(self, url: URL, announced: Callable[[int], None] | None) -> DownloadedImage:
        data = await self._fetch_bytes(url, announced)
        header = read_image_header(data)
        return DownloadedImage(self._mark(data, header.format), header.format, header.width, header.height)

    async def _fetch_bytes(self, url: URL, announced: Callable[[int], None] | None) -> bytes:
        for _ in range(REDIRECTS_MAX + 1):
            found = await self._get(url, announced)
            if isinstance(found, bytes):
                return found
            url = found
        raise ImageUrlRefused(f"it redirects more than {REDIRECTS_MAX} times")

    async def _get(self, url: URL, announced: Callable[[int], None] | None) -> bytes | URL:
        """Return the bytes at `url`, or the checked address that it redirects to.

        Each request has the same few headers, none of them from an answer: no cookie, no referrer.
        """
        try:
            async with self._session.get(
                url,
                headers=_HEADERS,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
                middlewares=(send_once,),
            ) as response:
                if response.status in _REDIRECTS:
                    return check_redirect(url, response.headers.getall("Location", []), self._allowed)
                self._check_head(response)
                if announced is not None and response.content_length is not None:
                    announced(response.content_length)
                return await self._read(response.content)
        except NETWORK_FAULTS as fault:
            # "from None": aiohttp's own words hold addresses.
            raise _translate(fault) from None

    def _check_head(self, response: aiohttp.ClientResponse) -> None:
        if 300 <= response.status < 400:
            raise ImageUrlRefused("it redirects without saying where", http_status=response.status)
        if response.status != 200:
            later = response.status >= 500 or response.status in _TEMPORARY_STATUSES
            temporary = later or is_challenge(response.headers)
            raise ImageUnavailable(temporary=temporary, http_status=response.status)
        encodings = {value.strip().lower() for value in response.headers.getall("Content-Encoding", [])}
        if encodings - {"", "identity"}:
            raise NotAnImage("it was sent compressed, which was not asked for")
        announced = response.content_length
        if announced is not None and announced > self._max_bytes:
            raise ImageTooLarge(self._max_bytes, announced)

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        loop = asyncio.get_running_loop()
        started = loop.time()
        parts = list[bytes]()
        received = 0
        async for part in content.iter_any():
            parts.append(part)
            received += len(part)
            if received > self._max_bytes:
                raise ImageTooLarge(self._max_bytes)
            elapsed = loop.time() - started
            if elapsed > self._grace_seconds and received < elapsed * self._min_rate:
                raise ImageUnavailable("it came too slowly", temporary=True)
        return b"".join(parts)


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, NotWhole) or (isinstance(error, ImageUnavailable) and error.may_still_come)


def _translate(fault: Exception) -> ImageError:
    cause = fault.fault if isinstance(fault, ConnectionBroke) else fault
    if isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, PrivateAddress):
        return ImageUrlRefused("its host resolves to an address that is not public")
    if isinstance(cause, aiohttp.InvalidURL):
        return ImageUrlRefused("it is not an address")
    certificate = isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch)
    return ImageUnavailable(fault_name(fault), temporary=not certificate)
