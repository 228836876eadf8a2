"""Faults of the image service: no image is paid for twice, and only delivered ones are paid for."""

from __future__ import annotations

import pytest

from generations import records
from generations.errors import DeliveryDelayed
from generations.model import Ending, State
from qwen.errors import (
    AccountEmpty,
    ImageUnavailable,
    KeyRefused,
    NotAnImage,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.models import TaskStatus
from tests.doubles import READY_TASK, RUNNING_TASK, task
from tests.worker.conftest import WorkerHarness


async def test_a_declined_prompt_gives_the_credits_back_with_the_services_reason(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.FAILED, credits=0, error="Content policy violation detected")]
    await harness.worker.step()
    await harness.pass_time(6)
    image = (await harness.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, Ending.DECLINED)
    assert image.ending_detail == "Content policy violation detected"
    assert await harness.money() == (50, 0)
    assert harness.delivery.last_states() == [State.FAILED]


async def test_a_service_failure_is_not_a_declined_prompt(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.FAILED, error="GPU worker restarted")]
    await harness.worker.step()
    await harness.pass_time(6)
    assert (await harness.load(generation_id)).images[0].ending is Ending.SERVICE_FAILED


@pytest.mark.parametrize(
    ("refusal", "ending", "told"),
    [
        (PromptRefused(http_status=400, service_message="bad size"), Ending.PROMPT_REFUSED, []),
        (KeyRefused(http_status=401), Ending.KEY_REFUSED, ["key_refused"]),
        (AccountEmpty(http_status=402), Ending.ACCOUNT_EMPTY, ["account_empty"]),
    ],
)
async def test_a_sure_refusal_of_the_post_returns_the_credits(
    harness: WorkerHarness, refusal: QwenError, ending: Ending, told: list[str]
) -> None:
    generation_id = await harness.imagine()
    harness.service.on_create = [refusal]
    await harness.worker.step()
    image = (await harness.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, ending)
    assert harness.operator.matters == told
    assert await harness.money() == (50, 0)
    await harness.pass_time(60)
    assert len(harness.service.posts) == 1


async def test_a_post_with_an_unknown_outcome_is_never_repeated_and_costs_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_create = [OutcomeUnknown()]
    await harness.worker.step()
    await harness.pass_time(3600, stride=10)
    assert await harness.states(generation_id) == [State.UNKNOWN]
    assert len(harness.service.posts) == 1
    assert await harness.money() == (50, 0)


async def test_a_post_that_surely_never_left_is_made_again_later(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_create = [ServiceUnavailable(), ServiceUnavailable()]
    await harness.worker.step()
    assert await harness.states(generation_id) == [State.REQUESTED]
    assert (await harness.load(generation_id)).cancellable
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.service.posts) == 3


async def test_a_post_refused_by_a_proxy_is_made_again_and_the_fourth_alerts_the_owner(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine()
    turned_away = ServiceUnavailable("the request was turned away in front of it", http_status=403)
    harness.service.on_create = [turned_away] * 3
    await harness.worker.step()
    await harness.pass_time(120)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert (len(harness.service.posts), harness.operator.matters) == (4, [])
    harness.service.on_create = [turned_away] * 4
    await harness.imagine()
    await harness.pass_time(240)
    assert harness.operator.matters == ["turned_away"]


@pytest.mark.parametrize(("status", "matters"), [(302, ["turned_away"]), (502, [])])
async def test_a_redirected_post_is_unknown_and_alerts_the_owner(
    harness: WorkerHarness, status: int, matters: list[str]
) -> None:
    generation_id = await harness.imagine()
    harness.service.on_create = [OutcomeUnknown("it leads elsewhere", http_status=status)]
    await harness.worker.step()
    assert (await harness.load(generation_id)).images[0].ending is Ending.OUTCOME_UNKNOWN
    assert await harness.money() == (50, 0)
    assert harness.operator.matters == matters


async def test_too_many_requests_makes_every_post_wait_as_long_as_the_service_asks(harness: WorkerHarness) -> None:
    harness.service.on_create = [RateLimited(http_status=429, retry_after_seconds=30.0)]
    await harness.imagine()
    await harness.worker.step()
    await harness.imagine(user_id=600)
    await harness.pass_time(28)
    assert len(harness.service.posts) == 1
    await harness.pass_time(30)
    assert len(harness.service.posts) == 3


async def test_a_service_that_is_out_for_longer_than_the_deadline_gives_the_credits_back(
    harness: WorkerHarness,
) -> None:
    harness.service.on_create = [ServiceUnavailable() for _ in range(200)]
    generation_id = await harness.imagine()
    await harness.pass_time(1000, stride=5)
    assert (await harness.load(generation_id)).images[0].ending is Ending.LINE_DEADLINE
    assert await harness.money() == (50, 0)


async def test_an_image_in_line_is_claimed_only_at_its_deadline_and_ended_then(harness: WorkerHarness) -> None:
    harness.max_in_flight, harness.deadline_seconds = 1, 60
    harness.restart()
    harness.service.on_poll = [RUNNING_TASK for _ in range(50)]
    await harness.imagine()
    waiting = await harness.accept(user_id=600)
    harness.clock.advance(3)
    await harness.generations.confirm_card(waiting.generation.id, 777)
    await harness.pass_time(56)
    assert (await harness.load(waiting.generation.id)).fence == 0
    await harness.pass_time(1)
    ended = await harness.load(waiting.generation.id)
    assert (ended.images[0].ending, ended.fence) == (Ending.LINE_DEADLINE, 1)
    assert (await harness.balance(600)).held == 0


async def test_an_image_in_line_that_is_due_before_its_deadline_is_shown_once_and_then_due_at_it(
    harness: WorkerHarness,
) -> None:
    """As the row of a version that made such images due every 15 s."""
    harness.max_in_flight = 1
    harness.restart()
    await harness.imagine()
    generation_id = await harness.imagine(user_id=600)
    await harness.database.run(records.make_due, generation_id, harness.clock.now_ms())
    for _ in range(2):
        await harness.worker.step()
    assert [shown.id for shown, _ in harness.delivery.progress].count(generation_id) == 1
    (image,), fence = (found := await harness.load(generation_id)).images, found.fence
    assert (image.due_at_ms, fence) == (found.created_at_ms + 900_000, 1)


async def test_failed_polls_change_nothing_but_the_time_of_the_next_one(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [ServiceUnavailable(), RateLimited(), KeyRefused(), ServiceUnavailable()]
    await harness.worker.step()
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.RUNNING]
    assert await harness.money() == (45, 5)
    await harness.pass_time(240)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert harness.service.closest_polls() >= 5.0


async def test_an_unknown_status_is_taken_as_still_running(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.UNKNOWN)] * 2
    await harness.worker.step()
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.DELIVERED]


async def test_a_status_that_goes_backwards_changes_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [
        RUNNING_TASK,
        task(TaskStatus.PENDING),
        RUNNING_TASK,
        task(TaskStatus.PENDING),
        READY_TASK,
    ]
    harness.image_store.faults = [ImageUnavailable(temporary=True)]
    harness.service.on_poll += [task(TaskStatus.PENDING), RUNNING_TASK]
    await harness.worker.step()
    await harness.pass_time(28)
    assert await harness.states(generation_id) == [State.RUNNING]
    assert await harness.money() == (45, 5)
    await harness.pass_time(30)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)


async def test_a_single_404_changes_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [TaskNotFound(http_status=404), RUNNING_TASK]
    await harness.worker.step()
    await harness.pass_time(40)
    assert await harness.states(generation_id) == [State.DELIVERED]


async def test_a_task_that_stays_lost_gives_the_credits_back_and_is_free_when_it_turns_up(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [TaskNotFound(http_status=404)] * 6
    await harness.worker.step()
    await harness.pass_time(150)
    assert (await harness.load(generation_id)).images[0].ending is Ending.TASK_LOST
    assert await harness.money() == (50, 0)
    await harness.pass_time(400, stride=5)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (50, 0)


async def test_a_success_after_the_deadline_is_posted_for_free(harness: WorkerHarness) -> None:
    harness.deadline_seconds = 60
    harness.restart()
    generation_id = await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 20
    await harness.worker.step()
    await harness.pass_time(66)
    assert await harness.states(generation_id) == [State.EXPIRED]
    assert await harness.money() == (50, 0)
    harness.service.on_poll = [RUNNING_TASK, READY_TASK]
    await harness.pass_time(200)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert (await harness.load(generation_id)).images[0].consumed_credits == 0
    assert await harness.money() == (50, 0)
    assert len(harness.service.posts) == 1


async def test_a_task_that_is_lost_past_its_deadline_is_polled_on_and_fails_nothing(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.deadline_seconds = 60
    harness.restart()
    generation_id = await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 20
    await harness.worker.step()
    await harness.pass_time(66)
    assert (await harness.load(generation_id)).images[0].ending is Ending.DEADLINE
    polled = len(harness.service.polls["task-1"])
    harness.service.on_poll = [TaskNotFound(http_status=404)] * 7
    await harness.pass_time(60 * 6)
    assert 5 <= len(harness.service.polls["task-1"]) - polled <= 7
    assert (await harness.load(generation_id)).images[0].ending is Ending.DEADLINE
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    await harness.pass_time(180)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (50, 0)


async def test_a_task_that_never_ends_is_given_up_after_a_day(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 5000
    await harness.imagine()
    await harness.worker.step()
    await harness.pass_time(25 * 3600, stride=300)
    polls = len(harness.service.polls["task-1"])
    await harness.pass_time(10 * 3600, stride=300)
    assert len(harness.service.polls["task-1"]) == polls


async def test_a_success_without_an_image_costs_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.SUCCESS, urls=())]
    await harness.worker.step()
    await harness.pass_time(6)
    assert (await harness.load(generation_id)).images[0].ending is Ending.NO_IMAGE
    assert await harness.money() == (50, 0)


async def test_a_file_that_is_no_image_costs_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [NotAnImage("it is text")]
    await harness.worker.step()
    await harness.pass_time(6)
    assert (await harness.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert await harness.money() == (50, 0)


async def test_a_download_that_fails_for_a_while_is_made_again(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.image_store.faults = [ImageUnavailable(temporary=True), ImageUnavailable(temporary=True)]
    await harness.worker.step()
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)


@pytest.mark.parametrize(("consumed", "left"), [(5, 45), (3, 47), (0, 50), (9, 45), (None, 45)])
async def test_a_person_pays_what_the_service_consumed_and_never_more_than_the_price(
    harness: WorkerHarness, consumed: int | None, left: int
) -> None:
    await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.SUCCESS, credits=consumed, urls=READY_TASK.image_urls)]
    await harness.worker.step()
    await harness.pass_time(6)
    assert await harness.money() == (left, 0)


async def test_the_owner_is_alerted_when_the_service_takes_more_than_people_pay(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.imagine()
    harness.service.on_poll = [task(TaskStatus.SUCCESS, task_id="task-1", credits=9, urls=READY_TASK.image_urls)]
    await harness.worker.step()
    await harness.pass_time(6)
    assert harness.operator.matters == ["price_exceeded"]
    (said,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert said.getMessage() == "task task-1: the service took 9 credits, its person pays at most 5"
    assert said.__dict__["repeats"], "it may come for every image"
    assert await harness.money() == (45, 0)


async def test_the_owner_is_alerted_once_of_each_price_also_after_a_restart(harness: WorkerHarness) -> None:
    for number, (credits, told) in enumerate([(9, 1), (9, 1), (8, 1), (10, 2), (10, 2)], 1):
        await harness.imagine()
        dear = task(TaskStatus.SUCCESS, task_id=f"task-{number}", credits=credits, urls=READY_TASK.image_urls)
        harness.service.on_poll = [dear]
        await harness.worker.step()
        await harness.pass_time(6)
        assert harness.service.on_poll == []
        assert harness.operator.matters == ["price_exceeded"] * told
        harness.restart()


async def test_a_price_up_to_the_agreed_one_raises_no_alert(harness: WorkerHarness) -> None:
    harness.service.on_poll = [
        task(TaskStatus.SUCCESS, credits=credits, urls=READY_TASK.image_urls) for credits in (5, 3, None)
    ]
    await harness.imagine(count=3)
    await harness.worker.step()
    await harness.pass_time(6)
    assert harness.service.on_poll == []
    assert harness.operator.matters == []


async def test_a_paid_image_that_is_lost_before_it_is_posted_is_refunded(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)]
    await harness.worker.step()
    await harness.pass_time(6)
    assert await harness.money() == (45, 0)
    harness.restart()  # the downloaded image was in the memory of the old process
    harness.image_store.faults = [ImageUnavailable(temporary=False)]
    await harness.pass_time(10)
    image = (await harness.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, Ending.IMAGE_LOST)
    assert await harness.money() == (50, 0)
    assert harness.delivery.last_states() == [State.FAILED]


async def test_a_task_id_that_comes_after_the_claim_was_lost_is_kept_and_its_image_is_free(
    harness: WorkerHarness,
) -> None:
    generation_id = await harness.imagine()
    sleeper = harness.worker
    harness.restart()

    async def oversleep() -> None:
        harness.clock.advance(30)
        await harness.worker.step()

    harness.service.during_create = oversleep
    await sleeper.step()
    assert await harness.states(generation_id) == [State.UNKNOWN]
    assert await harness.money() == (50, 0)
    await harness.pass_time(120)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (50, 0)
    assert len(harness.service.posts) == 1
