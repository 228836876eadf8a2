"""The one next step of an image that is due, by its state. Knows which step; knows nothing of how it is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from generations import kept, looking, recovering, submitting
from generations.context import StepContext
from generations.model import Generation, Image, State
from qwen.images import FoundImage
from repeats import REPEATS

log = logging.getLogger("qwen_imagine.worker")


async def step_image(context: StepContext, generation: Generation, image: Image) -> FoundImage | None:
    """Do what is due for *image*. Returns its picture when that is at hand now."""
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


def due_images(images: Sequence[Image], now_ms: int) -> list[Image]:
    """The images that something must be done about now."""
    return [image for image in images if image.due_at_ms is not None and image.due_at_ms <= now_ms]
