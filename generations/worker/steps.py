"""The one next step of an image that is due, by its state. Knows which step; knows nothing of how it is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from generations.model import Generation, Image, State
from generations.worker import kept_images as kept
from generations.worker import poll as looking
from generations.worker import recover as recovering
from generations.worker import submit as submitting
from generations.worker.context import StepContext
from images.image_memory import size_in_memory
from observability.repeats import REPEATS
from qwen.images import FoundImage

log = logging.getLogger("qwen_imagine.worker")


async def step_in_room(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """step_image(), after which only the bytes of its image are counted, and none where it brought none."""
    image_file = None
    try:
        image_file = await step_image(context, generation, image)
    finally:
        context.room.resize(image.image_id, size_in_memory(image_file))
    return image_file


async def step_image(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """Do what is due for *image*. Returns its image when that is at hand now."""
    match image.state:
        case State.REQUESTED if image.admitted_at_ms is None:
            await submitting.wait(context, generation, image)
        case State.REQUESTED:
            await submitting.submit(context, generation, image)
        case State.SUBMITTING:
            await submitting.crashed_submit(context, generation, image)
        case State.SUCCEEDED:
            return await looking.fetch_again(context, generation, image)
        case State.UNDELIVERED:
            await kept.check(context, generation, image)
        case _ if image.task_id is not None:
            return await looking.look(context, generation, image)
        case State.UNKNOWN:
            return await recovering.check_claim(context, generation, image)
        case _:
            log.error("image %s is due in state %s without a task", image.image_id, image.state, extra=REPEATS)
    return None


def may_bring_image(image: Image) -> bool:
    """Whether the next step of *image* may end with its image at hand."""
    return image.state not in (State.REQUESTED, State.SUBMITTING)


def due_images(images: Sequence[Image], now_ms: int) -> list[Image]:
    """The images that something must be done about now."""
    return [image for image in images if image.due_at_ms is not None and image.due_at_ms <= now_ms]
