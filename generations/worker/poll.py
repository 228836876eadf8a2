"""From the task to the image: one status look, and all that follows from its answer.

Knows the image service, the ledger and the rows; knows no Discord and no loop.
"""

from __future__ import annotations

import logging

from generations import records
from generations.callbacks import Poll
from generations.fetching import fetch
from generations.model import Ending, Generation, Image, State
from generations.poll_schedule import POLL_SECONDS, backoff_seconds, late_poll_seconds
from generations.prices import price_of
from generations.worker.context import StepContext
from generations.worker.poll_turns import asking, begin_poll, follow_calls, with_poll_time
from observability.repeats import REPEATS
from qwen.errors import ImageError, ImageUnavailable, KeyRefused, QwenError, RateLimited, TaskNotFound
from qwen.images import FoundImage
from qwen.models import Task, TaskStatus
from store.key_values import load_value, save_value

log = logging.getLogger("qwen_imagine.worker")

LOST_TASK_POLLS = 5  # so many "no such task" in a row before it is believed
MISSING_IMAGE_POLLS = 5  # so many times an image that was said to be there may be missing
KEEP_FETCHING_SECONDS = 3600  # a paid image whose download fails is asked for again for so long
PRICE_ALERTED_KEY = "price_alerted:v1"  # the most credits for one image that the owner was told of
POLICY_WORDS = (
    "policy",
    "moderation",
    "violat",
    "safety",
    "nsfw",
    "prohibited",
    "sensitive",
    "not allowed",
    "inappropriate",
)


async def look(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """One status look at a task, and all that follows from its answer. Returns the image when it is ready."""
    assert image.task_id is not None  # noqa: S101 - the rows guarantee it; this is for the reader and pyright
    poll = await begin_poll(context, generation, image, image.task_id)
    if poll is None:
        return None
    try:
        with asking(context, image, image.task_id, poll):
            task = await context.service.get_task(image.task_id)
    except TaskNotFound:
        await missing(context, generation, image, poll)
        return None
    except QwenError as error:
        await poll_failed(context, generation, image, poll, error)
        return None
    context.throttle.poll_answered(context.clock.monotonic())
    return await answered(context, generation, image, poll, task)


async def answered(
    context: StepContext, generation: Generation, image: Image, poll: Poll, task: Task
) -> FoundImage | None:
    """All that follows from what the service said of a task. Returns the image when it is ready."""
    match task.status:
        case TaskStatus.SUCCESS:
            return await _succeeded(context, generation, image, poll, task)
        case TaskStatus.FAILED:
            await _failed(context, generation, image, task)
        case TaskStatus.PENDING | TaskStatus.IN_PROGRESS | TaskStatus.UNKNOWN:
            # A call that ran ahead of the status is not followed by a second one.
            wait = POLL_SECONDS if poll.was_called else context.poll_seconds
            await _poll_again(context, generation, image, poll, wait, failures=0)
    return None


async def missing(context: StepContext, generation: Generation, image: Image, poll: Poll) -> None:
    """404 for a task that was accepted: believed only after several looks, and a late success still counts."""
    failures = image.failures + 1
    if failures >= LOST_TASK_POLLS and image.state is State.RUNNING:
        await context.end(generation, with_poll_time(context, image, poll), State.EXPIRED, Ending.TASK_LOST)
        return
    await _poll_again(
        context, generation, image, poll, backoff_seconds(failures, context.rng.random()), failures=failures
    )


async def poll_failed(context: StepContext, generation: Generation, image: Image, poll: Poll, error: QwenError) -> None:
    """A look without an answer changes nothing but the time of the next one."""
    failures = image.failures + 1
    wait = backoff_seconds(failures, context.rng.random())
    if isinstance(error, RateLimited):
        pause = context.throttle.poll_refused(
            context.clock.monotonic(), error.retry_after_seconds, context.rng.random()
        )
        wait = max(wait, pause)
    elif isinstance(error, KeyRefused):
        context.operator.tell("key_refused", f"{error}.")
    log.info("task %s: look failed (%s), again in %.1f s", image.task_id, error, wait)
    await _poll_again(context, generation, image, poll, wait, failures=failures)


async def _poll_again(
    context: StepContext, generation: Generation, image: Image, poll: Poll, wait: float, *, failures: int
) -> None:
    """Note the look and say when the next one is due; at the deadline the hold goes back."""
    noted = with_poll_time(context, image, poll)
    now_ms = context.clock.now_ms()
    age_seconds = (now_ms - (image.submitted_at_ms or now_ms)) / 1000
    if image.state is State.RUNNING:
        if age_seconds >= context.deadline_seconds:
            await context.end(generation, noted, State.EXPIRED, Ending.DEADLINE)
            return
    else:  # past its end: only a late success is still of interest
        late = late_poll_seconds(age_seconds)
        wait = max(wait, late) if late is not None else 0.0
    async with context.database.transaction() as tx:
        noted = await records.update_image(
            tx,
            image,
            fence=generation.fence,
            polls=image.polls + 1,
            last_poll_at_ms=noted.last_poll_at_ms,
            failures=failures,
            due_at_ms=context.after(wait) if wait else None,
        )
        if context.callbacks is not None:
            await follow_calls(tx, context, noted, poll)


async def _failed(context: StepContext, generation: Generation, image: Image, task: Task) -> None:
    if image.state is not State.RUNNING:  # returned long ago; the service agrees
        await context.save(generation, image, last_poll_at_ms=context.clock.now_ms(), due_at_ms=None)
        return
    message = task.error_message or ""
    await context.end(generation, image, State.FAILED, ending_of_failure(message), message)


async def _succeeded(
    context: StepContext, generation: Generation, image: Image, poll: Poll, task: Task
) -> FoundImage | None:
    url, *others = task.image_urls or ("",)
    if not url:
        log.error("task %s: SUCCESS without an image", image.task_id)
        await _no_image(context, generation, image, Ending.NO_IMAGE)
        return None
    if others:
        log.warning("task %s: %d images in one answer, the first is posted", image.task_id, len(task.image_urls))
    try:
        image_file = await _fetch(context, image, url)
    except ImageUnavailable as error:
        if _may_still_come(error, image):
            await poll_failed(context, generation, image, poll, error)
        else:
            await _no_image(context, generation, image, Ending.IMAGE_UNUSABLE)
        return None
    except ImageError as error:
        log.error("task %s: its image can't be used (%s)", image.task_id, error)
        await _no_image(context, generation, image, Ending.IMAGE_UNUSABLE)
        return None
    await _settle(context, generation, image, poll, task, url)
    return image_file


async def _fetch(context: StepContext, image: Image, url: str) -> FoundImage:
    return await fetch(context.store, context.room, image.image_id, url)


def _may_still_come(error: ImageUnavailable, image: Image) -> bool:
    """That an image is missing is believed only after some tries; that it can't be had just now, never."""
    return error.temporary or (error.may_still_come and image.failures < MISSING_IMAGE_POLLS)


async def _no_image(context: StepContext, generation: Generation, image: Image, ending: Ending) -> None:
    if image.state is State.RUNNING:
        await context.end(generation, image, State.FAILED, ending)
    else:
        await context.save(generation, image, last_poll_at_ms=context.clock.now_ms(), due_at_ms=None)


async def _settle(context: StepContext, generation: Generation, image: Image, poll: Poll, task: Task, url: str) -> None:
    """Money and state in one commit. A hold that was returned already stays returned: a late image is free."""
    now_ms = context.clock.now_ms()
    async with context.database.transaction() as tx:
        ready = await records.move(
            tx,
            image,
            State.SUCCEEDED,
            fence=generation.fence,
            image_url=url,
            ready_at_ms=now_ms,
            polls=image.polls + 1,
            failures=0,
            due_at_ms=now_ms,
        )
        callback = await records.load_callback(tx, image)
        charged = await context.ledger.settle(tx, image.image_id, task.consumed_credits, now_ms)
        await records.update_image(tx, ready, fence=generation.fence, consumed_credits=charged)
    await _check_price(context, task)
    called_at_ms = poll.called_at_ms or (None if callback is None else callback.called_at_ms)
    _learn(context, generation, image, now_ms, called_at_ms)
    log.info("image %s: ready after %d poll(s), %d credits", image.image_id, image.polls + 1, charged)


async def _check_price(context: StepContext, task: Task) -> None:
    """Tell the owner when the service took more than people pay: they pay the price shown, the owner the rest.

    Once for each price, also over restarts and processes: told again only when it is higher than what was told.
    """
    consumed, price = task.consumed_credits, price_of(1)
    if consumed is None or consumed <= price:
        return
    log.warning(
        "task %s: the service took %d credits, its person pays at most %d",
        *(task.task_id, consumed, price),
        extra=REPEATS,
    )
    async with context.database.transaction() as tx:
        if consumed <= int(await load_value(tx, PRICE_ALERTED_KEY) or 0):
            return
        await save_value(tx, PRICE_ALERTED_KEY, str(consumed))
    context.operator.tell(
        "price_exceeded",
        f"The image service took {consumed} credits for one image (task {task.task_id}), and people pay {price} for "
        "one: you pay the difference.",
    )


def _learn(context: StepContext, generation: Generation, image: Image, now_ms: int, called_at_ms: int | None) -> None:
    """Only undisturbed images teach the pace: a restart, an outage or a clock jump says nothing about it."""
    if image.state is not State.RUNNING or image.submitted_at_ms is None or image.failures:
        return
    noticed = (now_ms - image.submitted_at_ms) / 1000
    looked = ((image.last_poll_at_ms or image.submitted_at_ms) - image.submitted_at_ms) / 1000
    if not 0 <= looked < noticed < context.deadline_seconds:
        return
    size = generation.request.size
    if context.callbacks is None:
        context.schedule.observe(size, last_poll_seconds=looked, noticed_seconds=noticed, polls=image.polls + 1)
        return
    called = looked if called_at_ms is None else (called_at_ms - image.submitted_at_ms) / 1000
    was_called = looked < called <= noticed
    context.callbacks.image_was_ready(called=was_called)
    context.schedule.observe_duration(size, called if was_called else (looked + noticed) / 2)


async def fetch_again(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """The image of an image that succeeded before this process came to it; None: not now."""
    try:
        return await _fetch(context, image, image.image_url or "")
    except ImageError as error:
        age_seconds = (context.clock.now_ms() - (image.ready_at_ms or 0)) / 1000
        temporary = isinstance(error, ImageUnavailable) and _may_still_come(error, image)
        if temporary and age_seconds < KEEP_FETCHING_SECONDS:
            failures = image.failures + 1
            wait = backoff_seconds(failures, context.rng.random())
            await context.save(generation, image, failures=failures, due_at_ms=context.after(wait))
            return None
        log.error("image %s: lost before it could be posted (%s)", image.image_id, error)
        await _lose(context, generation, image)
        return None


async def _lose(context: StepContext, generation: Generation, image: Image) -> None:
    async with context.database.transaction() as tx:
        await records.move(tx, image, State.FAILED, fence=generation.fence, ending=Ending.IMAGE_LOST, due_at_ms=None)
        await context.ledger.refund(tx, image.image_id, context.clock.now_ms())


def ending_of_failure(message: str) -> Ending:
    """Whether a FAILED task was refused for its prompt or failed for a reason of the service's own."""
    lowered = message.lower()
    return Ending.DECLINED if any(word in lowered for word in POLICY_WORDS) else Ending.SERVICE_FAILED
