"""Choose the next step of an image that is due, by its state. Knows nothing of how a step is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from generations.model import Image, State
from generations.worker.claim import Claim
from generations.worker.context import StepContext
from generations.worker.kept_images import KeptImageStep
from generations.worker.poll import PollStep
from generations.worker.recover import RecoverStep
from generations.worker.submit import SubmitStep
from images.image_memory import Reservation, size_in_memory
from observability.correlation import set_generation
from observability.repeats import REPEATS
from qwen.images import FoundImage

log = logging.getLogger("qwen_imagine.worker")


async def step_image(context: StepContext, claim: Claim, image: Image, reservation: Reservation) -> FoundImage | None:
    """Do what is due for *image*. Returns the image file if the step brought one, counted in *reservation* from then
    on."""
    image_file, origin = None, claim.generation.origin
    set_generation(image.generation_id, origin.user_id, origin.guild_id, image.position)
    try:
        image_file = await _run_step(context, claim, image, reservation)
    finally:
        reservation.resize(image.image_id, size_in_memory(image_file))
    return image_file


async def _run_step(context: StepContext, claim: Claim, image: Image, reservation: Reservation) -> FoundImage | None:
    held = (context, claim, image, reservation)
    match image.state:
        case State.REQUESTED if image.admitted_at_ms is None:
            await SubmitStep(*held).wait_in_line()
        case State.REQUESTED:
            await SubmitStep(*held).submit()
        case State.SUBMITTING:
            await SubmitStep(*held).end_crashed_submit()
        case State.SUCCEEDED:
            return await PollStep(*held).fetch_again()
        case State.UNDELIVERED:
            await KeptImageStep(*held).check()
        case _ if image.task_id is not None:
            return await PollStep(*held).poll()
        case State.UNKNOWN:
            return await RecoverStep(*held).check_claim()
        case _:
            log.error("image %s is due in state %s without a task", image.image_id, image.state, extra=REPEATS)
    return None


def may_bring_image(image: Image) -> bool:
    """Whether the next step of *image* may bring an image file."""
    return image.state not in (State.REQUESTED, State.SUBMITTING)


def due_images(images: Sequence[Image], now_ms: int) -> list[Image]:
    """The images that are due now."""
    return [image for image in images if image.due_at_ms is not None and image.due_at_ms <= now_ms]
