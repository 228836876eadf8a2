"""What the worker and the use-cases count: after the commit, and each thing once."""

from __future__ import annotations

import re

import pytest

from generations.errors import NotCancellable
from generations.model import State
from observability.metrics import PREFIX
from observability.prometheus import PrometheusMetrics
from qwen.errors import PromptRefused
from qwen.models import TaskStatus
from store.errors import DatabaseLost
from tests.doubles import requester_of, task
from tests.worker.conftest import MIRA, WorkerHarness
from tests.worker.test_worker_without_database import Flaky


@pytest.fixture
def counted(harness: WorkerHarness) -> WorkerHarness:
    harness.metrics = PrometheusMetrics()
    harness.restart()
    return harness


def shown(harness: WorkerHarness) -> dict[str, float]:
    """Images, credits and leases that were counted, by name with labels, without the prefix."""
    names = rf"^{PREFIX}((?:images|credits|leases_taken_over)_total(?:{{.*}})?) (\S+)$"
    found = re.findall(names, harness.metrics.expose([]).decode(), re.MULTILINE)
    return {name: float(value) for name, value in found if float(value)}


async def test_an_image_is_counted_from_its_hold_to_its_card(counted: WorkerHarness) -> None:
    generation_id = await counted.imagine()
    await counted.worker.step()
    await counted.pass_time(10)
    assert await counted.states(generation_id) == [State.DELIVERED]
    assert shown(counted) == {
        'images_total{ending="",state="running"}': 1,
        'images_total{ending="",state="succeeded"}': 1,
        'images_total{ending="",state="delivered"}': 1,
        'credits_total{kind="hold"}': 5,
        'credits_total{kind="settle"}': 5,
    }


async def test_endings_cancels_and_unanswered_requests_release_what_was_held(counted: WorkerHarness) -> None:
    counted.service.on_create = [PromptRefused("")]
    await counted.imagine()
    await counted.worker.step()
    cancelled = await counted.imagine(count=2)
    await counted.generations.cancel(cancelled, user_id=MIRA, may_manage=False)
    with pytest.raises(NotCancellable):
        await counted.worker.step()
        await counted.generations.cancel(cancelled, user_id=MIRA, may_manage=False)
    unanswered = await counted.imagine(answered=False)
    for _ in range(2):
        await counted.generations.abandon(unanswered)
    assert shown(counted) == {
        'images_total{ending="prompt_refused",state="failed"}': 1,
        'images_total{ending="cancelled",state="cancelled"}': 2,
        'images_total{ending="not_answered",state="cancelled"}': 1,
        'credits_total{kind="hold"}': 20,
        'credits_total{kind="release"}': 20,
    }


async def test_an_event_that_comes_twice_is_held_and_counted_once(counted: WorkerHarness) -> None:
    accepted = (await counted.accept()).generation
    await counted.generations.request(accepted.request, accepted.origin, requester_of(accepted.origin))
    assert shown(counted) == {'credits_total{kind="hold"}': 5}


async def test_what_is_rolled_back_is_not_counted(counted: WorkerHarness) -> None:
    flaky = counted.database = Flaky(counted.database, 1)
    counted.restart()
    with pytest.raises(DatabaseLost):
        await counted.accept()
    await counted.imagine()
    await counted.worker.step()
    counted.service.on_poll = [task(TaskStatus.FAILED, error="out of memory")] * 2
    counted.clock.advance(10)

    async def lose_connection() -> None:
        flaky.failures = 1

    counted.service.during_poll = lose_connection
    await counted.worker.step()
    before = shown(counted)
    assert 'credits_total{kind="release"}' not in before
    await counted.pass_time(30)
    assert shown(counted)['images_total{ending="service_failed",state="failed"}'] == 1
    assert shown(counted)['credits_total{kind="release"}'] == 5


async def test_a_generation_is_taken_over_once_its_lease_has_run_out(counted: WorkerHarness) -> None:
    await counted.imagine()
    handed_out = await counted.worker._claim(10)  # a process that dies with it
    assert (len(handed_out.claimed), shown(counted)) == (1, {'credits_total{kind="hold"}': 5})
    counted.restart()
    await counted.pass_time(9)
    assert "leases_taken_over_total" not in shown(counted)
    await counted.pass_time(2)
    assert shown(counted)["leases_taken_over_total"] == 1
