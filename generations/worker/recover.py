"""A callback names the task of an image whose submit had no known outcome: ask the service, and take it over if true.

The hold of such an image went back long ago, so what comes of it is free. Knows the image service and the rows; knows
no Discord and no HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from generations import records
from generations.callbacks import Poll
from generations.model import Generation, Image
from generations.worker import poll as looking
from generations.worker.context import StepContext
from generations.worker.poll_turns import asking, begin_poll, follow_calls, with_poll_time
from qwen.errors import QwenError, TaskNotFound
from qwen.images import FoundImage
from qwen.models import Task

log = logging.getLogger("qwen_imagine.worker")


async def check_claim(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """One question about the task that a callback claimed for *image*. Returns its image when it is ready."""
    async with context.database.transaction() as tx:
        callback = await records.load_callback(tx, image)
    claimed = None if callback is None else callback.claimed_task_id
    if claimed is None:
        await context.save(generation, image, due_at_ms=None)
        return None
    poll = await begin_poll(context, generation, image, claimed)
    if poll is None:
        return None
    try:
        with asking(context, image, claimed, poll):
            task = await context.service.get_task(claimed)
    except QwenError as error:
        await _no_answer(context, generation, image, poll, claimed, error)
        return None
    context.throttle.poll_answered(context.clock.monotonic())
    if not is_task_of(task, generation, image) or not await _adopt(context, image, claimed):
        await _refuse(context, generation, image, poll, claimed)
        return None
    log.warning("image %s: a callback brought back its task %s", image.image_id, claimed)
    return await looking.answered(context, generation, replace(image, task_id=claimed), poll, task)


def is_task_of(task: Task, generation: Generation, image: Image) -> bool:
    """Whether what the service says the task was asked for, as far as it says so, is what *image* asked for."""
    if task.asked_prompt is not None and task.asked_prompt.split() != generation.request.prompt.split():
        return False
    return task.asked_seed is None or task.asked_seed == image.seed


async def _adopt(context: StepContext, image: Image, task_id: str) -> bool:
    async with context.database.transaction() as tx:
        return await records.adopt_task(tx, image.generation_id, image.position, task_id, context.clock.now_ms())


async def _no_answer(
    context: StepContext, generation: Generation, image: Image, poll: Poll, claimed: str, error: QwenError
) -> None:
    """A claim is false when the service does not know the task, several times in a row; other faults say nothing."""
    if not isinstance(error, TaskNotFound):
        await looking.poll_failed(context, generation, image, poll, error)
    elif image.failures + 1 >= looking.LOST_TASK_POLLS:
        await _refuse(context, generation, image, poll, claimed)
    else:
        await looking.missing(context, generation, image, poll)


async def _refuse(context: StepContext, generation: Generation, image: Image, poll: Poll, claimed: str) -> None:
    async with context.database.transaction() as tx:
        fresh = await records.load_locked(tx, image.generation_id)
        if fresh is None or fresh.images[image.position].task_id is not None:
            return  # who made the POST has written its task down meanwhile, and when to look at it
        log.warning("image %s: a callback named task %s, which is not its own", image.image_id, claimed)
        looked_at_ms = with_poll_time(context, image, poll).last_poll_at_ms
        refused = await records.update_image(
            tx, image, fence=generation.fence, last_poll_at_ms=looked_at_ms, failures=0, due_at_ms=None
        )
        await records.drop_claim(tx, refused, claimed)
        await follow_calls(tx, context, refused, poll)  # another claim may have come while this one was checked
