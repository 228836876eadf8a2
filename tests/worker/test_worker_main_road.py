"""The usual steps of the worker, from the request to the posted image."""

from __future__ import annotations

import asyncio
import threading

import pytest

from generations import records
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, State
from generations.worker.stored_schedule import SCHEDULE_KEY, StoredSchedule
from qwen.models import Size
from store.key_values import load_value
from tests.doubles import RUNNING_TASK
from tests.worker.conftest import JONAS, MIRA, WorkerHarness


class Killed(BaseException):
    """A kill. A BaseException, so that the worker's `except Exception` does not catch it."""


async def test_an_image_is_posted_polled_and_paid_for_once(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK]
    await harness.worker.step()
    assert await harness.states(generation_id) == [State.RUNNING]
    assert await harness.money() == (45, 5)
    await harness.pass_time(12)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert await harness.money() == (45, 0)
    assert len(harness.service.posts) == 1
    assert harness.service.posts[0].seed == 42
    assert [list(image_files) for _, image_files in harness.delivery.published] == [[0]]
    image = (await harness.load(generation_id)).images[0]
    assert (image.attachment_id, image.file_name, image.consumed_credits) == (9000, "image-0.png", 5)


async def test_polls_of_one_task_stay_five_seconds_apart_and_end_with_it(
    harness: WorkerHarness,
) -> None:
    await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 6
    await harness.worker.step()
    await harness.pass_time(60, stride=0.5)
    assert harness.service.closest_polls() >= 5.0
    assert len(harness.service.polls["task-1"]) == 7


async def test_polls_stay_five_seconds_apart_when_the_wall_clock_jumps(harness: WorkerHarness) -> None:
    await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 10
    await harness.worker.step()
    for _ in range(30):
        harness.clock.jump(3600 if _ % 2 else -3000)
        await harness.pass_time(1)
    assert harness.service.closest_polls() >= 5.0


async def test_progress_is_published_while_an_image_is_made_and_never_after_its_end(harness: WorkerHarness) -> None:
    await harness.imagine()
    harness.service.on_poll = [RUNNING_TASK] * 2
    await harness.worker.step()
    await harness.pass_time(16)
    assert [generation.images[0].state for generation, _ in harness.delivery.progress] == [State.RUNNING] * 3
    assert harness.delivery.progress[0][1].estimate is not None
    assert harness.delivery.last_states() == [State.SUCCEEDED]


async def test_a_restart_between_any_two_steps_changes_nothing(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(count=2)
    harness.service.on_poll = [RUNNING_TASK] * 3
    for _ in range(40):
        harness.restart()
        await harness.pass_time(1)
    assert await harness.states(generation_id) == [State.DELIVERED] * 2
    assert len(harness.service.posts) == 2
    assert [post.seed for post in harness.service.posts] == [42, 43]
    assert await harness.money() == (40, 0)


async def test_a_process_killed_inside_the_post_is_never_followed_by_a_second_post(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.service.on_create = [Killed()]
    with pytest.raises(Killed):
        await harness.worker.step()
    assert await harness.states(generation_id) == [State.SUBMITTING]
    harness.restart()
    await harness.pass_time(25)
    assert await harness.states(generation_id) == [State.UNKNOWN]
    assert (await harness.load(generation_id)).images[0].ending is Ending.OUTCOME_UNKNOWN
    assert len(harness.service.posts) == 1
    assert await harness.money() == (50, 0)
    assert harness.delivery.last_states() == [State.UNKNOWN]


async def test_two_processes_share_the_work_and_no_image_is_posted_twice(harness: WorkerHarness) -> None:
    for _ in range(4):
        await harness.imagine(count=2)
    first = harness.worker
    harness.restart()
    for _ in range(80):
        harness.clock.advance(1)
        await asyncio.gather(first.step(), harness.worker.step())
    assert len(harness.service.posts) == 8
    assert sum(len(image_files) for _, image_files in harness.delivery.published) == 8
    assert await harness.money() == (10, 0)


async def test_one_person_has_three_images_in_flight_and_the_fourth_waits(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 100
    await harness.imagine(count=4)
    await harness.worker.step()
    assert len(harness.service.posts) == 3
    await harness.imagine(user_id=JONAS)
    await harness.worker.step()
    assert len(harness.service.posts) == 4
    await harness.pass_time(5)
    line = harness.delivery.progress[-1][1].line or harness.delivery.progress[-2][1].line
    assert line is not None
    assert (line.own_running, line.own_position) == (3, 1)


async def test_the_whole_bot_has_no_more_tasks_in_flight_than_its_limit(harness: WorkerHarness) -> None:
    harness.max_in_flight = 2
    harness.restart()
    harness.service.on_poll = [RUNNING_TASK] * 100
    for person in range(5):
        await harness.imagine(user_id=600 + person)
    await harness.pass_time(8)
    assert len(harness.service.posts) == 2


async def test_an_image_that_discord_cannot_take_now_is_published_later(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(8.0), DeliveryDelayed(8.0)]
    await harness.worker.step()
    await harness.pass_time(8)
    assert await harness.states(generation_id) == [State.SUCCEEDED]
    assert await harness.money() == (45, 0)
    await harness.pass_time(20)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert len(harness.delivery.published) == 1


@pytest.mark.parametrize(("place", "state"), [(Place.CHANNEL, State.DELIVERED), (Place.NOWHERE, State.UNDELIVERED)])
async def test_a_card_to_retry_after_its_image_was_posted_or_kept_is_published_again(
    harness: WorkerHarness, place: Place, state: State
) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryResult(place, card_retry_seconds=20.0)]
    await harness.worker.step()
    await harness.pass_time(8)
    assert await harness.states(generation_id) == [state]
    assert len(harness.delivery.published) == 1
    await harness.pass_time(30)
    assert [len(image_files) for _, image_files in harness.delivery.published] == [1, 0]
    assert not (await harness.load(generation_id)).is_unpublished


async def test_a_card_to_retry_is_unpublished_also_when_it_was_up_to_date_before(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [DeliveryDelayed(5.0)]
    await harness.worker.step()
    await harness.pass_time(6)
    seen = await harness.load(generation_id)
    await harness.database.run(  # the revision of another image has published everything
        records.mark_published, generation_id, seen.fence, seen.revision, message_id=None, channel_id=None
    )
    harness.delivery.places = [DeliveryResult(Place.CHANNEL, card_retry_seconds=20.0)]
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.DELIVERED]
    assert [len(image_files) for _, image_files in harness.delivery.published] == [1, 0]


async def test_an_image_with_no_place_left_is_kept(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine()
    harness.delivery.places = [Place.NOWHERE]
    await harness.worker.step()
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.UNDELIVERED]
    assert len(harness.delivery.published) == 1


async def test_an_image_posted_before_no_place_was_left_is_delivered(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(count=2)
    harness.delivery.places = [DeliveryResult(Place.NOWHERE, attachments={0: 9000}, file_names={0: "image-0.png"})]
    await harness.worker.step()
    await harness.pass_time(60)
    assert await harness.states(generation_id) == [State.DELIVERED, State.UNDELIVERED]


async def test_nothing_is_submitted_before_discord_has_taken_the_card(harness: WorkerHarness) -> None:
    generation_id = await harness.imagine(answered=False)
    await harness.pass_time(10)
    assert harness.service.posts == []
    await harness.pass_time(30)
    assert len(harness.service.posts) == 1, "after the grace the worker asked Discord, which had the card"
    assert (await harness.load(generation_id)).message_id == 777


async def test_a_card_that_discord_never_took_costs_nothing_and_is_never_submitted(harness: WorkerHarness) -> None:
    harness.delivery.card = None
    generation_id = await harness.imagine(answered=False)
    await harness.pass_time(60)
    assert harness.service.posts == []
    assert await harness.states(generation_id) == [State.CANCELLED]
    assert (await harness.load(generation_id)).images[0].ending is Ending.NOT_ANSWERED
    assert await harness.money() == (50, 0)
    assert harness.delivery.published == []


async def test_a_cancelled_image_is_published_as_cancelled_and_never_submitted(harness: WorkerHarness) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 100
    generation_id = await harness.imagine(count=4)
    await harness.worker.step()
    await harness.generations.cancel(generation_id, user_id=MIRA, may_manage=False)
    await harness.worker.step()
    assert await harness.states(generation_id) == [State.RUNNING] * 3 + [State.CANCELLED]
    assert harness.delivery.last_states() == [State.RUNNING] * 3 + [State.CANCELLED]
    assert await harness.money() == (35, 15)
    await harness.pass_time(30)
    assert len(harness.service.posts) == 3


async def test_a_card_that_is_edited_after_a_restart_still_says_steps_until_three_images_were_seen(
    harness: WorkerHarness,
) -> None:
    harness.service.on_poll = [RUNNING_TASK] * 2
    asked = await harness.accept()
    await harness.generations.confirm_card(asked.generation.id, 777)
    assert harness.worker.publisher.first_progress(asked).shows_steps
    await harness.pass_time(7)
    harness.restart()
    await harness.pass_time(30)
    told = [progress for _, progress in harness.delivery.progress]
    assert len(told) >= 2 and all(progress.shows_steps for progress in told)
    for _ in range(2):
        await harness.imagine()
        await harness.pass_time(8)
    kept = StoredSchedule(harness.database, harness.context.schedule)
    await kept.load()
    await kept.save()
    harness.restart()
    await StoredSchedule(harness.database, harness.context.schedule).load()
    assert not harness.worker.publisher.first_progress(await harness.accept()).shows_steps


async def test_the_poll_schedule_is_loaded_after_a_restart(harness: WorkerHarness) -> None:
    for turn in range(6):
        await harness.imagine(user_id=700 + turn)
        await harness.pass_time(8)
    usual = harness.context.schedule.usual_seconds((await harness.load(await harness.imagine())).request.size)
    assert usual is not None
    kept = StoredSchedule(harness.database, harness.context.schedule)
    await kept.load()
    await kept.save()
    harness.restart()
    await StoredSchedule(harness.database, harness.context.schedule).load()
    assert harness.context.schedule.dump().count('"samples": 6') == 1


async def test_draining_finishes_steps_in_flight_and_starts_no_others(harness: WorkerHarness) -> None:
    posted = asyncio.Event()

    async def note() -> None:
        posted.set()

    harness.service.during_create = note
    await harness.imagine()
    running = asyncio.create_task(harness.worker.run())
    await asyncio.wait_for(posted.wait(), 60)
    await harness.worker.drain()
    await asyncio.wait_for(running, 60)
    await harness.imagine()
    assert len(harness.service.posts) == 1


@pytest.mark.parametrize("silent", ["poll", "download"])
async def test_draining_cuts_a_silent_poll_or_download_off_and_waits_for_the_post_beside_it(
    harness: WorkerHarness, silent: str
) -> None:
    begun, answered, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        await never.wait()

    asked = await harness.imagine()
    await harness.worker.step()
    harness.clock.advance(10)
    if silent == "poll":
        harness.service.during_poll = hang
    else:
        harness.image_store.during_download = hang
    running = asyncio.create_task(harness.worker.run())
    await asyncio.wait_for(begun.wait(), 60)
    posting = asyncio.Event()

    async def answer_later() -> None:
        posting.set()
        await answered.wait()

    harness.service.during_create = answer_later
    posted = await harness.imagine()
    harness.worker.nudge()
    await asyncio.wait_for(posting.wait(), 60)
    draining = asyncio.create_task(harness.worker.drain(60, read_seconds=0))
    async with asyncio.timeout(50):
        while not (await harness.load(asked)).images[0].failures:  # noqa: ASYNC110 - the row gives no signal
            await asyncio.sleep(0.01)
    assert not draining.done()
    answered.set()
    await asyncio.wait_for(draining, 50)
    await asyncio.wait_for(running, 60)
    assert await harness.states(posted) == await harness.states(asked) == [State.RUNNING]


async def test_a_round_that_claims_while_a_stop_begins_gives_its_claims_back(harness: WorkerHarness) -> None:
    asked, held = await harness.imagine(), threading.Event()
    holding = asyncio.create_task(harness.database.run(lambda _: held.wait()))  # the claim waits for it
    claiming = asyncio.create_task(harness.worker.run())
    await asyncio.sleep(0)
    draining = asyncio.create_task(harness.worker.drain())
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(holding, claiming, draining)
    assert harness.service.posts == []
    harness.restart()
    await harness.worker.step()
    assert len(harness.service.posts) == 1, "no lease is waited for"
    assert await harness.states(asked) == [State.RUNNING]


async def test_a_step_that_does_not_end_is_cancelled_and_the_schedule_is_saved(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    posted, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        posted.set()
        await never.wait()

    harness.service.during_create = hang
    await harness.imagine()
    running = asyncio.create_task(harness.worker.run())
    await asyncio.wait_for(posted.wait(), 60)
    harness.context.schedule.observe_duration(Size.SQUARE, 9.0)
    learned = harness.context.schedule.dump()
    await harness.worker.drain(60.1, save_seconds=60)
    assert "stopping: 1 steps cut off" in caplog.text
    assert await harness.database.run(load_value, SCHEDULE_KEY) == learned
    never.set()
    await asyncio.wait_for(running, 60)
