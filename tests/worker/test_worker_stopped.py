"""An account that is empty or a key that is refused: submitting and selling stop, and a probe finds out when to resume.

What holds over several processes is in tests/contract/test_circuit.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from generations import records
from generations.circuit import StopReason
from generations.errors import Stopped
from generations.model import Ending, State
from qwen.errors import (
    AccountEmpty,
    EndpointRefused,
    KeyRefused,
    OutcomeUnknown,
    QwenError,
    RateLimited,
    ServiceUnavailable,
)
from store.transactions import Transaction
from tests.worker.conftest import JONAS, MIRA, WorkerHarness

LEO, ANA = 503, 504
EMPTY = AccountEmpty(http_status=402)
PROBE_SECONDS = 66.0  # the first one comes after a minute, or a tenth later


async def stop(harness: WorkerHarness, refusal: QwenError = EMPTY, *, waiting: Sequence[int] = ()) -> list[int]:
    """Have an image of Mira find out, while one of each person in *waiting* waits. Return the ids of theirs."""
    harness.max_in_flight = 1
    harness.restart()
    await harness.imagine(user_id=MIRA)
    ids = [await harness.imagine(user_id=user_id) for user_id in waiting]
    harness.service.on_create = [refusal]
    await harness.worker.step()
    assert len(harness.service.posts) == 1
    return ids


async def refused_for(harness: WorkerHarness, user_id: int = ANA) -> StopReason | None:
    try:
        await harness.imagine(user_id=user_id)
    except Stopped as stopped:
        return stopped.reason
    return None


@pytest.mark.parametrize(
    ("refusal", "reason", "ending"),
    [
        (EMPTY, StopReason.ACCOUNT_EMPTY, Ending.ACCOUNT_EMPTY),
        (KeyRefused(http_status=401), StopReason.KEY_REFUSED, Ending.KEY_REFUSED),
        (EndpointRefused(http_status=404), StopReason.KEY_REFUSED, Ending.KEY_REFUSED),
    ],
)
async def test_requests_are_refused_with_the_reason_and_cards_that_wait_say_it(
    harness: WorkerHarness, refusal: QwenError, reason: StopReason, ending: Ending
) -> None:
    (waiting,) = await stop(harness, refusal, waiting=[JONAS])
    assert await harness.worker.step() == 0, "what waits is not even admitted"
    assert await refused_for(harness) is reason
    assert await harness.money(ANA) == (50, 0)
    assert await harness.money(MIRA) == (50, 0), "the image that found out was given back"
    assert harness.delivery.published[-1][0].images[0].ending is ending
    assert harness.operator.matters == [reason.value]
    await harness.pass_time(45)
    assert (await harness.states(waiting), len(harness.service.posts)) == ([State.REQUESTED], 1)
    assert harness.delivery.progress[-1][1].stopped is reason


async def test_an_image_that_had_been_admitted_waits_in_line_again(harness: WorkerHarness) -> None:
    await harness.imagine(user_id=MIRA)
    harness.service.on_create = [EMPTY]
    await harness.worker.step()
    harness.clock.advance(PROBE_SECONDS)
    admitted = await harness.imagine(user_id=JONAS)
    now_ms = harness.clock.now_ms()
    assert await harness.database.run(records.admit, now_ms=now_ms, max_in_flight=9, max_per_user=3) == [admitted]
    begun = (await harness.database.run(records.read_circuit)).probing(now_ms, 0.5)
    await harness.database.run(records.save_circuit, begun)  # the probe is another one
    await harness.worker.step()
    image = (await harness.load(admitted)).images[0]
    assert (image.state, image.admitted_at_ms, len(harness.service.posts)) == (State.REQUESTED, None, 1)
    assert image.due_at_ms == now_ms + harness.deadline_seconds * 1000


async def test_the_credits_of_what_waits_return_at_the_deadline(harness: WorkerHarness) -> None:
    harness.deadline_seconds = 50
    (waiting,) = await stop(harness, waiting=[JONAS])
    await harness.pass_time(51)
    assert (await harness.load(waiting)).images[0].ending is Ending.LINE_DEADLINE
    assert await harness.money(JONAS) == (50, 0)
    assert len(harness.service.posts) == 1


async def test_the_first_in_line_is_the_probe_and_its_success_sends_all_the_others(harness: WorkerHarness) -> None:
    ids, woken = await stop(harness, waiting=[JONAS, LEO]), list[Transaction]()
    harness.context.wake_others = woken.append
    while len(harness.service.posts) == 1:
        await harness.pass_time(1)
    assert [await harness.states(each) for each in ids] == [[State.RUNNING], [State.REQUESTED]]
    assert await refused_for(harness) is None
    assert harness.operator.matters == ["account_empty", "images_back"]
    assert len(woken) == 1
    await harness.pass_time(30)
    assert [await harness.states(each) for each in ids] == [[State.DELIVERED], [State.DELIVERED]]
    assert harness.delivery.progress[-1][1].stopped is None


async def test_probes_come_at_growing_intervals_one_at_a_time_and_each_costs_one_image(harness: WorkerHarness) -> None:
    harness.deadline_seconds = 7200
    people = range(600, 612)
    ids = await stop(harness, waiting=people)
    harness.max_in_flight = 20
    harness.restart()
    harness.service.on_create = [EMPTY] * 20
    posted_after, began = list[float](), harness.clock.monotonic()
    while harness.clock.monotonic() - began < 3600:
        before = len(harness.service.posts)
        harness.clock.advance(5)
        assert await harness.worker.step() <= 1, "only the probe is admitted"
        new = len(harness.service.posts) - before
        posted_after += [harness.clock.monotonic() - began] * new
    minutes = [round(seconds / 60) for seconds in posted_after]
    assert len(minutes) == 5  # after 1, 2, 5, 10 and 30 more minutes, each a tenth shorter or longer
    assert all(abs(found - wanted) <= 3 for found, wanted in zip(minutes, (1, 3, 8, 18, 48), strict=True))
    states = [state for each in ids for state in await harness.states(each)]
    assert states == [State.FAILED] * 5 + [State.REQUESTED] * 7
    assert harness.operator.matters == ["account_empty"]


@pytest.mark.parametrize("fault", [OutcomeUnknown(), ServiceUnavailable(), RateLimited(http_status=429)])
async def test_a_probe_that_is_neither_taken_nor_refused_leaves_all_as_it_is(
    harness: WorkerHarness, fault: QwenError
) -> None:
    await stop(harness, waiting=[JONAS, LEO])
    harness.service.on_create = [fault]
    await harness.pass_time(PROBE_SECONDS)
    assert len(harness.service.posts) == 2
    assert await refused_for(harness) is StopReason.ACCOUNT_EMPTY
    assert harness.operator.matters == ["account_empty"]
    await harness.pass_time(PROBE_SECONDS)
    assert len(harness.service.posts) > 2
    assert await refused_for(harness) is None


async def test_where_nobody_waits_one_request_is_let_through_when_a_probe_is_due(harness: WorkerHarness) -> None:
    await stop(harness)
    harness.clock.advance(PROBE_SECONDS)
    probe = await harness.imagine(user_id=JONAS)
    assert await refused_for(harness) is StopReason.ACCOUNT_EMPTY, "one is enough"
    harness.service.on_create = [EMPTY]
    await harness.worker.step()
    assert (await harness.load(probe)).images[0].ending is Ending.ACCOUNT_EMPTY
    assert await refused_for(harness) is StopReason.ACCOUNT_EMPTY, "the next probe comes later"
    harness.clock.advance(2 * PROBE_SECONDS)
    probe = await harness.imagine(user_id=JONAS)
    await harness.worker.step()
    assert await harness.states(probe) == [State.RUNNING]
    assert await refused_for(harness) is None


async def test_a_request_of_four_images_posts_one_of_them_as_the_probe(harness: WorkerHarness) -> None:
    harness.max_per_user = 4
    await stop(harness)
    harness.max_in_flight = 20
    harness.restart()
    harness.clock.advance(PROBE_SECONDS)
    probe = await harness.imagine(user_id=JONAS, count=4)
    harness.service.on_create = [EMPTY] * 4
    claimed = [await harness.worker.step() for _ in range(2)]
    assert claimed == [1, 0]
    admitted = [image.admitted_at_ms is not None for image in (await harness.load(probe)).images]
    assert admitted == [True, False, False, False]
    await harness.pass_time(5)
    assert await harness.states(probe) == [State.FAILED] + [State.REQUESTED] * 3


async def test_posts_that_were_under_way_neither_close_it_nor_delay_the_probe(harness: WorkerHarness) -> None:
    ids = [await harness.imagine(user_id=user_id) for user_id in (MIRA, JONAS, LEO)]
    harness.service.on_create = [EMPTY, KeyRefused(http_status=401)]
    await harness.worker.step()
    assert [await harness.states(each) for each in ids] == [[State.FAILED], [State.FAILED], [State.RUNNING]]
    circuit = await harness.database.run(records.read_circuit)
    assert (circuit.reason, circuit.refusals) == (StopReason.ACCOUNT_EMPTY, 1)
    assert await refused_for(harness) is StopReason.ACCOUNT_EMPTY


async def test_a_process_that_starts_lets_one_probe_through_at_once(harness: WorkerHarness) -> None:
    ids = await stop(harness, waiting=[JONAS, LEO])
    harness.service.on_create = [EMPTY, EMPTY]
    await run_another_process(harness, rounds=3)
    assert [await harness.states(each) for each in ids] == [[State.FAILED], [State.REQUESTED]]
    await run_another_process(harness, rounds=1)
    assert [await harness.states(each) for each in ids] == [[State.FAILED], [State.FAILED]]
    assert len(harness.service.posts) == 3


async def run_another_process(harness: WorkerHarness, *, rounds: int) -> None:
    """Start another process, and stop it after so many rounds, 11 seconds apart."""
    harness.restart()
    running = asyncio.create_task(harness.worker.run())
    for _ in range(rounds):
        ended = harness.worker.rounds.count
        harness.clock.advance(11)
        harness.worker.nudge()
        while harness.worker.rounds.count == ended or harness.worker.steps():  # noqa: ASYNC110 (they have no event)
            await asyncio.sleep(0.001)
    await harness.worker.drain()
    await running
