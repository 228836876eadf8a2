"""What is counted of an image, of calls and of the loop, and what a bot without PORT does not pay for."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from generations.counting import count_move
from generations.model import Ending, Generation, Image, Origin, Request, State
from observability.loop_stall import SLEEP_SECONDS, watch_loop
from observability.metrics import GAUGES, NO_METRICS, PREFIX, Reading, metric_names
from observability.prometheus import PrometheusMetrics
from qwen.errors import AccountEmpty, ImageUnavailable, RateLimited
from qwen.measured import MeasuredService, MeasuredStore
from qwen.models import OutputFormat, Size, TaskRequest
from tests.architecture.laws import ROOT
from tests.doubles import FakeImageStore, ManualClock, ScriptedService
from tests.prometheus import promtool_faults

IMAGE = Image(1, 0, 42, submitted_at_ms=4000, ready_at_ms=9000, consumed_credits=5)
ORIGIN = Origin(1, 2, 3, 4, 5, token="", attachment_size_limit=1)
GENERATION = Generation(1, Request("a lighthouse"), ORIGIN, created_at_ms=1000, images=(IMAGE,))
REQUEST = TaskRequest("a lighthouse", Size.SQUARE, 42, OutputFormat.PNG)
NOW_MS = 11_000


def shown(metrics: PrometheusMetrics, *readings: Reading) -> dict[str, float]:
    """The series that are not 0, by name with labels, without the prefix; no buckets."""
    lines = re.findall(rf"^{PREFIX}(\S+?(?:{{.*}})?) (\S+)$", metrics.expose(readings).decode(), re.MULTILINE)
    return {name: float(value) for name, value in lines if float(value) and "_bucket" not in name}


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        (State.SUBMITTING, State.RUNNING, {'wait_seconds_count{stage="line"}': 1, 'wait_seconds_sum{stage="line"}': 3}),
        (
            State.RUNNING,
            State.SUCCEEDED,
            {
                'wait_seconds_count{stage="made"}': 1,
                'wait_seconds_sum{stage="made"}': 7,
                'credits_total{kind="settle"}': 5,
            },
        ),
        (State.EXPIRED, State.SUCCEEDED, {}),
        (State.UNKNOWN, State.SUCCEEDED, {}),
        (
            State.SUCCEEDED,
            State.DELIVERED,
            {'wait_seconds_count{stage="posted"}': 1, 'wait_seconds_sum{stage="posted"}': 2},
        ),
        (State.SUCCEEDED, State.UNDELIVERED, {}),
        (State.REQUESTED, State.EXPIRED, {'credits_total{kind="release"}': 5}),
        (State.SUBMITTING, State.UNKNOWN, {'credits_total{kind="release"}': 5}),
        (State.RUNNING, State.FAILED, {'credits_total{kind="release"}': 5}),
    ],
)
def test_a_move_is_counted_with_its_wait_and_its_credits(
    before: State, after: State, counted: dict[str, float]
) -> None:
    metrics = PrometheusMetrics()
    count_move(metrics, GENERATION, replace(IMAGE, state=before), replace(IMAGE, state=after), NOW_MS)
    assert shown(metrics) == {f'images_total{{ending="",state="{after}"}}': 1, **counted}


@pytest.mark.parametrize("before", [State.SUCCEEDED, State.UNDELIVERED])
def test_a_lost_image_is_refunded_and_an_ending_is_named(before: State) -> None:
    metrics, lost = PrometheusMetrics(), replace(IMAGE, state=State.FAILED, ending=Ending.IMAGE_LOST)
    count_move(metrics, GENERATION, replace(IMAGE, state=before), lost, NOW_MS)
    named = 'images_total{ending="image_lost",state="failed"}'
    assert shown(metrics) == {named: 1, 'credits_total{kind="refund"}': 5}


@pytest.mark.parametrize(
    ("before", "after"),
    [(State.RUNNING, State.RUNNING), (State.REQUESTED, State.SUBMITTING), (State.SUBMITTING, State.REQUESTED)],
)
def test_what_is_no_move_and_what_is_put_back_counts_nothing(before: State, after: State) -> None:
    metrics = PrometheusMetrics()
    count_move(metrics, GENERATION, replace(IMAGE, state=before), replace(IMAGE, state=after), NOW_MS)
    assert shown(metrics) == {}


async def test_calls_of_the_image_api_are_counted_by_what_came_of_them() -> None:
    metrics, clock = PrometheusMetrics(), ManualClock()
    scripted, store = ScriptedService(clock), FakeImageStore(faults=[ImageUnavailable("gone", temporary=False)])
    service = MeasuredService(scripted, metrics, clock.monotonic)
    images = MeasuredStore(store, metrics, clock.monotonic)
    scripted.on_create = [RateLimited(retry_after_seconds=30.0), AccountEmpty()]

    async def take_time() -> None:
        clock.advance(4)

    scripted.during_create = take_time
    for refusal in (RateLimited, AccountEmpty):
        with pytest.raises(refusal):
            await service.create_task(REQUEST)
    task = await service.create_task(REQUEST)
    assert (await service.get_task(task.task_id)).image_urls
    with pytest.raises(ImageUnavailable):
        await images.download("https://example.com/1.png")
    assert (await images.download("https://example.com/1.png")).width == 1024
    assert shown(metrics) == {
        'api_calls_total{call="post",status="RateLimited"}': 1,
        'api_calls_total{call="post",status="AccountEmpty"}': 1,
        'api_calls_total{call="post",status="IN_PROGRESS"}': 1,
        'api_calls_total{call="poll",status="SUCCESS"}': 1,
        'api_calls_total{call="download",status="ImageUnavailable"}': 1,
        'api_calls_total{call="download",status="ok"}': 1,
        'api_call_seconds_count{call="post"}': 3,
        'api_call_seconds_sum{call="post"}': 4,
        'api_call_seconds_count{call="poll"}': 1,
        'api_call_seconds_count{call="download"}': 2,
        'rate_limit_wait_seconds_total{service="api"}': 30,
    }


async def test_a_loop_that_comes_back_too_late_has_stalled_for_so_long() -> None:
    metrics, clock = PrometheusMetrics(), ManualClock()
    watching = asyncio.create_task(watch_loop(metrics, sleep=clock.sleep, monotonic=clock.monotonic))
    for late in (0.0, 1.5):
        await asyncio.sleep(0)
        clock.advance(SLEEP_SECONDS + late)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    watching.cancel()
    assert shown(metrics) == {"loop_stall_seconds_count": 2, "loop_stall_seconds_sum": 1.5}


def test_everything_that_is_shown_is_named_and_as_prometheus_reads_it() -> None:
    metrics = PrometheusMetrics()
    metrics.leases_taken_over(1)
    readings = [Reading(name, 1.0, ("x",) * len(kind.labels)) for name, kind in GAUGES.items()]
    text = metrics.expose(readings).decode()
    series = set(re.findall(rf"^({PREFIX}\w+)", text, re.MULTILINE))
    assert series <= metric_names()
    assert series >= {PREFIX + name for name in GAUGES}
    assert "process_resident_memory_bytes" in text
    assert promtool_faults("check", "metrics", given=text) == ""
    assert PREFIX + "ready" not in metrics.expose([]).decode(), "a gauge is of its scrape alone"


def test_where_nobody_reads_them_nothing_is_counted() -> None:
    for metrics in (NO_METRICS, PrometheusMetrics()):
        metrics.api_called("post", "PENDING", 1.0)
        metrics.discord_called("GET", "200", 1.0)
        metrics.rate_limited("api", 1.0)
        assert bool(metrics.expose([])) is metrics.is_on


def test_a_bot_without_a_port_imports_neither_the_library_nor_a_server() -> None:
    """Start time and idle memory are paid by every bot."""
    rooms = ("prometheus_client", "web", "qwen.measured", "processes.gauges", "discord_api.call_tracing")
    code = f"import bot, sys; print([name for name in {rooms} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
