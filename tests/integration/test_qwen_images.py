"""Downloads over real sockets: accepted images, redirects, refused addresses, limits."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image

from qwen.errors import ImageTooLarge, ImageUnavailable, ImageUrlRefused, NotAnImage, NotWhole, QwenError
from qwen.images import DownloadedImage, ImageDownloader, open_download_session
from qwen.models import OutputFormat
from tests.integration.pauses import Pauses
from tests.integration.raw_server import Conversation, Wire, raw_server

LOOPBACK = frozenset({"127.0.0.1"})


def a_png() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 96), 50).save(file, "PNG")
    return file.getvalue()


PNG = a_png()


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class ScriptedResolver(AbstractResolver):
    """Answers each lookup with those of the next list of addresses that are of the wanted family; the last list is
    repeated."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family_of(address),
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
            if family in (socket.AF_UNSPEC, family_of(address))
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def a_downloader(
    *, hosts: frozenset[str] = LOOPBACK, resolver: AbstractResolver | None = None, **options: Any
) -> AsyncIterator[ImageDownloader]:
    values: dict[str, Any] = {
        "max_bytes": 1_000_000,
        "total_timeout_seconds": 60.0,
        "sleep": Pauses(),
        "rng": random.Random(1),
    }
    async with open_download_session(hosts, resolver=resolver) as session:
        yield ImageDownloader(session, allowed_hosts=hosts, **(values | options))


async def the_image(wire: Wire) -> None:
    await wire.hear()
    await wire.answer(200, PNG, Content_Type="text/plain")


async def fault_of(respond, **options: Any) -> tuple[QwenError, int]:
    """Download from a server that responds so; return the error and the number of connections."""
    async with raw_server(respond) as server, a_downloader(**options) as downloader:
        with pytest.raises(QwenError) as caught:
            await downloader.download(f"{server.url}/i.png?sig=canary")
        assert "canary" not in f"{caught.value}{caught.value!r}"
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return caught.value, server.connections


# --- accepted images ------------------------------------------------------------------------------------------------


async def test_an_image_arrives_whole_with_the_type_of_its_bytes() -> None:
    async with raw_server(the_image) as server, a_downloader() as downloader:
        image = await downloader.download(f"{server.url}/cdn/i.jpg?X-Sig=a%2Bb")
    assert image == DownloadedImage(PNG, OutputFormat.PNG, 64, 96)
    assert b"GET /cdn/i.jpg?X-Sig=a%2Bb HTTP/1.1\r\n" in server.requests[0]


async def test_a_second_download_uses_the_connection_of_the_first() -> None:
    async def respond(wire: Wire) -> None:
        while True:
            await wire.hear()
            await wire.answer(200, PNG, connection="keep-alive")

    async with raw_server(respond) as server, a_downloader() as downloader:
        for _ in range(2):
            assert (await downloader.download(f"{server.url}/i.png")).data == PNG
    assert server.connections == 1


async def test_a_download_on_a_kept_connection_that_the_server_closed_is_tried_again_on_a_new_one() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, PNG, connection="keep-alive")
        if wire.server.connections == 1:
            await wire.hear()
            wire.reset()

    async with raw_server(respond) as server, a_downloader() as downloader:
        for _ in range(2):
            assert (await downloader.download(f"{server.url}/i.png")).data == PNG
    assert (server.connections, len(server.requests)) == (2, 3)


async def test_the_size_is_announced_before_the_bytes_are_read_and_for_each_try() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        if wire.server.connections < 3:
            await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
            wire.reset()
        else:
            await wire.answer(200, PNG)

    announced: list[int] = []
    async with raw_server(respond) as server, a_downloader() as downloader:
        await downloader.download(f"{server.url}/i.png", announced.append)
    assert announced == [500, 500, len(PNG)]


async def test_the_request_has_no_key_and_no_cookie_and_asks_for_plain_bytes() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, PNG, Set_Cookie="track=me; Path=/")

    # By name: a jar would keep no cookies of a bare address.
    async with raw_server(respond) as server, a_downloader(hosts=frozenset({"localhost"})) as downloader:
        for _ in range(2):
            await downloader.download(f"http://localhost:{server.port}/i.png")
    for request in server.requests:
        head = request.lower()
        assert b"accept-encoding: identity\r\n" in head
        assert b"authorization" not in head
        assert b"cookie" not in head


async def test_a_proxy_of_the_environment_is_not_used() -> None:
    async with open_download_session() as session:
        assert session.trust_env is False


async def test_an_image_in_chunks_without_a_length_arrives() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(PNG), 1000):
            part = PNG[at : at + 1000]
            await wire.say(b"%x\r\n%s\r\n" % (len(part), part))
        await wire.say(b"0\r\n\r\n")

    async with raw_server(respond) as server, a_downloader() as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG


@pytest.mark.parametrize("encoding", ["identity", ""])
async def test_content_encoding_identity_is_no_encoding(encoding: str) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, PNG, Content_Encoding=encoding)

    async with raw_server(respond) as server, a_downloader() as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).width == 64


# --- other addresses ------------------------------------------------------------------------------------------------


async def test_a_named_host_may_resolve_to_a_private_address_and_only_that_one() -> None:
    resolver = ScriptedResolver(["127.0.0.1"])
    hosts = frozenset({"mirror.example"})
    async with raw_server(the_image) as server, a_downloader(hosts=hosts, resolver=resolver) as downloader:
        assert (await downloader.download(f"http://mirror.example:{server.port}/i.png")).height == 96
        with pytest.raises(ImageUrlRefused, match="QWEN_IMAGE_HOSTS"):
            await downloader.download(f"http://other.example:{server.port}/i.png")
    assert resolver.asked == ["mirror.example"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_by_a_request_without_data_of_the_first(status: int) -> None:
    async def respond(wire: Wire) -> None:
        request = await wire.hear()
        if b"/i.png" in request:
            await wire.answer(status, b"moved", Location="/there?token=other", Set_Cookie="track=me; Path=/")
        else:
            await wire.answer(200, PNG)

    async with raw_server(respond) as server, a_downloader() as downloader:
        image = await downloader.download(f"{server.url}/i.png?sig=canary")
    assert image.data == PNG
    first, second = server.requests
    assert second == first.replace(b"/i.png?sig=canary", b"/there?token=other")
    assert b"canary" not in second


def leading_on(times: int) -> Conversation:
    """Redirect so many times, then send the image."""

    async def respond(wire: Wire) -> None:
        await wire.hear()
        heard = len(wire.server.requests)
        await (wire.answer(200, PNG) if heard > times else wire.answer(302, b"", Location=f"/{heard}"))

    return respond


async def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    async with raw_server(leading_on(3)) as server, a_downloader() as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG
    error, connections = await fault_of(leading_on(4))
    assert isinstance(error, ImageUrlRefused)
    assert (error.reason, connections) == ("it redirects more than 3 times", 4)


async def test_a_temporary_fault_after_a_redirect_is_tried_again_from_the_first_address() -> None:
    async def respond(wire: Wire) -> None:
        request = await wire.hear()
        if b"/i.png" in request:
            await wire.answer(302, b"", Location="/there")
        else:
            await (wire.answer(503) if len(wire.server.requests) < 4 else wire.answer(200, PNG))

    async with raw_server(respond) as server, a_downloader(rng=None) as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG
    assert [request.split()[1] for request in server.requests] == [b"/i.png", b"/there"] * 2


async def test_a_redirect_leads_only_to_hosts_that_are_named() -> None:
    resolver = ScriptedResolver(["127.0.0.1"])
    hosts = frozenset({"mirror.example", ".store.example"})

    async def respond(wire: Wire) -> None:
        request = await wire.hear()
        places = {b"/1": "//a.store.example:{}/2", b"/2": "//store.example:{}/3"}
        place = places[request.split()[1]].format(wire.server.port)
        await wire.answer(302, b"", Location=place)

    async with raw_server(respond) as server, a_downloader(hosts=hosts, resolver=resolver) as downloader:
        with pytest.raises(ImageUrlRefused, match="where it redirects to: its host is not named in QWEN_IMAGE_HOSTS"):
            await downloader.download(f"http://mirror.example:{server.port}/1")
    assert resolver.asked == ["mirror.example", "a.store.example"]


@pytest.mark.parametrize("status", [300, 304, 305, 306])
async def test_other_3xx_answers_are_refused(status: int) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(status, b"", Location="/there")

    error, connections = await fault_of(respond)
    assert isinstance(error, ImageUrlRefused)
    assert (error.reason, error.http_status, connections) == ("it redirects without saying where", status, 1)


async def test_a_challenge_page_instead_of_the_image_is_tried_again() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        challenged = len(wire.server.requests) == 1
        await (wire.answer(403, b"<html>", cf_mitigated="challenge") if challenged else wire.answer(200, PNG))

    async with raw_server(respond) as server, a_downloader() as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG


# --- too much, or no image ----------------------------------------------------------------------------------------


async def test_an_announced_size_above_the_limit_is_refused_before_the_body() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        await wire.stay_silent()

    error, connections = await fault_of(respond, max_bytes=1999)
    assert isinstance(error, ImageTooLarge)
    assert (error.limit_bytes, error.size_bytes, connections) == (1999, 2000, 1)


async def test_an_image_of_exactly_the_limit_is_taken() -> None:
    async with raw_server(the_image) as server, a_downloader(max_bytes=len(PNG)) as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG


async def test_an_endless_body_is_stopped_at_the_limit() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PNG)
        while True:
            await wire.say(bytes(65536))

    error, connections = await fault_of(respond, max_bytes=300_000)
    assert isinstance(error, ImageTooLarge)
    assert (error.limit_bytes, error.size_bytes, connections) == (300_000, None, 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP, identity"])
async def test_a_compressed_body_is_refused_unread(encoding: str) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, gzip.compress(PNG), Content_Encoding=encoding)

    error, connections = await fault_of(respond)
    assert isinstance(error, NotAnImage)
    assert (error.reason, connections) == ("it was sent compressed, which was not asked for", 1)


@pytest.mark.parametrize("body", [b"", b"<html>gone</html>", b"GIF89a" + bytes(50), PNG[:20]])
async def test_bytes_that_are_no_image_are_refused_whatever_their_content_type(body: bytes) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, body, Content_Type="image/png")

    error, connections = await fault_of(respond)
    assert isinstance(error, NotAnImage)
    assert connections == 1


async def test_a_truncated_image_is_downloaded_again() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, PNG[:-20] if len(wire.server.requests) < 3 else PNG)

    async with raw_server(respond) as server, a_downloader() as downloader:
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG

    async def never(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(200, PNG[:-20])

    error, connections = await fault_of(never)
    assert isinstance(error, NotWhole)
    assert connections == 3


# --- faults ---------------------------------------------------------------------------------------------------------


async def reset(wire: Wire) -> None:
    await wire.hear()
    wire.reset()


async def close(wire: Wire) -> None:
    await wire.hear()


async def break_off_in_the_image(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PNG[:500]))


async def answer_no_http(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


@pytest.mark.parametrize("respond", [reset, close, break_off_in_the_image, answer_no_http], ids=lambda c: c.__name__)
async def test_a_broken_connection_is_tried_again_and_then_temporary(respond) -> None:
    pauses = Pauses()
    error, connections = await fault_of(respond, sleep=pauses)
    assert isinstance(error, ImageUnavailable)
    assert (error.temporary, connections, len(pauses.seconds)) == (True, 3, 2)
    assert 0 <= pauses.seconds[0] <= 1.0
    assert 0 <= pauses.seconds[1] <= 2.0


@pytest.mark.parametrize(
    ("status", "temporary", "connections"),
    [
        (400, False, 1),
        (401, False, 3),
        (403, False, 3),
        (404, False, 3),
        (410, False, 3),
        (204, False, 1),
        (206, False, 1),
        (408, True, 3),
        (429, True, 3),
        (500, True, 3),
        (503, True, 3),
    ],
)
async def test_each_status_is_tried_again_only_where_that_may_help(
    status: int, temporary: bool, connections: int
) -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(status)

    error, asked = await fault_of(respond)
    assert isinstance(error, ImageUnavailable)
    assert (error.http_status, error.temporary, asked) == (status, temporary, connections)


async def test_a_port_where_nobody_listens_is_temporary() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    async with a_downloader() as downloader:
        with pytest.raises(ImageUnavailable, match="ClientConnectorError") as caught:
            await downloader.download(f"http://127.0.0.1:{port}/i.png")
    assert caught.value.temporary


async def test_the_deadline_holds_for_all_tries_and_pauses_together() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(500)

    error, connections = await fault_of(respond, total_timeout_seconds=2, sleep=lambda _: asyncio.sleep(600))
    assert isinstance(error, ImageUnavailable)
    assert (error.reason, connections) == ("it took more than 2 s", 1)


async def drip(wire: Wire) -> None:
    await wire.hear()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    while True:
        await wire.say(b"x" * 10)
        await asyncio.sleep(0.02)


async def test_a_slow_download_is_given_up_for_its_rate_long_before_the_deadline() -> None:
    error, connections = await fault_of(
        drip, grace_seconds=0.1, min_bytes_per_second=10_000, total_timeout_seconds=600.0
    )
    assert isinstance(error, ImageUnavailable)
    assert (error.temporary, error.reason, connections) == (True, "it came too slowly", 3)


async def test_a_download_is_not_judged_by_its_rate_before_its_grace_has_passed() -> None:
    async with (
        raw_server(the_image) as server,
        a_downloader(grace_seconds=600.0, min_bytes_per_second=10**12) as downloader,
    ):
        assert (await downloader.download(f"{server.url}/i.png")).data == PNG


async def test_a_download_just_fast_enough_still_ends_at_the_deadline() -> None:
    error, connections = await fault_of(drip, min_bytes_per_second=1, total_timeout_seconds=2)
    assert isinstance(error, ImageUnavailable)
    assert (error.temporary, error.reason, connections) == (True, "it took more than 2 s", 1)


async def test_a_cancelled_download_stays_cancelled() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.stay_silent()

    async with raw_server(respond) as server, a_downloader() as downloader:
        task = asyncio.ensure_future(downloader.download(f"{server.url}/i.png"))
        await server.heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- construction and log -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"tries": 0}, {"total_timeout_seconds": 0}])
async def test_limits_of_zero_are_refused(options: dict[str, Any]) -> None:
    async with a_downloader(max_bytes=1, tries=1, total_timeout_seconds=1):
        pass
    with pytest.raises(
        ValueError, match=r"^The largest size, the tries and the time for a download must be more than 0\.$"
    ):
        async with a_downloader(**options):
            pass


async def test_the_log_has_bytes_and_milliseconds_and_no_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="qwen_imagine.qwen")
    async with raw_server(the_image) as server, a_downloader() as downloader:
        image = await downloader.download(f"{server.url}/i.png?sig=canary")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "qwen_imagine.qwen"]
    assert line.startswith(f"image of {len(PNG)} bytes fetched in ")
    assert "canary" not in line + repr(image)
