"""The client and the downloader against the local image API, in every mood."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from qwen.client import QwenClient, open_sessions
from qwen.errors import (
    AccountEmpty,
    ImageTooLarge,
    ImageUnavailable,
    ImageUrlRefused,
    KeyRefused,
    NotAnImage,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.images import ImageDownloader, open_download_session
from qwen.models import SEED_MAX, SEED_RANDOM, OutputFormat, Size, Task, TaskRequest, TaskStatus
from sandbox.clock import SandboxClock
from sandbox.image_api import ImageApi, Mood, attach_image_api

LOOPBACK = frozenset({"127.0.0.1"})
REQUEST = TaskRequest("a lighthouse at dusk", Size.PORTRAIT_SMALL, 7, OutputFormat.JPEG)
SHAPES = [(size, OutputFormat.JPEG) for size in Size] + [(Size.LANDSCAPE_SMALL, made) for made in OutputFormat]
POST_MEETS: dict[Mood, type[QwenError]] = {
    Mood.BAD_REQUEST: PromptRefused,
    Mood.KEY_REFUSED: KeyRefused,
    Mood.EMPTY_ACCOUNT: AccountEmpty,
    Mood.BUSY: RateLimited,
    Mood.BUSY_WAIT: RateLimited,
    Mood.ERROR_BEFORE: OutcomeUnknown,
    Mood.ERROR_AFTER: OutcomeUnknown,
    Mood.SILENT: OutcomeUnknown,
    Mood.GARBAGE: OutcomeUnknown,
    Mood.CHALLENGE: ServiceUnavailable,
}
POLL_MEETS: dict[Mood, type[QwenError]] = {
    Mood.KEY_REFUSED: KeyRefused,
    Mood.LOST_TASK: TaskNotFound,
    Mood.BUSY: RateLimited,
    Mood.BUSY_WAIT: RateLimited,
    Mood.ERROR_BEFORE: ServiceUnavailable,
    Mood.SILENT: ServiceUnavailable,
    Mood.GARBAGE: ServiceUnavailable,
    Mood.CHALLENGE: ServiceUnavailable,
}
IMAGE_MEETS: dict[Mood, type[QwenError]] = {
    Mood.HUGE_IMAGE: ImageTooLarge,
    Mood.NOT_AN_IMAGE: NotAnImage,
    Mood.BOMB: NotAnImage,
    Mood.REDIRECT: ImageUrlRefused,
    Mood.REDIRECT_LOOP: ImageUrlRefused,
    Mood.DRIP: ImageUnavailable,
}
MAKES_AN_IMAGE = (
    Mood.NORMAL,
    Mood.FAST,
    Mood.FEW_TASKS,
    Mood.STRANGE_STATUS,
    Mood.OTHER_WORDS,
    Mood.SEVERAL_URLS,
    Mood.REDIRECTED,
    Mood.COUNTS_UTF16,
    Mood.CALLBACK_LOST,
    Mood.CALLBACK_TWICE,
    Mood.CALLBACK_EARLY,
    Mood.CALLBACK_AHEAD,
    Mood.CALLBACK_FORGED,
    Mood.CALLBACK_PUT,
    Mood.CALLBACK_TASKID,
    Mood.CALLBACK_ID,
)
ENDS_OTHERWISE = (Mood.SLOW, Mood.STUCK, Mood.DECLINED, Mood.NO_URL, Mood.OTHER_WORDS_FAILED)


class Bench:
    """The local image API with a client and a downloader."""

    def __init__(self, images: ImageApi, url: str, client: QwenClient, downloader: ImageDownloader) -> None:
        self.images, self.url, self.client, self.downloader = images, url, client, downloader

    async def seen_through(self, task: Task) -> list[Task]:
        """Poll until the task has ended, and return every answer. (The client does not keep polls 5 s apart.)"""
        answers = [task]
        for _ in range(3000):
            answers.append(await self.client.get_task(task.task_id))
            if answers[-1].status in (TaskStatus.SUCCESS, TaskStatus.FAILED):
                return answers
            await asyncio.sleep(0.02)
        raise AssertionError("the task never ended")

    async def made(self, request: TaskRequest = REQUEST) -> Task:
        return (await self.seen_through(await self.client.create_task(request)))[-1]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    images = ImageApi(SandboxClock(), rng=random.Random(7))
    images.seconds_per_image = (0.08, 0.1)
    app, urls = web.Application(), [""]
    attach_image_api(app, images, lambda: urls[0])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls[0] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with open_sessions() as sessions, open_download_session(LOOPBACK) as downloads:
        client = QwenClient(sessions, api_url=f"{urls[0]}/image-api/api", api_key=images.key, timeout_seconds=3.0)
        downloader = ImageDownloader(
            downloads,
            allowed_hosts=LOOPBACK,
            max_bytes=10 * 1024 * 1024,
            total_timeout_seconds=60.0,
            tries=2,
            grace_seconds=0.1,
        )
        yield Bench(images, urls[0], client, downloader)
    await runner.cleanup()


def test_every_mood_of_the_local_api_is_tested_in_this_file() -> None:
    assert {*POST_MEETS, *POLL_MEETS, *IMAGE_MEETS, *MAKES_AN_IMAGE, *ENDS_OTHERWISE} == set(Mood)


@pytest.mark.parametrize(("size", "output_format"), SHAPES)
async def test_every_size_and_format_comes_back_as_it_was_asked_for(
    bench: Bench, size: Size, output_format: OutputFormat
) -> None:
    task = await bench.made(TaskRequest("a lighthouse", size, 1, output_format))
    image = await bench.downloader.download(task.image_urls[0])
    assert (image.format, image.width, image.height) == (output_format, size.width, size.height)
    assert (task.status, task.consumed_credits, task.error_message) == (TaskStatus.SUCCESS, 5, None)


@pytest.mark.parametrize(
    "prompt", ["x", "🦊" * 2000, "\u202eright to left", '"quotes" \\ and\nlines', "@everyone `x` ../../y"]
)
@pytest.mark.parametrize("seed", [SEED_RANDOM, 0, SEED_MAX])
async def test_any_prompt_and_seed_arrives_unchanged(bench: Bench, prompt: str, seed: int) -> None:
    await bench.client.create_task(TaskRequest(prompt, Size.SQUARE, seed, OutputFormat.JPEG))
    (post,) = bench.images.posts
    assert post.body == {"prompt": prompt, "size": "1024*1024", "seed": seed, "output_format": "jpeg"}


async def test_a_callback_address_is_called(bench: Bench) -> None:
    callback = f"{bench.url}/nobody/here"
    await bench.made(TaskRequest("a lighthouse", Size.SQUARE, 1, OutputFormat.JPEG, callback))
    (task,) = bench.images.tasks.values()
    assert task.body.callback_url == callback


@pytest.mark.parametrize("mood", MAKES_AN_IMAGE)
async def test_a_mood_that_only_changes_polls_still_makes_the_image(bench: Bench, mood: Mood) -> None:
    bench.images.set_mood(mood)
    answers = await bench.seen_through(await bench.client.create_task(REQUEST))
    if mood is Mood.OTHER_WORDS:
        words = {answer.status_text for answer in answers}
        assert {"queued", "completed"} <= words <= {"queued", "processing", "completed"}
    else:
        strange = [answer.status_text for answer in answers if answer.status is TaskStatus.UNKNOWN]
        assert strange == (["WARMING_UP"] * 2 if mood is Mood.STRANGE_STATUS else [])
    assert len(answers[-1].image_urls) == (3 if mood is Mood.SEVERAL_URLS else 1)
    for url in answers[-1].image_urls:
        assert (await bench.downloader.download(url)).width == 768
    assert len(bench.images.posts) == 1


@pytest.mark.parametrize(("mood", "error"), POST_MEETS.items())
async def test_a_post_in_a_bad_mood_is_sent_once_and_raises_the_right_error(
    bench: Bench, mood: Mood, error: type[QwenError]
) -> None:
    bench.images.set_mood(mood)
    with pytest.raises(error) as caught:
        await bench.client.create_task(REQUEST)
    assert type(caught.value) is error
    assert len(bench.images.posts) == 1
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_seconds == (7.0 if mood is Mood.BUSY_WAIT else None)
    if bench.images.tasks:
        assert isinstance(caught.value, OutcomeUnknown), "a task was made, so nothing may say that none was"


async def test_a_service_that_counts_utf16_units_says_so_in_its_refusal(bench: Bench) -> None:
    bench.images.set_mood(Mood.COUNTS_UTF16)
    await bench.client.create_task(TaskRequest("🦊" * 1000, Size.SQUARE, 1, OutputFormat.JPEG))
    with pytest.raises(PromptRefused) as caught:
        await bench.client.create_task(TaskRequest("🦊" * 1001, Size.SQUARE, 1, OutputFormat.JPEG))
    assert caught.value.service_message == "Bad Request: 'prompt' must be at most 2000 characters, got 2002."


@pytest.mark.parametrize(("mood", "error"), POLL_MEETS.items())
async def test_a_poll_in_a_bad_mood_is_sent_once_and_the_next_one_finds_the_task(
    bench: Bench, mood: Mood, error: type[QwenError]
) -> None:
    task = await bench.client.create_task(REQUEST)
    bench.images.set_mood(mood)
    with pytest.raises(error) as caught:
        await bench.client.get_task(task.task_id)
    assert type(caught.value) is error
    assert len(bench.images.polls[task.task_id]) == 1
    bench.images.set_mood(Mood.NORMAL)
    assert (await bench.seen_through(task))[-1].status is TaskStatus.SUCCESS


@pytest.mark.parametrize("mood", [Mood.SLOW, Mood.STUCK])
async def test_a_slow_or_stuck_task_keeps_running(bench: Bench, mood: Mood) -> None:
    bench.images.set_mood(mood)
    task = await bench.client.create_task(REQUEST)
    await asyncio.sleep(0.15)
    assert (await bench.client.get_task(task.task_id)).status is TaskStatus.PENDING


@pytest.mark.parametrize("mood", [Mood.DECLINED, Mood.OTHER_WORDS_FAILED])
async def test_a_declined_task_says_why_and_costs_nothing(bench: Bench, mood: Mood) -> None:
    bench.images.set_mood(mood)
    task = await bench.made()
    assert (task.status, task.consumed_credits, task.image_urls) == (TaskStatus.FAILED, 0, ())
    assert task.error_message == "Content policy violation detected"


async def test_a_success_without_an_address_is_a_success_without_an_image(bench: Bench) -> None:
    bench.images.set_mood(Mood.NO_URL)
    task = await bench.made()
    assert (task.status, task.image_urls) == (TaskStatus.SUCCESS, ())


@pytest.mark.parametrize(("mood", "error"), IMAGE_MEETS.items())
async def test_a_bad_image_is_refused(bench: Bench, mood: Mood, error: type[QwenError]) -> None:
    bench.images.set_mood(mood)
    task = await bench.made()
    with pytest.raises(error) as caught:
        await bench.downloader.download(task.image_urls[0])
    assert type(caught.value) is error


async def test_a_wrong_key_and_an_unknown_task_raise_their_errors(bench: Bench) -> None:
    with pytest.raises(TaskNotFound):
        await bench.client.get_task("n00neverexistedqwenimg")
    async with open_sessions() as sessions:
        stranger = QwenClient(sessions, api_url=f"{bench.url}/image-api/api", api_key="sk-somebody-else")
        with pytest.raises(KeyRefused):
            await stranger.create_task(REQUEST)
        with pytest.raises(KeyRefused):
            await stranger.get_task("n00neverexistedqwenimg")


async def test_a_wrong_address_of_the_api_is_not_reported_as_a_refused_prompt(bench: Bench) -> None:
    async with open_sessions() as sessions:
        client = QwenClient(sessions, api_url=f"{bench.url}/image-api/apii", api_key=bench.images.key)
        with pytest.raises(KeyRefused, match="QWEN_API_URL"):
            await client.create_task(REQUEST)


async def test_without_named_hosts_the_local_image_is_not_downloaded(bench: Bench) -> None:
    task = await bench.made()
    async with open_download_session() as session:
        with pytest.raises(ImageUrlRefused):
            await ImageDownloader(session, max_bytes=10_000_000).download(task.image_urls[0])
