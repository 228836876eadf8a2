"""Callbacks and the worker: a call makes a poll due earlier or names a lost task, and can do no more."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from generations import records
from generations.callbacks import INTEREST_SECONDS, Callbacks
from generations.model import State
from generations.worker.throttle import POLLS_AT_ONCE_MIN
from qwen.errors import OutcomeUnknown, RateLimited, ServiceUnavailable, TaskNotFound
from qwen.models import Size, Task, TaskStatus
from tests.doubles import READY_TASK, RUNNING_TASK, task
from tests.worker.conftest import MIRA, WorkerHarness


@dataclass
class Caller:
    """Callbacks to the addresses that the harness sent with its POSTs."""

    harness: WorkerHarness
    callbacks: Callbacks
    nudges: list[int]

    async def call(self, number: int = -1, *, claim: str | None = None) -> bool:
        """Call the address of POST *number*. Return whether it was recognised."""
        url = self.harness.service.posts[number].callback_url
        assert url is not None
        callback = await self.callbacks.recognise(url.rpartition("/")[2])
        if callback is None:
            return False
        await self.callbacks.handle(callback, json.dumps({"data": {"task_id": claim}}).encode())
        return True

    def poll_ages(self, task_id: str = "task-1", *, since: float = 1000.0) -> list[float]:
        return [at - since for at in self.harness.service.polls.get(task_id, [])]


@pytest.fixture
def caller(harness: WorkerHarness) -> Caller:
    nudges: list[int] = []
    callbacks = Callbacks(
        harness.database,
        harness.clock,
        public_url="https://imagine.example.com",
        nudge=lambda: nudges.append(harness.clock.now_ms()),
    )
    harness.context.callbacks = callbacks
    return Caller(harness, callbacks, nudges)


async def test_each_post_carries_an_address_of_its_own(caller: Caller) -> None:
    await caller.harness.imagine(count=3)
    await caller.harness.worker.step()
    urls = [post.callback_url for post in caller.harness.service.posts]
    assert len(set(urls)) == 3
    assert all(str(url).startswith("https://imagine.example.com/callbacks/") for url in urls)


async def test_without_an_address_of_our_own_the_service_is_not_asked_to_call(harness: WorkerHarness) -> None:
    await harness.imagine()
    await harness.worker.step()
    assert harness.service.posts[0].callback_url is None


async def test_a_call_brings_the_poll_and_the_image_at_once(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(7)
    assert caller.poll_ages() == []
    assert await caller.call()
    assert caller.nudges
    await caller.harness.worker.step()
    assert caller.poll_ages() == [7.0]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (45, 0)


async def test_without_a_call_the_first_poll_comes_late_and_then_one_every_ten_seconds(caller: Caller) -> None:
    for seconds in range(1, 21):
        caller.harness.context.schedule.observe_duration(Size.SQUARE, float(seconds))
    caller.harness.service.on_poll = [RUNNING_TASK, RUNNING_TASK]
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(41)
    assert caller.poll_ages() == [20.0, 30.0, 40.0]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]


async def test_endless_calls_cause_one_poll_every_five_seconds(caller: Caller) -> None:
    caller.harness.service.on_poll = [RUNNING_TASK] * 5
    await caller.harness.imagine()
    await caller.harness.worker.step()
    for _ in range(60):
        await caller.call()
        await caller.call()
        await caller.harness.pass_time(0.5, stride=0.5)
    assert caller.poll_ages() == [0.5, 5.5, 10.5, 15.5, 20.5, 25.5]


@pytest.mark.parametrize("claim", [None, "task-1", "task-of-another"])
async def test_a_call_is_followed_by_a_poll_at_once_however_short_ago_the_last_one_was(
    caller: Caller, claim: str | None
) -> None:
    caller.harness.service.on_poll = [RUNNING_TASK]
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(10)
    assert caller.poll_ages() == [10.0]
    caller.harness.clock.advance(0.5)
    assert await caller.call(claim=claim)
    await caller.harness.worker.step()
    assert caller.poll_ages() == [10.0, 10.5]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]


async def test_a_call_before_the_status_changes_is_followed_by_a_second_poll_after_five_seconds(
    caller: Caller,
) -> None:
    caller.harness.service.on_poll = [RUNNING_TASK] * 3
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(3)
    await caller.call()
    await caller.harness.pass_time(17)
    assert caller.poll_ages() == [4.0, 9.0, 19.0]


async def test_of_calls_to_several_processes_one_is_followed_by_a_poll_in_five_seconds(caller: Caller) -> None:
    caller.harness.service.on_poll = [RUNNING_TASK] * 9
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(2)
    for _ in range(40):
        caller.harness.restart()
        caller.harness.context.callbacks = caller.callbacks
        await caller.call()
        await caller.harness.pass_time(0.5, stride=0.5)
    assert caller.poll_ages() == [2.5, 7.5, 12.5, 17.5]


async def test_a_call_is_used_up_by_its_poll_even_if_the_process_dies(caller: Caller) -> None:
    class Death(BaseException):
        pass

    async def die() -> None:
        raise Death

    caller.harness.service.during_poll = die
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.call()
    with pytest.raises(Death):
        await caller.harness.worker.step()
    caller.harness.restart()
    caller.harness.context.callbacks = caller.callbacks
    await caller.call()
    await caller.harness.pass_time(12)
    assert caller.poll_ages() == [0.0, 10.0], "the lease of the dead one ends then"


async def test_a_call_does_not_shorten_a_pause_that_the_service_asked_for(caller: Caller) -> None:
    caller.harness.service.on_poll = [RateLimited(http_status=429, retry_after_seconds=30.0)]
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(10)
    for _ in range(28):
        await caller.call()
        await caller.harness.pass_time(1)
    assert caller.poll_ages() == [10.0]
    await caller.harness.pass_time(3)
    assert caller.poll_ages() == [10.0, 40.0]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]


async def test_polls_after_calls_do_not_use_the_budget_of_polls(caller: Caller) -> None:
    caller.harness.max_in_flight = 40
    caller.harness.restart()
    caller.harness.context.callbacks = caller.callbacks
    caller.harness.service.on_poll = [RUNNING_TASK] * 200
    for person in range(40):
        await caller.harness.imagine(user_id=1000 + person)
    while await caller.harness.worker.step():
        pass
    for number in range(40):
        await caller.call(number)
    while await caller.harness.worker.step():
        pass
    assert len(caller.harness.service.polls) == 40 > POLLS_AT_ONCE_MIN
    budget, now = caller.harness.context.throttle.polls, caller.harness.clock.monotonic()
    assert [budget.wait_seconds(f"other {number}", now) for number in range(POLLS_AT_ONCE_MIN)] == [0] * 20


async def test_a_call_that_comes_during_a_poll_brings_another_one_at_once(caller: Caller) -> None:
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(9)

    answer = caller.harness.service.get_task

    async def slow_poll(task_id: str) -> Task:
        caller.harness.service.on_poll = [RUNNING_TASK]
        found = await answer(task_id)
        caller.harness.clock.advance(1)
        assert await caller.call()
        caller.harness.context.service = caller.harness.service
        return found

    @dataclass
    class Slow:
        create_task = caller.harness.service.create_task
        get_task = staticmethod(slow_poll)

    caller.harness.context.service = Slow()
    await caller.harness.pass_time(10)
    assert caller.poll_ages() == [10.0, 12.0]


async def test_a_call_that_comes_during_a_poll_that_followed_a_call_brings_another_one_five_seconds_later(
    caller: Caller,
) -> None:
    async def call_again() -> None:
        caller.harness.clock.advance(1)
        assert await caller.call()

    caller.harness.service.on_poll = [RUNNING_TASK]
    caller.harness.service.during_poll = call_again
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(2)
    await caller.call()
    await caller.harness.pass_time(10)
    assert caller.poll_ages() == [3.0, 9.0]


async def test_a_call_that_comes_during_a_poll_that_fails_is_followed_by_another_one_too(caller: Caller) -> None:
    async def call() -> None:
        caller.harness.clock.advance(1)
        assert await caller.call()

    caller.harness.service.on_poll = [ServiceUnavailable()]
    caller.harness.service.during_poll = call
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(12)
    assert caller.poll_ages() == [10.0, 12.0]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]


async def test_a_call_before_the_posts_own_answer_is_followed_by_a_poll_right_after_it(caller: Caller) -> None:
    async def call_early() -> None:
        assert await caller.call()

    caller.harness.service.during_create = call_early
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.worker.step()
    assert caller.poll_ages() == [0.0]


async def test_a_task_named_by_a_callback_is_polled_once_and_posted_for_free(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create = [OutcomeUnknown()]
    await caller.harness.worker.step()
    await caller.harness.pass_time(12)
    assert await caller.harness.states(generation_id) == [State.UNKNOWN]
    caller.harness.service.on_poll = [replace(READY_TASK, asked_prompt="a lighthouse in a storm", asked_seed=42)]
    assert await caller.call(claim="task-lost")
    await caller.harness.worker.step()
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert (await caller.harness.load(generation_id)).images[0].task_id == "task-lost"
    assert caller.poll_ages("task-lost") == [12.0]
    assert len(caller.harness.service.posts) == 1
    assert await caller.harness.money() == (50, 0)


async def test_a_claim_that_the_poster_itself_writes_down_meanwhile_is_not_refused(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create = [OutcomeUnknown()]
    await caller.harness.worker.step()
    await caller.harness.pass_time(12)

    async def wake_up() -> None:
        due_at_ms = caller.harness.clock.now_ms() + 8000
        assert await caller.harness.database.run(
            records.adopt_task, generation_id, 0, "task-late", due_at_ms, by_submitter=True
        )

    caller.harness.service.during_poll = wake_up
    assert await caller.call(claim="task-late")
    await caller.harness.worker.step()
    await caller.harness.pass_time(20)
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (50, 0)


async def test_a_task_named_by_a_callback_that_is_not_ready_is_polled_again_at_the_next_call(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create, caller.harness.service.on_poll = [OutcomeUnknown()], [RUNNING_TASK]
    await caller.harness.worker.step()
    await caller.harness.pass_time(6)
    await caller.call(claim="task-lost")
    await caller.harness.pass_time(3)
    assert await caller.harness.states(generation_id) == [State.UNKNOWN]
    await caller.call()
    await caller.harness.pass_time(5)
    assert caller.poll_ages("task-lost") == [7.0, 12.0]
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (50, 0)


@pytest.mark.parametrize("echo", [{"asked_prompt": "somebody else's prompt"}, {"asked_seed": 43}])
async def test_a_task_with_another_prompt_is_not_adopted(caller: Caller, echo: dict) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create, caller.harness.service.on_poll = [OutcomeUnknown()], [replace(READY_TASK, **echo)]
    await caller.harness.worker.step()
    await caller.harness.pass_time(6)
    await caller.call(claim="task-of-another")
    await caller.harness.pass_time(60)
    image = (await caller.harness.load(generation_id)).images[0]
    assert (image.state, image.task_id, image.due_at_ms) == (State.UNKNOWN, None, None)
    assert len(caller.poll_ages("task-of-another")) == 1
    await caller.call(claim="task-of-mine")
    await caller.harness.pass_time(6)
    assert await caller.harness.states(generation_id) == [State.DELIVERED], (
        "a false claim does not keep the true one out"
    )


async def test_the_task_of_another_image_is_not_adopted(caller: Caller) -> None:
    caller.harness.service.on_create = [OutcomeUnknown(), task(TaskStatus.PENDING, task_id="task-of-mira")]
    caller.harness.service.on_poll = [RUNNING_TASK] * 9
    lost = await caller.harness.imagine(user_id=700)
    await caller.harness.worker.step()
    running = await caller.harness.imagine(user_id=MIRA)
    await caller.harness.worker.step()
    await caller.call(0, claim="task-of-mira")
    await caller.harness.pass_time(8)
    assert [image.task_id for image in (await caller.harness.load(lost)).images] == [None]
    assert [image.task_id for image in (await caller.harness.load(running)).images] == ["task-of-mira"]
    assert caller.harness.service.closest_polls() >= 5.0


async def test_a_claim_of_an_unknown_task_is_dropped_after_a_few_polls(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create, caller.harness.service.on_poll = (
        [OutcomeUnknown()],
        [TaskNotFound(http_status=404)] * 50,
    )
    await caller.harness.worker.step()
    await caller.call(claim="task-of-fantasy")
    await caller.harness.pass_time(3600, stride=20)
    assert len(caller.poll_ages("task-of-fantasy")) == 5
    assert (await caller.harness.load(generation_id)).images[0].due_at_ms is None


async def test_two_claims_for_one_image_are_asked_five_seconds_apart_also_by_a_wall_clock_that_runs_too_fast(
    caller: Caller,
) -> None:
    await caller.harness.imagine()
    caller.harness.service.on_create, caller.harness.service.on_poll = (
        [OutcomeUnknown()],
        [TaskNotFound(http_status=404)] * 50,
    )
    await caller.harness.worker.step()
    await caller.call(claim="task-a")
    await caller.harness.worker.step()
    await caller.call(claim="task-b")
    for _ in range(30):  # each step is too small to be noticed as a jump
        caller.harness.clock.advance(0.3)
        caller.harness.clock.jump(0.2)
        await caller.harness.worker.step()
    assert caller.poll_ages("task-b")[0] - caller.poll_ages("task-a")[-1] >= 5.0


async def test_a_claim_that_can_not_be_checked_now_is_checked_later(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    caller.harness.service.on_create, caller.harness.service.on_poll = [OutcomeUnknown()], [ServiceUnavailable()] * 3
    await caller.harness.worker.step()
    await caller.call(claim="task-lost")
    await caller.harness.pass_time(600, stride=5)
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (50, 0)


async def test_a_claim_from_before_the_submit_was_given_up_is_used(caller: Caller) -> None:
    async def call_early() -> None:
        assert await caller.call(claim="task-lost")

    caller.harness.service.during_create = call_early
    caller.harness.service.on_create = [OutcomeUnknown()]
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(1)
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (50, 0)


async def test_a_process_that_died_inside_its_post_still_gets_its_image_by_the_call(caller: Caller) -> None:
    class Death(BaseException):
        pass

    async def die() -> None:
        assert await caller.call(claim="task-lost")
        raise Death

    caller.harness.service.during_create = die
    generation_id = await caller.harness.imagine()
    with pytest.raises(Death):
        await caller.harness.worker.step()
    caller.harness.restart()
    caller.harness.context.callbacks = caller.callbacks
    await caller.harness.pass_time(15)
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert len(caller.harness.service.posts) == 1
    assert await caller.harness.money() == (50, 0)


async def test_a_call_for_an_image_that_was_given_up_brings_its_late_poll_forward(caller: Caller) -> None:
    caller.harness.deadline_seconds = 60
    caller.harness.restart()
    caller.harness.context.callbacks = caller.callbacks
    caller.harness.service.on_poll = [RUNNING_TASK] * 7
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(90)
    assert await caller.harness.states(generation_id) == [State.EXPIRED]
    caller.harness.service.on_poll = []
    assert await caller.call()
    await caller.harness.worker.step()
    assert await caller.harness.states(generation_id) == [State.DELIVERED]
    assert await caller.harness.money() == (50, 0)


@pytest.mark.parametrize("last", [RUNNING_TASK, task(TaskStatus.FAILED), task(TaskStatus.SUCCESS)])
async def test_after_its_end_too_an_image_is_polled_every_five_seconds_at_most(caller: Caller, last: Task) -> None:
    caller.harness.deadline_seconds = 60
    caller.harness.restart()
    caller.harness.context.callbacks = caller.callbacks
    caller.harness.service.on_poll = [*[RUNNING_TASK] * 6, last, *[RUNNING_TASK] * 3]
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(60 if last is RUNNING_TASK else 70)
    for _ in range(8):
        caller.harness.restart()
        caller.harness.context.callbacks = caller.callbacks
        assert await caller.call()
        await caller.harness.pass_time(1)
    *_, before, first, second = caller.poll_ages()
    assert first - before < 5.0 <= second - first


async def test_a_call_about_an_ended_image_is_not_recognised(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.call()
    await caller.harness.pass_time(6)
    before = await caller.harness.load(generation_id)
    assert before.images[0].state is State.DELIVERED
    assert not await caller.call()
    assert await caller.harness.load(generation_id) == before


async def test_a_call_that_was_recognised_before_its_image_ended_changes_nothing_after_it(caller: Caller) -> None:
    generation_id = await caller.harness.imagine()
    await caller.harness.worker.step()
    url = caller.harness.service.posts[0].callback_url
    callback = await caller.callbacks.recognise(str(url).rpartition("/")[2])
    assert callback is not None
    await caller.harness.pass_time(11)
    before = await caller.harness.load(generation_id)
    await caller.callbacks.handle(callback, b'{"task_id": "another"}')
    assert await caller.harness.load(generation_id) == before


async def test_the_callback_address_of_a_refused_post_is_not_recognised(caller: Caller) -> None:
    caller.harness.service.on_create = [ServiceUnavailable()]
    await caller.harness.imagine()
    await caller.harness.worker.step()
    assert not await caller.call(0)
    await caller.harness.pass_time(15)
    assert len(caller.harness.service.posts) == 2
    assert not await caller.call(0, claim="task-other")


async def test_tokens_of_ended_images_are_deleted_and_others_kept(caller: Caller) -> None:
    caller.harness.service.on_create = [OutcomeUnknown()]
    await caller.harness.imagine()
    await caller.harness.imagine()
    await caller.harness.worker.step()
    await caller.harness.pass_time(12)

    async def expected() -> list[bool]:
        now_ms = caller.harness.clock.now_ms()
        await caller.harness.database.run(records.forget_callbacks, now_ms - INTEREST_SECONDS * 1000)
        return [await caller.call(number) for number in range(2)]

    assert await expected() == [True, False]
    caller.harness.clock.advance(INTEREST_SECONDS)
    assert await expected() == [False, False]


async def test_durations_are_learned_from_calls_and_not_from_polls(caller: Caller) -> None:
    for _ in range(6):
        await caller.harness.imagine(user_id=caller.harness.new_id())
        await caller.harness.worker.step()
        await caller.harness.pass_time(7)
        await caller.call()
        await caller.harness.pass_time(1)
    assert caller.harness.context.schedule.typical_seconds(Size.SQUARE) == 7.0


async def test_missing_callbacks_are_logged_once(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(7):
        await caller.harness.imagine(user_id=caller.harness.new_id())
        await caller.harness.worker.step()
        await caller.harness.pass_time(12, stride=2)
    said = [record for record in caplog.records if "ready without a callback" in record.getMessage()]
    assert len(said) == 1
