"""The local image API against the document, by raw HTTP: what it accepts and refuses, and the states of a task."""

import asyncio
import io
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sandbox.clock import SandboxClock
from sandbox.image_api import ImageApi, attach_image_api
from sandbox.image_api.document import SIZES, TASK_ID_PATTERN, Refused, parse_generate
from sandbox.image_api.image_cache import ImageCache
from sandbox.image_api.synthetic_image import draw_image


class ManualTime:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class ApiClient:
    """The image API, and a client of it."""

    def __init__(self, images: ImageApi, url: str, session: aiohttp.ClientSession, time: ManualTime) -> None:
        self.images, self.url, self.session, self.time = images, url, session, time
        self.headers = {"Authorization": f"Bearer {images.key}"}

    async def post(self, body: object, **more: Any) -> tuple[int, dict]:
        options: dict[str, Any] = {"json": body, "headers": self.headers, **more}
        async with self.session.post(f"{self.url}/image-api/api/generate", **options) as answer:
            return answer.status, await answer.json()

    async def poll(self, task_id: str | None, headers: dict[str, str] | None = None) -> tuple[int, dict]:
        params = {} if task_id is None else {"task_id": task_id}
        async with self.session.get(
            f"{self.url}/image-api/api/status", params=params, headers=headers or self.headers
        ) as answer:
            return answer.status, await answer.json()

    async def make(self, **body: object) -> str:
        status, answer = await self.post({"prompt": "a lighthouse", **body})
        assert status == 200, answer
        return answer["data"]["task_id"]

    async def finished(self, **body: object) -> dict:
        task_id = await self.make(**body)
        self.time.seconds += 9.1
        return (await self.poll(task_id))[1]["data"]

    async def download(self, url: str) -> tuple[bytes, str]:
        async with self.session.get(url) as answer:
            assert answer.status == 200
            return await answer.read(), answer.content_type


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    time = ManualTime()
    images = ImageApi(SandboxClock(), rng=random.Random(7), monotonic=time)
    app = web.Application()
    url = ""
    attach_image_api(app, images, lambda: url)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield ApiClient(images, url, session, time)
    await runner.cleanup()


async def test_a_task_goes_from_pending_over_in_progress_to_success_with_the_documents_answers(api: ApiClient) -> None:
    status, answer = await api.post({"prompt": "a lighthouse", "size": "1024*1536", "seed": 42})
    task_id = answer["data"]["task_id"]
    assert (status, answer["code"], answer["message"]) == (200, 200, "success")
    assert answer["data"] == {"task_id": task_id, "status": "PENDING"}
    assert TASK_ID_PATTERN.fullmatch(task_id)
    assert len(task_id) == len("n43abc123def456qwenimg")

    api.time.seconds += 3
    status, answer = await api.poll(task_id)
    data = answer["data"]
    assert (status, answer["code"], data["status"], data["response"]) == (200, 200, "IN_PROGRESS", None)
    assert data["consumed_credits"] == 5
    assert data["error_message"] is None
    assert data["request"] == {"prompt": "a lighthouse", "size": "1024*1536", "seed": 42, "output_format": "jpeg"}
    assert data["created_at"].endswith("Z") and len(data["created_at"]) == len("2024-12-19T10:00:00Z")

    api.time.seconds += 6.1
    data = (await api.poll(task_id))[1]["data"]
    assert data["status"] == "SUCCESS"
    assert data["response"] == [f"{api.url}/image-api/cdn/{task_id}.jpeg"]
    assert len(api.images.polls[task_id]) == 2
    assert [post.task_id for post in api.images.posts] == [task_id]


async def test_a_jump_of_the_wall_clock_finishes_no_task() -> None:
    clock = SandboxClock()
    images = ImageApi(clock, rng=random.Random(1), monotonic=ManualTime())
    task = images.accept(parse_generate("application/json", {"prompt": "x"}), images.mood, None)
    clock.advance(86_400)
    assert task.status(images.now_ms(), images.mood) == "PENDING"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'prompt' is required."),
        ({"prompt": ""}, "'prompt' is required."),
        ({"prompt": None}, "'prompt' is required."),
        ({"prompt": 5}, "'prompt' must be a string"),
        ({"prompt": "x" * 2001}, "at most 2000 characters, got 2001"),
        ({"prompt": "x", "size": "1024x1024"}, "'size' must be one of 1024*1024"),
        ({"prompt": "x", "size": None}, "'size' must be one of"),
        ({"prompt": "x", "seed": -2}, "'seed' must be a whole number"),
        ({"prompt": "x", "seed": 2147483648}, "'seed' must be a whole number"),
        ({"prompt": "x", "seed": True}, "'seed' must be a whole number"),
        ({"prompt": "x", "seed": "42"}, "'seed' must be a whole number"),
        ({"prompt": "x", "output_format": "gif"}, "'output_format' must be one of jpeg, png, webp"),
        ({"prompt": "x", "callback_url": "not a url"}, "'callback_url' must be an http or https URL"),
        ({"prompt": "x", "callback_url": "http://[::1"}, "'callback_url' must be an http or https URL"),
        ({"prompt": "x", "steps": 30}, "unknown parameter 'steps'"),
        (["prompt"], "the body must be a JSON object"),
    ],
)
async def test_a_bad_body_is_refused_with_400_and_a_sentence(api: ApiClient, body: object, words: str) -> None:
    status, answer = await api.post(body)
    assert (status, answer["code"], answer["data"]) == (400, 400, None)
    assert answer["message"].startswith("Bad Request: ")
    assert words in answer["message"]
    assert api.images.tasks == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NAMES = st.sampled_from(["prompt", "size", "seed", "output_format", "callback_url", "steps"])


@given(JSON | st.dictionaries(NAMES, JSON | st.sampled_from(["1024*1024", "png", 42, "http://127.0.0.1/"])))
def test_any_body_is_accepted_within_the_documents_limits_or_refused_with_400(body: object) -> None:
    try:
        taken = parse_generate("application/json", body)
    except Refused as refused:
        assert refused.code == 400
        assert refused.message.startswith("Bad Request: ")
    else:
        assert 1 <= len(taken.prompt) <= 2000
        assert taken.size in SIZES
        assert -1 <= taken.seed <= 2147483647
        assert taken.output_format in {"jpeg", "png", "webp"}
        assert isinstance(body, dict) and taken.echo()["prompt"] == body["prompt"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_not_json_is_refused_with_400(api: ApiClient, data: bytes) -> None:
    headers = {**api.headers, "Content-Type": "application/json"}
    status, answer = await api.post(None, json=None, data=data, headers=headers)
    assert (status, answer["code"]) == (400, 400)


async def test_a_form_instead_of_json_is_refused(api: ApiClient) -> None:
    status, answer = await api.post(None, json=None, data=b'{"prompt": "x"}')
    assert status == 400
    assert "Content-Type must be application/json" in answer["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x" * 2000},
        {"prompt": "\ud800 lone surrogate"},
        {"prompt": "x", "seed": -1},
        {"prompt": "x", "seed": 2147483647},
        {"prompt": "x", "size": "768*1024", "output_format": "webp", "callback_url": "http://127.0.0.1:1/x"},
    ],
)
async def test_the_documents_limits_are_accepted(api: ApiClient, body: dict) -> None:
    assert (await api.post(body))[0] == 200


@pytest.mark.parametrize("header", [None, "Bearer wrong", "bearer", "Basic x", ""])
async def test_a_missing_or_wrong_key_is_refused_with_401_on_both_endpoints(api: ApiClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    status, answer = await api.post({"prompt": "x"}, headers=headers)
    assert (status, answer["code"], answer["data"]) == (401, 401, None)
    status, answer = await api.poll("n43abc123def456qwenimg", headers=headers or {"X-None": "1"})
    assert (status, answer["code"]) == (401, 401)


async def test_an_unknown_task_is_404_and_a_missing_task_id_is_400(api: ApiClient) -> None:
    assert [(s, a["code"]) for s, a in (await api.poll("n43abc123def456qwenimg"), await api.poll(None))] == [
        (404, 404),
        (400, 400),
    ]


@pytest.mark.parametrize(("method", "path"), [("GET", "api/generate"), ("POST", "api/status"), ("GET", "api/tasks")])
async def test_an_unknown_endpoint_is_404_and_logged_as_an_error(
    api: ApiClient, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with api.session.request(method, f"{api.url}/image-api/{path}", headers=api.headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, 404)
    assert f"/image-api/{path}" in caplog.text


@pytest.mark.parametrize(
    ("output_format", "magic"),
    [("png", b"\x89PNG\r\n\x1a\n"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")],
)
@pytest.mark.parametrize("size", ["1024*1536", "1536*1024", "768*1024"])
async def test_an_image_has_the_requested_size_and_format(
    api: ApiClient, size: str, output_format: str, magic: bytes
) -> None:
    data = await api.finished(size=size, output_format=output_format, seed=3)
    image, content_type = await api.download(data["response"][0])
    assert content_type == f"image/{output_format}"
    assert image.startswith(magic)
    assert len(image) < 8 * 1024 * 1024
    with Image.open(io.BytesIO(image)) as opened:
        opened.load()
        assert f"{opened.width}*{opened.height}" == size


async def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_other_bytes(api: ApiClient) -> None:
    images = []
    for seed in (42, 42, 43):
        data = await api.finished(seed=seed, size="768*1024")
        images.append((await api.download(data["response"][0]))[0])
    assert images[0] == images[1]
    assert images[0] != images[2]


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_same_prompt_gives_the_same_bytes_and_another_prompt_gives_other_bytes(output_format: str) -> None:
    once, again, other = [draw_image(prompt, 42, (256, 256), output_format) for prompt in ("a", "a", "b")]
    assert once == again
    assert once != other


async def test_above_the_limit_of_running_tasks_a_post_gets_429_until_one_ends(api: ApiClient) -> None:
    api.images.max_tasks = 2
    for _ in range(2):
        await api.make()
    status, answer = await api.post({"prompt": "a lighthouse"})
    assert (status, answer["code"], answer["message"]) == (429, 429, "Too many tasks are running.")
    assert len(api.images.tasks) == 2
    api.time.seconds += 9.1
    await api.make()


async def test_each_task_with_seed_minus_1_gets_another_seed(api: ApiClient) -> None:
    first, second = [api.images.tasks[await api.make(seed=-1)] for _ in range(2)]
    assert first.seed != second.seed
    assert first.body.echo()["seed"] == -1


async def test_no_image_is_served_before_its_task_ends_or_under_another_name(api: ApiClient) -> None:
    task_id = await api.make()
    for name in (f"{task_id}.jpeg", f"{task_id}.png", "n43abc123def456qwenimg.jpeg", "x"):
        async with api.session.get(f"{api.url}/image-api/cdn/{name}") as answer:
            assert answer.status == 404


async def test_the_cache_keeps_only_the_latest_images() -> None:
    cache = ImageCache(kept_images=2)
    images = [await cache.get("x", seed, "768*1024", "jpeg") for seed in range(4)]
    assert len(cache) == 2
    assert await cache.get("x", 3, "768*1024", "jpeg") is images[3]
    assert await cache.get("x", 0, "768*1024", "jpeg") == images[0]
    await asyncio.gather(*(cache.get("y", 1, "768*1024", "jpeg") for _ in range(3)))
    assert len(cache) == 2
