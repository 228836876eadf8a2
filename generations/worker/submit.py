"""From the line to the one POST of an image: its turn, its submit, and what each answer means.

Knows the image service and the rows; knows no Discord and no loop.
"""

from __future__ import annotations

import logging

from generations import records
from generations.errors import LostClaim
from generations.model import Ending, Generation, Image, State
from generations.poll_schedule import POLL_SECONDS, backoff_seconds
from generations.worker.context import StepContext
from generations.worker.stored_schedule import save_slots
from observability.repeats import REPEATS
from qwen.errors import (
    AccountEmpty,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
)
from qwen.models import Task, TaskRequest
from store.errors import DatabaseLost

log = logging.getLogger("qwen_imagine.worker")

SLOT_WAIT_SECONDS = 1.0  # until an image that has its turn asks again whether a task has ended
WRITE_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # a task that only this process knows is worth waiting for
TURNED_AWAY = "QWEN_API_URL or QWEN_API_KEY may be wrong, or this machine is blocked."
TURNED_AWAY_TRIES = 4  # so many tries of an image turned away in front of the service, and the operator is told


async def wait(context: StepContext, generation: Generation, image: Image) -> None:
    """An image whose turn has not come: keep its place fresh, or give up at the deadline."""
    if not await _waited_too_long(context, generation, image):
        await context.save(generation, image, due_at_ms=context.after(POLL_SECONDS))


async def submit(context: StepContext, generation: Generation, image: Image) -> None:
    """The one POST of this image. SUBMITTING is committed before a byte leaves.

    Its turn came, but a 429 of another image may have lowered the number of tasks since: then it waits for a free one.
    """
    if await _waited_too_long(context, generation, image):
        return
    now = context.clock.monotonic()
    paused = context.throttle.post_wait_seconds(now)
    if paused > 0:
        await context.save(generation, image, due_at_ms=context.after(max(1.0, paused)))
        return
    address = None if context.callbacks is None else context.callbacks.new_address()
    request = _task_request(generation, image, None if address is None else address.url)
    async with context.database.transaction() as tx:
        if not await records.has_free_slot(tx, context.throttle.slots.count(now)):
            due_at_ms = context.after(SLOT_WAIT_SECONDS)
            await records.update_image(tx, image, fence=generation.fence, due_at_ms=due_at_ms)
            return
        image = await records.move(
            tx, image, State.SUBMITTING, fence=generation.fence, submitted_at_ms=context.clock.now_ms()
        )
        if address is not None:
            await records.expect_callback(tx, image, address.token_hash)
    try:
        task = await context.service.create_task(request)
    except (ServiceUnavailable, RateLimited) as error:
        await _submit_again_later(context, generation, image, error)
    except OutcomeUnknown as error:
        log.warning("image %s: the outcome of the submit is unknown (%s)", image.image_id, error)
        if error.http_status is not None and 300 <= error.http_status < 400:  # so will every other POST be
            context.operator.tell("turned_away", f"{error}. {TURNED_AWAY}")
        await context.end(generation, image, State.UNKNOWN, Ending.OUTCOME_UNKNOWN)
    except QwenError as error:
        await _refused(context, generation, image, error)
    else:
        await _accepted(context, generation, image, task)


async def crashed_submit(context: StepContext, generation: Generation, image: Image) -> None:
    """A process died between committing SUBMITTING and the answer: nobody can say; never posted again."""
    log.warning("image %s: a process ended inside its submit, the outcome is unknown", image.image_id)
    await context.end(generation, image, State.UNKNOWN, Ending.OUTCOME_UNKNOWN)


def _task_request(generation: Generation, image: Image, callback_url: str | None) -> TaskRequest:
    asked = generation.request
    return TaskRequest(asked.prompt, asked.size, image.seed, asked.format, callback_url)


async def _accepted(context: StepContext, generation: Generation, image: Image, task: Task) -> None:
    context.throttle.post_answered(context.clock.monotonic())
    context.guard.looked(task.task_id)  # the POST's answer counts as a look: the first one comes 5 s after it
    for pause in WRITE_AGAIN_SECONDS:
        try:
            await _keep_task(context, generation, image, task)
            return
        except DatabaseLost as lost:
            log.warning("image %s: its task can't be written down now (%s)", image.image_id, lost, extra=REPEATS)
            await context.clock.sleep(pause)
    await _keep_task(context, generation, image, task)


async def _keep_task(context: StepContext, generation: Generation, image: Image, task: Task) -> None:
    """Write down whose task it is. Raises LostClaim, DatabaseLost."""
    first_poll = context.first_poll_seconds(generation.request.size)
    try:
        async with context.database.transaction() as tx:
            running = await records.move(
                tx,
                image,
                State.RUNNING,
                fence=generation.fence,
                task_id=task.task_id,
                failures=0,
                due_at_ms=context.after(first_poll),
            )
            callback = await records.load_callback(tx, running)
            if callback is not None and callback.called_at_ms is not None:  # it came before this answer did
                await records.bring_forward(tx, running, context.clock.now_ms())
            tasks = await records.running_count(tx)
        context.throttle.slots.accepted(tasks, context.clock.monotonic())
    except LostClaim:
        # This process slept too long and the image was called unknown meanwhile: keep the task all the same.
        async with context.database.transaction() as tx:
            adopted = await records.adopt_task(
                tx, generation.id, image.position, task.task_id, context.after(first_poll), by_submitter=True
            )
        log.warning("image %s: task came after the claim was lost, adopted: %s", image.image_id, adopted)
        raise
    log.info("image %s: submitted as task %s", image.image_id, task.task_id)


async def _submit_again_later(context: StepContext, generation: Generation, image: Image, error: QwenError) -> None:
    """It surely was not taken: it keeps its turn, and is still cancellable. A 429 says how many tasks can run."""
    now, is_limit = context.clock.monotonic(), isinstance(error, RateLimited)
    if isinstance(error, RateLimited):
        seconds = context.throttle.post_refused(now, error.retry_after_seconds, context.rng.random())
    else:
        seconds = backoff_seconds(image.failures + 1, context.rng.random())
        if error.http_status is not None and image.failures + 1 >= TURNED_AWAY_TRIES:
            context.operator.tell("turned_away", f"{error}. {TURNED_AWAY}")
    log.info("image %s: not taken (%s), again in %.1f s", image.image_id, error, seconds)
    async with context.database.transaction() as tx:
        await records.move(
            tx,
            image,
            State.REQUESTED,
            fence=generation.fence,
            submitted_at_ms=None,
            failures=image.failures + 1,
            due_at_ms=context.after(seconds),
        )
        if is_limit:
            context.throttle.slots.refused(await records.running_count(tx), now)
            await save_slots(tx, context.throttle.slots)


async def _waited_too_long(context: StepContext, generation: Generation, image: Image) -> bool:
    """An image that waited for as long as one may take gives its credits back, whatever held it up."""
    if context.clock.now_ms() < generation.created_at_ms + context.deadline_seconds * 1000:
        return False
    await context.end(generation, image, State.EXPIRED, Ending.LINE_DEADLINE)
    return True


async def _refused(context: StepContext, generation: Generation, image: Image, error: QwenError) -> None:
    """A sure refusal of the POST: nothing was made, the hold goes back."""
    if isinstance(error, KeyRefused):
        ending = Ending.KEY_REFUSED
        context.operator.tell("key_refused", f"{error}.")
    elif isinstance(error, AccountEmpty):
        ending = Ending.ACCOUNT_EMPTY
        context.operator.tell("account_empty", f"{error}.")
    elif isinstance(error, PromptRefused):
        ending = Ending.PROMPT_REFUSED
    else:
        ending = Ending.SERVICE_FAILED
    await context.end(generation, image, State.FAILED, ending, error.service_message)
