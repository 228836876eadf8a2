"""From the request to the posted image, as the worker walks it."""

from __future__ import annotations

import asyncio

import pytest

from generations import records
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, State
from generations.worker.stored_schedule import SCHEDULE_KEY, StoredSchedule
from qwen.models import Size
from store.key_values import load_value
from tests.doubles import PAINTING
from tests.worker.conftest import JONAS, MIRA, Workshop


class Killed(BaseException):
    """A kill leaves no trace: not even the worker's broad except may see it."""


async def test_an_image_is_posted_once_looked_at_and_paid_for_once(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [PAINTING]
    await workshop.worker.step()
    assert await workshop.states(generation_id) == [State.RUNNING]
    assert await workshop.money() == (45, 5)
    await workshop.pass_time(12)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)
    assert len(workshop.service.posts) == 1
    assert workshop.service.posts[0].seed == 42
    assert [list(image_files) for _, image_files in workshop.wall.shows] == [[0]]
    image = (await workshop.load(generation_id)).images[0]
    assert (image.attachment_id, image.file_name, image.consumed_credits) == (9000, "image-0.png", 5)


async def test_polls_of_one_task_stay_five_seconds_apart_and_nothing_is_looked_at_after_its_end(
    workshop: Workshop,
) -> None:
    await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 6
    await workshop.worker.step()
    await workshop.pass_time(60, stride=0.5)
    assert workshop.service.closest_polls() >= 5.0
    assert len(workshop.service.polls["task-1"]) == 7


async def test_polls_stay_apart_even_when_the_wall_clock_jumps(workshop: Workshop) -> None:
    await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 10
    await workshop.worker.step()
    for _ in range(30):
        workshop.clock.jump(3600 if _ % 2 else -3000)
        await workshop.pass_time(1)
    assert workshop.service.closest_polls() >= 5.0


async def test_progress_is_shown_while_it_is_made_and_never_after_the_end(workshop: Workshop) -> None:
    await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 2
    await workshop.worker.step()
    await workshop.pass_time(16)
    assert [generation.images[0].state for generation, _ in workshop.wall.progress] == [State.RUNNING] * 3
    assert workshop.wall.progress[0][1].estimate is not None
    assert workshop.wall.last_states() == [State.SUCCEEDED]


async def test_a_restart_between_any_two_steps_changes_nothing(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(count=2)
    workshop.service.on_poll = [PAINTING] * 3
    for _ in range(40):
        workshop.restart()
        await workshop.pass_time(1)
    assert await workshop.states(generation_id) == [State.DELIVERED] * 2
    assert len(workshop.service.posts) == 2
    assert [post.seed for post in workshop.service.posts] == [42, 43]
    assert await workshop.money() == (40, 0)


async def test_a_process_killed_inside_the_post_is_never_followed_by_a_second_post(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.service.on_create = [Killed()]
    with pytest.raises(Killed):
        await workshop.worker.step()
    assert await workshop.states(generation_id) == [State.SUBMITTING]
    workshop.restart()
    await workshop.pass_time(25)
    assert await workshop.states(generation_id) == [State.UNKNOWN]
    assert (await workshop.load(generation_id)).images[0].ending is Ending.OUTCOME_UNKNOWN
    assert len(workshop.service.posts) == 1
    assert await workshop.money() == (50, 0)
    assert workshop.wall.last_states() == [State.UNKNOWN]


async def test_two_processes_share_the_work_and_no_image_is_posted_twice(workshop: Workshop) -> None:
    for _ in range(4):
        await workshop.imagine(count=2)
    first = workshop.worker
    workshop.restart()
    for _ in range(80):
        workshop.clock.advance(1)
        await asyncio.gather(first.step(), workshop.worker.step())
    assert len(workshop.service.posts) == 8
    assert sum(len(image_files) for _, image_files in workshop.wall.shows) == 8
    assert await workshop.money() == (10, 0)


async def test_one_person_has_three_images_in_the_making_and_the_fourth_waits(workshop: Workshop) -> None:
    workshop.service.on_poll = [PAINTING] * 100
    await workshop.imagine(count=4)
    await workshop.worker.step()
    assert len(workshop.service.posts) == 3
    await workshop.imagine(user_id=JONAS)
    await workshop.worker.step()
    assert len(workshop.service.posts) == 4
    await workshop.pass_time(5)
    line = workshop.wall.progress[-1][1].line or workshop.wall.progress[-2][1].line
    assert line is not None
    assert (line.own_running, line.own_position) == (3, 1)


async def test_the_whole_bot_has_no_more_tasks_in_flight_than_its_limit(workshop: Workshop) -> None:
    workshop.max_in_flight = 2
    workshop.restart()
    workshop.service.on_poll = [PAINTING] * 100
    for person in range(5):
        await workshop.imagine(user_id=600 + person)
    await workshop.pass_time(8)
    assert len(workshop.service.posts) == 2


async def test_an_image_that_discord_cannot_take_now_is_shown_later(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(8.0), DeliveryDelayed(8.0)]
    await workshop.worker.step()
    await workshop.pass_time(8)
    assert await workshop.states(generation_id) == [State.SUCCEEDED]
    assert await workshop.money() == (45, 0)
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert len(workshop.wall.shows) == 1


@pytest.mark.parametrize(("place", "state"), [(Place.CHANNEL, State.DELIVERED), (Place.NOWHERE, State.UNDELIVERED)])
async def test_a_card_that_owes_news_after_its_image_arrived_or_is_kept_is_shown_again(
    workshop: Workshop, place: Place, state: State
) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryResult(place, card_retry_seconds=20.0)]
    await workshop.worker.step()
    await workshop.pass_time(8)
    assert await workshop.states(generation_id) == [state]
    assert len(workshop.wall.shows) == 1
    await workshop.pass_time(30)
    assert [len(image_files) for _, image_files in workshop.wall.shows] == [1, 0]
    assert not (await workshop.load(generation_id)).is_unpublished


async def test_a_card_owes_news_also_when_it_was_up_to_date_before(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [DeliveryDelayed(5.0)]
    await workshop.worker.step()
    await workshop.pass_time(6)
    seen = await workshop.load(generation_id)
    async with workshop.database.transaction() as tx:  # a sister image's news has told all there was to tell
        await records.mark_published(tx, generation_id, seen.fence, seen.revision, message_id=None, channel_id=None)
    workshop.wall.places = [DeliveryResult(Place.CHANNEL, card_retry_seconds=20.0)]
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert [len(image_files) for _, image_files in workshop.wall.shows] == [1, 0]


async def test_an_image_with_no_place_left_is_kept(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.wall.places = [Place.NOWHERE]
    await workshop.worker.step()
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.UNDELIVERED]
    assert len(workshop.wall.shows) == 1


async def test_of_several_images_the_one_that_landed_before_no_place_was_left_is_delivered(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(count=2)
    workshop.wall.places = [DeliveryResult(Place.NOWHERE, attachments={0: 9000}, file_names={0: "image-0.png"})]
    await workshop.worker.step()
    await workshop.pass_time(60)
    assert await workshop.states(generation_id) == [State.DELIVERED, State.UNDELIVERED]


async def test_nothing_is_submitted_before_discord_has_taken_the_card(workshop: Workshop) -> None:
    generation_id = await workshop.imagine(answered=False)
    await workshop.pass_time(10)
    assert workshop.service.posts == []
    await workshop.pass_time(30)
    assert len(workshop.service.posts) == 1, "after the grace the worker asked Discord, which had the card"
    assert (await workshop.load(generation_id)).message_id == 777


async def test_a_card_that_discord_never_took_costs_nothing_and_is_never_submitted(workshop: Workshop) -> None:
    workshop.wall.card = None
    generation_id = await workshop.imagine(answered=False)
    await workshop.pass_time(60)
    assert workshop.service.posts == []
    assert await workshop.states(generation_id) == [State.CANCELLED]
    assert (await workshop.load(generation_id)).images[0].ending is Ending.NOT_ANSWERED
    assert await workshop.money() == (50, 0)
    assert workshop.wall.shows == []


async def test_a_cancelled_image_is_shown_as_such_and_never_submitted(workshop: Workshop) -> None:
    workshop.service.on_poll = [PAINTING] * 100
    generation_id = await workshop.imagine(count=4)
    await workshop.worker.step()
    await workshop.generations.cancel(generation_id, user_id=MIRA, may_manage=False)
    await workshop.worker.step()
    assert await workshop.states(generation_id) == [State.RUNNING] * 3 + [State.CANCELLED]
    assert workshop.wall.last_states() == [State.RUNNING] * 3 + [State.CANCELLED]
    assert await workshop.money() == (35, 15)
    await workshop.pass_time(30)
    assert len(workshop.service.posts) == 3


async def test_what_was_learned_about_the_pace_is_there_after_a_restart(workshop: Workshop) -> None:
    for turn in range(6):
        await workshop.imagine(user_id=700 + turn)
        await workshop.pass_time(8)
    usual = workshop.context.schedule.usual_seconds((await workshop.load(await workshop.imagine())).request.size)
    assert usual is not None
    kept = StoredSchedule(workshop.database, workshop.context.schedule)
    await kept.load()
    await kept.save()
    workshop.restart()
    await StoredSchedule(workshop.database, workshop.context.schedule).load()
    assert workshop.context.schedule.dump().count('"samples": 6') == 1


async def test_draining_finishes_what_is_in_flight_and_takes_nothing_more(workshop: Workshop) -> None:
    posted = asyncio.Event()

    async def note() -> None:
        posted.set()

    workshop.service.during_create = note
    await workshop.imagine()
    running = asyncio.create_task(workshop.worker.run())
    await asyncio.wait_for(posted.wait(), 5)
    await workshop.worker.drain()
    await asyncio.wait_for(running, 5)
    await workshop.imagine()
    assert len(workshop.service.posts) == 1


async def test_a_step_that_does_not_end_is_cut_off_and_what_was_learned_is_saved_all_the_same(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    posted, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        posted.set()
        await never.wait()

    workshop.service.during_create = hang
    await workshop.imagine()
    running = asyncio.create_task(workshop.worker.run())
    await asyncio.wait_for(posted.wait(), 5)
    workshop.context.schedule.observe_duration(Size.SQUARE, 9.0)
    learned = workshop.context.schedule.dump()
    await workshop.worker.drain(60.1, save_seconds=60)
    assert "stopping: 1 steps cut off" in caplog.text
    async with workshop.database.transaction() as tx:
        assert await load_value(tx, SCHEDULE_KEY) == learned
    never.set()
    await asyncio.wait_for(running, 5)
