"""Steps with the image API: one image of each size, polled, and again with a callback. They spend real credits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from doctor.live.callback_probe import CallbackProbe, ExpectedCall, open_probe
from doctor.live.image_expectations import Course, judge_course
from doctor.live.report import Report
from doctor.model import Finding, Level
from generations.clock import Clock, done_within
from generations.poll_schedule import POLL_SECONDS
from images.image_memory import IMAGE_BYTES_MAX
from qwen.client import open_sessions
from qwen.errors import AccountEmpty, KeyRefused, QwenError, RateLimited, ServiceUnavailable
from qwen.images import open_download_session
from qwen.models import OutputFormat, Size, Task, TaskRequest, TaskStatus
from qwen.recording import RecordingClient, RecordingDownloader
from settings import Settings

PROMPT = "A lighthouse on a cliff at dusk, watercolour"
SECRET_HEADERS = frozenset({"set-cookie", "www-authenticate"})
CALL_SECONDS = 10.0  # how long a callback is waited for after the image was ready


@dataclass(frozen=True, slots=True)
class ImageTools:
    """What the images are made with. *deadline_seconds*: for one image."""

    client: RecordingClient
    downloader: RecordingDownloader
    clock: Clock
    report: Report
    deadline_seconds: float


async def try_images(
    settings: Settings, report: Report, clock: Clock, token_bytes: Callable[[int], bytes], *, port_is_given: bool
) -> None:
    """Make one image of each size without a callback, and one with, if PUBLIC_URL is set and its port is free."""
    async with contextlib.AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(open_sessions())
        hosts = frozenset(settings.qwen_image_hosts)
        downloads = await stack.enter_async_context(open_download_session(hosts))
        key = settings.qwen_api_key
        client = RecordingClient(sessions, api_url=settings.qwen_api_url, api_key=key)
        downloader = RecordingDownloader(downloads, allowed_hosts=hosts, max_bytes=IMAGE_BYTES_MAX)
        tools = ImageTools(client, downloader, clock, report, settings.task_deadline_seconds)
        if not await _make_each_size(tools, None):
            return
        if not settings.public_url:
            report.note(Finding("callbacks", Level.WARN, "not tried: PUBLIC_URL is empty"))
            return
        port = settings.callback_port
        opened = open_probe(clock, settings.public_url, port, token_bytes, port_is_given=port_is_given)
        probe = await stack.enter_async_context(opened)
        if isinstance(probe, str):
            advice = "stop the bot if it is the one that listens there, and run this again"
            report.note(Finding("callbacks", Level.WARN, f"not tried: {probe}", advice))
            return
        await _make_each_size(tools, probe)


async def _make_each_size(tools: ImageTools, probe: CallbackProbe | None) -> bool:
    """Make the images one after the other, in each format in turn. Returns False where no further one can be made."""
    for size, output_format in zip(Size, itertools.cycle(OutputFormat), strict=False):
        expected = None if probe is None else probe.expect()
        if expected is not None:
            tools.report.hide(expected.token)
        url = None if expected is None else expected.url
        course = Course(TaskRequest(PROMPT, size, 42, output_format, url))
        goes_on = await _make(tools, course, expected)
        tools.report.note(judge_course(course))
        tools.report.add(course.name, *course.lines(), *_answers(tools, expected))
        if not goes_on:
            return False
    return True


async def _make(tools: ImageTools, course: Course, expected: ExpectedCall | None) -> bool:
    """Make one image. Returns False where the API would refuse every other one too."""
    tools.client.answers.clear()
    tools.downloader.heads.clear()
    tools.downloader.hosts.clear()
    began = tools.clock.monotonic()
    try:
        task = await tools.client.create_task(course.request)
        course.posted_after = tools.clock.monotonic() - began
        task = await _poll(tools, course, task, began, expected)
        await _download(tools, course, task)
    except QwenError as error:
        course.fault = f"{error} {error.service_message}".strip()
        return not isinstance(error, KeyRefused | AccountEmpty)
    if expected is not None and await _is_called(expected, CALL_SECONDS, tools.clock):
        course.called_after = expected.calls[0][0] - began
    return True


async def _poll(tools: ImageTools, course: Course, task: Task, began: float, expected: ExpectedCall | None) -> Task:
    """Poll the task until it ends, a callback at once, or the deadline comes. Notes each change of its status.

    It is polled once also where the answer to its POST says that it has ended: that answer names no image.
    """
    clock = tools.clock
    course.statuses.append((course.posted_after, task.status_text))
    while True:
        if expected is None or expected.came.is_set():
            await clock.sleep(POLL_SECONDS)
        else:
            await _is_called(expected, POLL_SECONDS, clock)
        with contextlib.suppress(RateLimited, ServiceUnavailable):  # the next poll asks again; the answer is kept
            task = await tools.client.get_task(task.task_id)
            course.note_poll(task, clock.monotonic() - began)
            if task.status in (TaskStatus.SUCCESS, TaskStatus.FAILED):
                return task
        if clock.monotonic() - began > tools.deadline_seconds:
            return task


async def _is_called(expected: ExpectedCall, seconds: float, clock: Clock) -> bool:
    """Wait for a callback; whether it came in so many *seconds*."""
    waiting = asyncio.ensure_future(expected.came.wait())
    try:
        return await done_within(waiting, seconds, clock)
    finally:
        waiting.cancel()


async def _download(tools: ImageTools, course: Course, task: Task) -> None:
    if not task.image_urls:
        course.fault = f"the task ended as {task.status_text} ({task.error_message or 'without a reason'})"
        return
    course.image = await tools.downloader.download(task.image_urls[0])
    course.hosts = list(tools.downloader.hosts)


def _answers(tools: ImageTools, expected: ExpectedCall | None) -> list[str]:
    """Return the answers of the API that differ, the callbacks and the heads of the image's host, word for word."""
    lines = ["", "answers of the image API:"]
    for answer in dict.fromkeys((each.status, each.body) for each in tools.client.answers):
        lines.append(f"HTTP {answer[0]}: {_text(answer[1])}")
    for number, (_, body) in enumerate(expected.calls if expected is not None else (), start=1):
        lines.append(f"callback {number}: {_text(body)}")
    for head in tools.downloader.heads:
        lines += ["", f"{head.host} answered the download with HTTP {head.status}:"]
        lines += [f"{name}: {'(value)' if name.lower() in SECRET_HEADERS else value}" for name, value in head.headers]
    return lines


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
