"""The image download against a hostile image service: only public addresses are dialled, and only a whole image of an
accepted size is returned."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qwen.errors import ImageError, ImageUnavailable, ImageUrlRefused, NotAnImage
from qwen.images import ImageDownloader, open_download_session
from tests.integration.pauses import Pauses
from tests.integration.raw_server import Wire, raw_server
from tests.integration.test_qwen_images import PNG, ScriptedResolver, a_downloader

# One address of each non-public kind (IANA's special-purpose registries), also wrapped in IPv6.
PRIVATE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.88.99.1", "192.0.2.1", "192.168.0.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
)  # fmt: skip
WRITTEN_OTHERWISE = (
    "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.1", "0", "localhost", "localhost.", "LOCALHOST",
    "127.0.0.1.", "①②⑦.0.0.1", "127。0。0。1", "[::1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[fe80::1%25lo]",
    "[::1%lo]", "%31%32%37.0.0.1", "127.0.0.1%2f.example.com", "cdn.example.com@127.0.0.1",
    "127.0.0.1#@cdn.example.com", "127.0.0.1\\@cdn.example.com", "127.0.0.1\t", "cdn.example.com:80@127.0.0.1",
    "", ".", "..", "-", "a..b", "x" * 300,
)  # fmt: skip
NO_WEB = (
    "file:///etc/passwd", "ftp://cdn.example.com/x", "data:image/png;base64,AAAA", "unix:///run/x.sock", "gopher://x/",
    "https://cdn.example.com:22/", "https://user@cdn.example.com/i.png", "javascript:alert(1)", "x" * 9000,
)  # fmt: skip


@asynccontextmanager
async def recording_downloader(resolver: ScriptedResolver) -> AsyncIterator[tuple[ImageDownloader, list[str]]]:
    """Yield a downloader without named hosts, and the addresses that it dials; each connection is refused."""
    dialled: list[str] = []

    def refuse(info: Any) -> socket.socket:
        dialled.append(info[4][0])
        raise ConnectionRefusedError

    async with open_download_session(resolver=resolver) as session:
        session.connector._socket_factory = refuse  # type: ignore[union-attr]  # an option that the product leaves out
        yield ImageDownloader(session, max_bytes=10**6, sleep=Pauses(), rng=random.Random(1)), dialled


async def test_the_recorder_records_each_connection() -> None:
    async with recording_downloader(ScriptedResolver(["8.8.8.8"])) as (downloader, dialled):
        with pytest.raises(ImageUnavailable):
            await downloader.download("https://cdn.example.com/i.png")
        assert set(dialled) == {"8.8.8.8"}


async def test_no_host_name_leads_to_a_connection_to_a_private_address() -> None:
    for address in PRIVATE:
        async with recording_downloader(ScriptedResolver([address])) as (downloader, dialled):
            host = f"[{address}]" if ":" in address else address
            for url in (
                "https://cdn.example.com/i.png",
                f"https://{host}/i.png",
                f"https://{host}:443/latest/meta-data",
            ):
                with pytest.raises(ImageUrlRefused) as caught:
                    await downloader.download(url)
                assert address not in str(caught.value)
            assert dialled == [], address


async def test_no_other_spelling_leads_to_a_private_address() -> None:
    async with recording_downloader(ScriptedResolver(["127.0.0.1"])) as (downloader, dialled):
        for host in WRITTEN_OTHERWISE:
            for url in (
                f"https://{host}/i.png",
                f"http://{host}/i.png",
                f"//{host}/i.png",
                f"https:{host}",
                f"https:///{host}",
            ):
                with pytest.raises(ImageUrlRefused):
                    await downloader.download(url)
        for url in NO_WEB:
            with pytest.raises(ImageUrlRefused):
                await downloader.download(url)
        assert dialled == []


@pytest.mark.parametrize(
    "answers",
    [
        [["8.8.8.8"], ["127.0.0.1"]],
        [["8.8.8.8"], ["8.8.4.4"], ["169.254.169.254"]],
        [["8.8.8.8"], ["8.8.8.8", "10.0.0.1"]],
        [["2606:4700::1111"], ["::ffff:127.0.0.1"]],
    ],
)
async def test_a_name_rebound_to_a_private_address_is_not_dialled(answers: list[list[str]]) -> None:
    """Each try resolves the name once and dials only the checked address."""
    resolver = ScriptedResolver(*answers)
    async with recording_downloader(resolver) as (downloader, dialled):
        with pytest.raises(ImageUrlRefused, match="not public"):
            await downloader.download("https://cdn.example.com/i.png")
        assert dialled == [address for answer in answers[:-1] for address in answer]
        assert len(resolver.asked) == len(answers)


# --- redirects ------------------------------------------------------------------------------------------------------

# Hostile values of the Location header of a public host, as bytes; None: no such header.
REDIRECTS: tuple[bytes | None, ...] = (
    None, b"", b"   ", b"http://cdn.example.com/i.png", b"http://127.0.0.1/", b"https://127.0.0.1/i.png",
    b"//127.0.0.1/i.png", b"//[::1]/", b"https://localhost@127.0.0.1/", b"https://cdn.example.com:8443/i.png",
    b"https://cdn.example.com:80/i.png", b"https://cdn.example.com:0/", b"https://cdn.example.com:99999/",
    b"https://me@cdn.example.com/i.png", b"https://me:pw@cdn.example.com/", b"//me@cdn.example.com/", b"https://@x.test/",
    b"https://cdn.example.com@127.0.0.1/", b"/\\127.0.0.1/", b"\\\\127.0.0.1\\i.png", b"https:\\\\127.0.0.1",
    b"https:///127.0.0.1/", b"https://", b"//", b"file:///etc/passwd", b"ftp://cdn.example.com/i.png", b"data:image/x,",
    b"javascript:alert(1)", b"gopher://x/", b"https://[::1", b"https://a..b/", b"/\xc3\xa9.png", b"/\xe9.png",
    "https://①②⑦.0.0.1/".encode(), "https://127。0。0。1/".encode(), b"/a b.png", b"/a\tb.png", b"x" * 8120,
    b"https://cdn.example.com/" + b"x" * 100_000, b"/a\r\nLocation: /b", b"https://cdn.example.com%00.127.0.0.1/",
)  # fmt: skip


class DivertedSocket(socket.socket):
    """A socket that records the address it should dial and connects to the test's server."""

    port = 0
    dialled: list[str]

    def connect(self, address: Any) -> None:
        self.dialled.append(address[0])
        super().connect(("127.0.0.1", self.port))


@asynccontextmanager
async def redirected_downloader(
    resolver: ScriptedResolver, *answers: bytes
) -> AsyncIterator[tuple[ImageDownloader, list[str]]]:
    """A downloader open to the whole public internet, which gives these answers, the last one for good; and what it
    dials. Only TLS is left out: the test has no certificate that anybody trusts.
    """
    dialled: list[str] = []

    async def converse(wire: Wire) -> None:
        await wire.hear()
        await wire.say(answers[min(len(wire.server.requests), len(answers)) - 1])

    def divert(_: Any) -> socket.socket:
        opened = DivertedSocket()
        opened.port, opened.dialled = server.port, dialled
        return opened

    async with raw_server(converse) as server, open_download_session(resolver=resolver) as session:
        session.connector._socket_factory = divert  # type: ignore[union-attr]
        session.connector._get_ssl_context = lambda _: None  # type: ignore[union-attr]
        yield ImageDownloader(session, max_bytes=10**6, tries=1, sleep=Pauses(), rng=random.Random(1)), dialled


def redirect(location: bytes | None) -> bytes:
    header = b"" if location is None else b"Location: %s\r\n" % location
    return b"HTTP/1.1 302 Found\r\nConnection: close\r\n%sContent-Length: 0\r\n\r\n" % header


IMAGE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PNG)
URL = "https://cdn.example.com/deep/" + "d" * 100 + "/i.png?sig=canary"


async def test_a_redirect_between_public_hosts_is_followed() -> None:
    resolver = ScriptedResolver(["8.8.8.8"], ["8.8.4.4"])
    async with redirected_downloader(resolver, redirect(b"https://store.example.com/i.png"), IMAGE) as (
        downloader,
        dialled,
    ):
        assert (await downloader.download(URL)).data == PNG
        assert (resolver.asked, dialled) == (["cdn.example.com", "store.example.com"], ["8.8.8.8", "8.8.4.4"])


async def test_a_redirect_is_checked_like_the_first_address() -> None:
    for location in REDIRECTS:
        resolver = ScriptedResolver(["8.8.8.8"])
        async with redirected_downloader(resolver, redirect(location), redirect(location), IMAGE) as (
            downloader,
            dialled,
        ):
            with pytest.raises(ImageError) as caught:
                await downloader.download(URL)
            assert "canary" not in str(caught.value)
            assert "example" not in str(caught.value)
            assert (resolver.asked, dialled) == (["cdn.example.com"], ["8.8.8.8"]), location


async def test_no_redirect_leads_to_a_private_address_in_any_spelling() -> None:
    for host in (*PRIVATE, *WRITTEN_OTHERWISE):
        bracketed = f"[{host}]" if ":" in host and "@" not in host and "[" not in host else host
        resolver = ScriptedResolver(["8.8.8.8"], ["127.0.0.1"])
        for location in (f"https://{bracketed}/i.png", f"//{bracketed}/i.png"):
            resolver.answers = [["8.8.8.8"], ["127.0.0.1"]]
            async with redirected_downloader(resolver, redirect(location.encode()), IMAGE) as (downloader, dialled):
                with pytest.raises(ImageError):
                    await downloader.download(URL)
                assert dialled == ["8.8.8.8"], location


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_redirect_to_a_name_with_a_private_address_is_not_dialled(address: str) -> None:
    hop = redirect(b"https://store.example.com/i.png")
    for hops in (1, 2, 3):
        resolver = ScriptedResolver(*[["8.8.8.8"]] * hops, [address])
        async with redirected_downloader(resolver, *[hop] * hops, IMAGE) as (downloader, dialled):
            with pytest.raises(ImageUrlRefused, match="not public"):
                await downloader.download(URL)
            assert (dialled, len(resolver.asked)) == (["8.8.8.8"] * hops, hops + 1)


async def test_a_redirect_with_two_locations_is_refused() -> None:
    answer = redirect(b"https://store.example.com/i.png").replace(b"Content", b"Location: /i.png\r\nContent")
    async with redirected_downloader(ScriptedResolver(["8.8.8.8"]), answer, IMAGE) as (downloader, dialled):
        with pytest.raises(ImageUrlRefused, match="without saying where"):
            await downloader.download(URL)
        assert dialled == ["8.8.8.8"]


async def refusal_of(converse: Any, **options: Any) -> ImageError:
    async with raw_server(converse) as server, a_downloader(**options) as downloader:
        with pytest.raises(ImageError) as caught:
            await downloader.download(f"{server.url}/i.png?sig=canary")
        assert "canary" not in str(caught.value)
        return caught.value


async def test_a_wrong_content_length_gives_no_image() -> None:
    async def less(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + PNG)

    async def twice(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PNG))

    async def smuggled(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + PNG)

    async def negative(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + PNG)

    for converse in (less, twice, smuggled, negative):
        assert isinstance(await refusal_of(converse), ImageUnavailable | NotAnImage)


async def test_endless_headers_and_chunks_are_refused() -> None:
    async def headers(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000)
        await wire.stay_silent()

    async def tiny_chunks(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            await wire.say(b"1\r\nx\r\n" * 1000)
        await wire.say(b"0\r\n\r\n")

    assert isinstance(await refusal_of(headers), ImageUnavailable)
    assert isinstance(await refusal_of(tiny_chunks, max_bytes=100_000), ImageError)
