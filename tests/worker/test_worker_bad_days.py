"""Faults of the image service: nobody pays twice, and nobody pays for nothing."""

from __future__ import annotations

import pytest

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
from tests.doubles import PAINTING, READY, task
from tests.worker.conftest import Workshop


async def test_a_declined_prompt_gives_the_credits_back_with_the_services_reason(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.FAILED, credits=0, error="Content policy violation detected")]
    await workshop.worker.step()
    await workshop.pass_time(6)
    image = (await workshop.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, Ending.DECLINED)
    assert image.ending_detail == "Content policy violation detected"
    assert await workshop.money() == (50, 0)
    assert workshop.wall.last_states() == [State.FAILED]


async def test_a_failure_of_the_services_own_is_not_called_a_declined_prompt(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.FAILED, error="GPU worker restarted")]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.SERVICE_FAILED


@pytest.mark.parametrize(
    ("refusal", "ending", "told"),
    [
        (PromptRefused(http_status=400, service_message="bad size"), Ending.PROMPT_REFUSED, []),
        (KeyRefused(http_status=401), Ending.KEY_REFUSED, ["key_refused"]),
        (AccountEmpty(http_status=402), Ending.ACCOUNT_EMPTY, ["account_empty"]),
    ],
)
async def test_a_sure_refusal_of_the_post_returns_the_credits(
    workshop: Workshop, refusal: QwenError, ending: Ending, told: list[str]
) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_create = [refusal]
    await workshop.worker.step()
    image = (await workshop.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, ending)
    assert workshop.bell.matters == told
    assert await workshop.money() == (50, 0)
    await workshop.pass_time(60)
    assert len(workshop.service.posts) == 1


async def test_a_post_with_an_unknown_outcome_is_never_repeated_and_costs_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_create = [OutcomeUnknown()]
    await workshop.worker.step()
    await workshop.pass_time(3600, stride=10)
    assert await workshop.states(generation_id) == [State.UNKNOWN]
    assert len(workshop.service.posts) == 1
    assert await workshop.money() == (50, 0)


async def test_a_post_that_surely_never_left_is_made_again_later(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_create = [ServiceUnavailable(), ServiceUnavailable()]
    await workshop.worker.step()
    assert await workshop.states(generation_id) == [State.REQUESTED]
    assert (await workshop.load(generation_id)).cancellable
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.service.posts) == 3


async def test_a_post_refused_by_a_proxy_is_made_again_and_the_fourth_alerts_the_owner(
    workshop: Workshop,
) -> None:
    generation_id = await workshop.imagine()
    turned_away = ServiceUnavailable("the request was turned away in front of it", http_status=403)
    workshop.service.on_create = [turned_away] * 3
    await workshop.worker.step()
    await workshop.pass_time(120)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert (len(workshop.service.posts), workshop.bell.matters) == (4, [])
    workshop.service.on_create = [turned_away] * 4
    await workshop.imagine()
    await workshop.pass_time(240)
    assert workshop.bell.matters == ["turned_away"]


@pytest.mark.parametrize(("status", "matters"), [(302, ["turned_away"]), (308, ["turned_away"]), (502, [])])
async def test_a_redirected_post_is_unknown_and_alerts_the_owner(
    workshop: Workshop, status: int, matters: list[str]
) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_create = [OutcomeUnknown("it leads elsewhere", http_status=status)]
    await workshop.worker.step()
    assert (await workshop.load(generation_id)).images[0].ending is Ending.OUTCOME_UNKNOWN
    assert await workshop.money() == (50, 0)
    assert workshop.bell.matters == matters


async def test_too_many_requests_makes_every_post_wait_as_long_as_the_service_asks(workshop: Workshop) -> None:
    workshop.service.on_create = [RateLimited(http_status=429, retry_after_seconds=30.0)]
    await workshop.imagine()
    await workshop.worker.step()
    await workshop.imagine(user_id=600)
    await workshop.pass_time(28)
    assert len(workshop.service.posts) == 1
    await workshop.pass_time(30)
    assert len(workshop.service.posts) == 3


async def test_a_service_that_is_out_for_longer_than_the_deadline_gives_the_credits_back(workshop: Workshop) -> None:
    workshop.service.on_create = [ServiceUnavailable() for _ in range(200)]
    generation_id = await workshop.imagine()
    await workshop.pass_time(1000, stride=5)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.LINE_DEADLINE
    assert await workshop.money() == (50, 0)


async def test_failed_polls_change_nothing_but_the_time_of_the_next_one(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [ServiceUnavailable(), RateLimited(), KeyRefused(), ServiceUnavailable()]
    await workshop.worker.step()
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.RUNNING]
    assert await workshop.money() == (45, 5)
    await workshop.pass_time(240)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert workshop.service.closest_polls() >= 5.0


async def test_an_unknown_status_is_taken_as_still_running(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.UNKNOWN)] * 2
    await workshop.worker.step()
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.DELIVERED]


async def test_a_status_that_goes_backwards_changes_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [PAINTING, task(TaskStatus.PENDING), PAINTING, task(TaskStatus.PENDING), READY]
    workshop.shelf.faults = [ImageUnavailable(temporary=True)]
    workshop.service.on_poll += [task(TaskStatus.PENDING), PAINTING]
    await workshop.worker.step()
    await workshop.pass_time(28)
    assert await workshop.states(generation_id) == [State.RUNNING]
    assert await workshop.money() == (45, 5)
    await workshop.pass_time(30)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)


async def test_a_single_no_such_task_is_not_believed(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [TaskNotFound(http_status=404), PAINTING]
    await workshop.worker.step()
    await workshop.pass_time(40)
    assert await workshop.states(generation_id) == [State.DELIVERED]


async def test_a_task_that_stays_lost_gives_the_credits_back_and_is_free_when_it_turns_up(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [TaskNotFound(http_status=404)] * 6
    await workshop.worker.step()
    await workshop.pass_time(150)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.TASK_LOST
    assert await workshop.money() == (50, 0)
    await workshop.pass_time(400, stride=5)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (50, 0)


async def test_a_success_after_the_deadline_is_posted_for_free(workshop: Workshop) -> None:
    workshop.deadline_seconds = 60
    workshop.restart()
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 20
    await workshop.worker.step()
    await workshop.pass_time(66)
    assert await workshop.states(generation_id) == [State.EXPIRED]
    assert await workshop.money() == (50, 0)
    workshop.service.on_poll = [PAINTING, READY]
    await workshop.pass_time(200)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert (await workshop.load(generation_id)).images[0].consumed_credits == 0
    assert await workshop.money() == (50, 0)
    assert len(workshop.service.posts) == 1


async def test_a_task_that_is_lost_past_its_deadline_is_polled_on_and_fails_nothing(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.deadline_seconds = 60
    workshop.restart()
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 20
    await workshop.worker.step()
    await workshop.pass_time(66)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.DEADLINE
    polled = len(workshop.service.polls["task-1"])
    workshop.service.on_poll = [TaskNotFound(http_status=404)] * 7
    await workshop.pass_time(60 * 6)
    assert 5 <= len(workshop.service.polls["task-1"]) - polled <= 7
    assert (await workshop.load(generation_id)).images[0].ending is Ending.DEADLINE
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    await workshop.pass_time(180)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (50, 0)


async def test_a_task_that_never_ends_is_given_up_after_a_day(workshop: Workshop) -> None:
    workshop.service.on_poll = [PAINTING] * 5000
    await workshop.imagine()
    await workshop.worker.step()
    await workshop.pass_time(25 * 3600, stride=300)
    polls = len(workshop.service.polls["task-1"])
    await workshop.pass_time(10 * 3600, stride=300)
    assert len(workshop.service.polls["task-1"]) == polls


async def test_a_success_without_an_image_costs_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.SUCCESS, urls=())]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.NO_IMAGE
    assert await workshop.money() == (50, 0)


async def test_something_that_is_no_image_costs_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [NotAnImage("it is text")]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert (await workshop.load(generation_id)).images[0].ending is Ending.IMAGE_UNUSABLE
    assert await workshop.money() == (50, 0)


async def test_a_download_that_fails_for_a_while_is_made_again(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageUnavailable(temporary=True), ImageUnavailable(temporary=True)]
    await workshop.worker.step()
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)


@pytest.mark.parametrize(("consumed", "left"), [(5, 45), (3, 47), (0, 50), (9, 45), (None, 45)])
async def test_a_person_pays_what_the_service_consumed_and_never_more_than_the_price(
    workshop: Workshop, consumed: int | None, left: int
) -> None:
    await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.SUCCESS, credits=consumed, urls=READY.image_urls)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert await workshop.money() == (left, 0)


async def test_the_owner_is_alerted_when_the_service_takes_more_than_people_pay(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    await workshop.imagine()
    workshop.service.on_poll = [task(TaskStatus.SUCCESS, task_id="task-1", credits=9, urls=READY.image_urls)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert workshop.bell.matters == ["price_exceeded"]
    (said,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert said.getMessage() == "task task-1: the service took 9 credits, its person pays at most 5"
    assert said.__dict__["repeats"], "it may come for every image"
    assert await workshop.money() == (45, 0)


async def test_the_owner_is_alerted_once_of_each_price_also_after_a_restart(workshop: Workshop) -> None:
    for number, (credits, told) in enumerate([(9, 1), (9, 1), (8, 1), (10, 2), (10, 2)], 1):
        await workshop.imagine()
        dear = task(TaskStatus.SUCCESS, task_id=f"task-{number}", credits=credits, urls=READY.image_urls)
        workshop.service.on_poll = [dear]
        await workshop.worker.step()
        await workshop.pass_time(6)
        assert workshop.service.on_poll == []
        assert workshop.bell.matters == ["price_exceeded"] * told
        workshop.restart()


async def test_a_price_as_agreed_or_below_it_is_nothing_to_tell(workshop: Workshop) -> None:
    workshop.service.on_poll = [
        task(TaskStatus.SUCCESS, credits=credits, urls=READY.image_urls) for credits in (5, 3, None)
    ]
    await workshop.imagine(count=3)
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert workshop.service.on_poll == []
    assert workshop.bell.matters == []


async def test_a_paid_image_that_is_lost_before_it_is_posted_is_refunded(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    assert await workshop.money() == (45, 0)
    workshop.restart()  # what was fetched lies in the memory of a process that is gone
    workshop.shelf.faults = [ImageUnavailable(temporary=False)]
    await workshop.pass_time(10)
    image = (await workshop.load(generation_id)).images[0]
    assert (image.state, image.ending) == (State.FAILED, Ending.IMAGE_LOST)
    assert await workshop.money() == (50, 0)
    assert workshop.wall.last_states() == [State.FAILED]


async def test_a_task_id_that_comes_after_the_claim_was_lost_is_kept_and_its_image_is_free(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    sleeper = workshop.worker
    workshop.restart()

    async def oversleep() -> None:
        workshop.clock.advance(30)
        await workshop.worker.step()

    workshop.service.during_create = oversleep
    await sleeper.step()
    assert await workshop.states(generation_id) == [State.UNKNOWN]
    assert await workshop.money() == (50, 0)
    await workshop.pass_time(120)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (50, 0)
    assert len(workshop.service.posts) == 1
