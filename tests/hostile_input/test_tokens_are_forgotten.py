"""An interaction's token is a credential for 15 minutes: stored only until its card is published for the last time."""

from __future__ import annotations

from generations import records
from generations.model import State
from qwen.models import TaskStatus
from tests.doubles import RUNNING_TASK, task
from tests.worker.conftest import WorkerHarness, harness

__all__ = ["harness"]  # the fixture


async def token_of(harness: WorkerHarness, generation_id: int) -> str:
    return (await harness.load(generation_id)).origin.token


async def wipe(harness: WorkerHarness) -> None:
    """Run the maintenance of every half minute."""
    await harness.database.run(records.wipe_tokens, harness.clock.now_ms())


async def test_a_token_is_erased_after_the_card_shows_the_image(harness: WorkerHarness) -> None:
    asked = await harness.imagine()
    while (await harness.states(asked)) != [State.DELIVERED]:
        assert await token_of(harness, asked) == "token"
        await wipe(harness)
        await harness.pass_time(1)
    assert await token_of(harness, asked) == ""


async def test_a_token_is_erased_after_the_card_shows_the_ending(harness: WorkerHarness) -> None:
    harness.service.on_poll = [task(TaskStatus.FAILED, error="no")]
    asked = await harness.imagine()
    await harness.pass_time(15)
    assert await harness.states(asked) == [State.FAILED]
    assert await token_of(harness, asked) == ""


async def test_a_token_is_erased_after_a_cancel(harness: WorkerHarness) -> None:
    asked = await harness.imagine()
    await harness.generations.cancel(asked, user_id=501, may_manage=False)
    await harness.pass_time(2)
    assert await harness.states(asked) == [State.CANCELLED]
    assert await token_of(harness, asked) == ""


async def test_an_expired_token_is_erased_while_the_image_is_still_polled(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 1000
    asked = await harness.imagine()
    await harness.pass_time(14 * 60, stride=20)
    await wipe(harness)
    assert await token_of(harness, asked) == "token"
    await harness.pass_time(2 * 60, stride=20)
    await wipe(harness)
    assert await token_of(harness, asked) == ""


async def test_the_token_of_an_unanswered_request_is_erased_by_maintenance(harness: WorkerHarness) -> None:
    harness.delivery.card = None
    asked = await harness.imagine(answered=False)
    await harness.pass_time(25)
    assert await harness.states(asked) == [State.CANCELLED]
    await wipe(harness)
    assert await token_of(harness, asked) == ""
