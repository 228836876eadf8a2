"""Kept images: checked regularly, and refunded once when they are gone for good."""

from __future__ import annotations

import asyncio
import random
from zoneinfo import ZoneInfo

import pytest

from generations.delivery_result import Place
from generations.finished_images import GONE_CHECKS
from generations.model import Ending, State
from generations.privacy import Privacy
from generations.worker.kept_images import (
    CHECKS_AT_ONCE,
    FIRST_CHECK_SECONDS,
    UNREACHABLE_CHECKS,
    next_check_seconds,
)
from limits.usage import Calendar
from qwen.errors import ImageTooLarge, ImageUnavailable, NotAnImage, QwenError
from qwen.images import DownloadedImage
from tests.doubles import FakeImageStore
from tests.worker.conftest import WorkerHarness

HOUR, DAY = 3600.0, 86_400.0


class SlowImageStore(FakeImageStore):
    """A store whose downloads take many turns of the loop. *most*: most downloads at the same time."""

    under_way = 0
    most = 0

    async def download(self, url: str, announced: object = None) -> DownloadedImage:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        self.under_way -= 1
        return await super().download(url)


def gone() -> QwenError:
    return ImageUnavailable("gone", temporary=False, http_status=403)


def silent() -> QwenError:
    return ImageUnavailable("no answer", temporary=True)


async def keep(harness: WorkerHarness, *, count: int = 1) -> int:
    """Create a generation whose images are paid for and kept."""
    generation_id = await harness.imagine(count=count)
    harness.delivery.places = [Place.NOWHERE]
    await harness.worker.step()
    await harness.pass_time(60)
    assert set(await harness.states(generation_id)) == {State.UNDELIVERED}
    harness.image_store.downloads.clear()
    return generation_id


async def settled(harness: WorkerHarness) -> dict[str, int]:
    """Audit the ledger and count its entries by kind, without refills."""
    await harness.money()
    entries = await harness.database.run(harness.ledger.history, 501, 100)
    kinds = [entry.kind.value for entry in entries if entry.image_id is not None]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


async def test_a_kept_image_is_checked_in_growing_intervals_and_stays_paid_while_it_is_there(
    harness: WorkerHarness,
) -> None:
    generation_id = await keep(harness)
    await harness.pass_time(HOUR - 120, stride=60)
    assert harness.image_store.downloads == []
    await harness.pass_time(120, stride=60)
    assert len(harness.image_store.downloads) == 1
    await harness.pass_time(2 * DAY, stride=600)
    assert 5 <= len(harness.image_store.downloads) <= 8
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    assert await settled(harness) == {"hold": 1, "settle": 1}


@pytest.mark.parametrize("fault", [gone(), NotAnImage()])
async def test_a_kept_image_with_a_dead_link_is_refunded_once_and_its_card_is_published(
    harness: WorkerHarness, fault: QwenError
) -> None:
    generation_id = await keep(harness)
    harness.image_store.faults = [fault] * 100
    await harness.pass_time(4 * HOUR, stride=60)
    generation = await harness.load(generation_id)
    assert (generation.images[0].state, generation.images[0].ending) == (State.FAILED, Ending.IMAGE_LOST)
    assert harness.delivery.last_states() == [State.FAILED] and not generation.is_unpublished
    assert len(harness.image_store.downloads) == GONE_CHECKS
    await harness.pass_time(2 * DAY, stride=3600)
    assert await settled(harness) == {"hold": 1, "refund": 1, "settle": 1}
    assert len(harness.image_store.downloads) == GONE_CHECKS


async def test_one_404_gives_no_image_up(harness: WorkerHarness) -> None:
    generation_id = await keep(harness)
    harness.image_store.faults = [gone(), gone()]
    await harness.pass_time(2 * DAY, stride=600)
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    assert (await harness.load(generation_id)).images[0].failures == 0


async def test_an_oversized_image_counts_as_available(harness: WorkerHarness) -> None:
    generation_id = await keep(harness)
    harness.image_store.faults = [ImageTooLarge(10)] * 100
    await harness.pass_time(2 * DAY, stride=600)
    assert await harness.states(generation_id) == [State.UNDELIVERED]


async def test_after_a_month_without_an_answer_the_image_is_refunded(harness: WorkerHarness) -> None:
    generation_id = await keep(harness)
    harness.image_store.faults = [silent()] * 100
    await harness.pass_time(20 * DAY, stride=3600)
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    await harness.pass_time(15 * DAY, stride=3600)
    assert await harness.states(generation_id) == [State.FAILED]
    assert len(harness.image_store.downloads) == UNREACHABLE_CHECKS
    assert await settled(harness) == {"hold": 1, "refund": 1, "settle": 1}


async def test_a_kept_image_is_refunded_before_it_is_purged(harness: WorkerHarness) -> None:
    generation_id = await keep(harness)
    harness.context.retention_days = 3
    privacy = Privacy(
        harness.database, harness.ledger, harness.clock, random.Random(1), Calendar(ZoneInfo("UTC")), retention_days=3
    )
    await harness.pass_time(3 * DAY - HOUR, stride=600)
    await privacy.run_maintenance()
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    harness.clock.advance(HOUR)
    await privacy.run_maintenance()
    kept = await harness.load(generation_id)
    assert kept.images[0].image_url and kept.request.prompt, "the purge waits for the refund"
    await harness.pass_time(120, stride=30)
    await privacy.run_maintenance()
    purged = await harness.load(generation_id)
    assert (purged.images[0].state, purged.images[0].image_url, purged.request.prompt) == (State.FAILED, None, "")
    assert await settled(harness) == {"hold": 1, "refund": 1, "settle": 1}


async def test_many_due_checks_run_a_few_at_a_time(harness: WorkerHarness) -> None:
    harness.max_per_user = 8
    harness.image_store = SlowImageStore()
    harness.restart()
    kept = [await keep(harness) for _ in range(5)]
    harness.clock.advance(DAY)
    harness.image_store.most = 0
    await harness.worker.step()
    assert 1 <= harness.image_store.most <= CHECKS_AT_ONCE
    await harness.pass_time(FIRST_CHECK_SECONDS + 60, stride=30)
    assert len(harness.image_store.downloads) >= 5 and harness.image_store.most <= CHECKS_AT_ONCE
    assert {state for one in kept for state in await harness.states(one)} == {State.UNDELIVERED}


@pytest.mark.parametrize(
    ("age_seconds", "failures", "wait"),
    [
        (60, 0, HOUR),
        (2 * HOUR, 0, 2 * HOUR),
        (9 * DAY, 0, DAY),
        (9 * DAY, 1, HOUR),
        (9 * DAY, 3, 4 * HOUR),
        (9 * DAY, 29, DAY),
        (-5, 0, HOUR),
    ],
)
def test_the_wait_for_the_next_check_lies_between_an_hour_and_a_day(
    age_seconds: float, failures: int, wait: float
) -> None:
    assert next_check_seconds(age_seconds, failures) == wait
