"""What must be true of callbacks: a call is a hint, never a fact, and a true one brings back what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import MADE, Ending, State
from tests.simulation.rows import ImageRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

NOT_FOUND_TIMES = 5  # so many "no such task" in a row are believed


def was_called_between(run: Run, image: str, earlier: float, later: float) -> bool:
    """Whether a call about *image* came after its look at *earlier* and before the one at *later*.

    A call comes between its sending and its being written down; whoever heard it may have died before saying so.
    """
    its = (call for call in run.calls.made if call.image == image and call.known)
    return any(call.at <= later and earlier <= (call.heeded_at if call.heeded else later) for call in its)


def calls_are_hints(run: Run, images: list[ImageRow]) -> Iterator[str]:
    """Every sentence that is not true."""
    yield from _each_task_is_its_own_images(run, images)
    yield from _nothing_is_known_without_a_poll(run, images)
    yield from _nobody_is_heard_without_an_address(run)
    yield from _true_calls_bring_back_what_was_lost(run, images)


def _each_task_is_its_own_images(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for task_id, times in Counter(image.task_id for image in images if image.task_id).items():
        if times > 1:
            yield f"{times} images have the task {task_id}"
    for image in images:
        task = run.world.api.tasks.get(image.task_id or "")
        if image.task_id is not None and (task is None or task.image != image.key):
            yield f"image {image.id} has the task {image.task_id}, which was never its own"


def _nothing_is_known_without_a_poll(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        said = {look.said for look in run.world.api.polls.get(image.task_id or "", [])}
        if image.state in MADE and "SUCCESS" not in said:
            yield f"image {image.id} is {image.state}, but no look has ever said so"
        failed = image.task_id is not None and image.ending in (Ending.DECLINED, Ending.SERVICE_FAILED)
        if failed and "FAILED" not in said:
            yield f"image {image.id} ended as {image.ending}, but no look has ever said so"


def _nobody_is_heard_without_an_address(run: Run) -> Iterator[str]:
    for call in run.calls.made:
        if call.known and not call.image:
            yield f"a call with the guessed token {call.token!r} was heard"


def _true_calls_bring_back_what_was_lost(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        claims = {call.claim for call in run.calls.made if call.heeded and call.image == image.key}
        if image.state is not State.UNKNOWN or len(claims) != 1:
            continue
        task = run.world.api.tasks.get(next(iter(claims)))
        if task is None or task.image != image.key or run.world.api.outcome_of(task) != "success":
            continue
        polls = run.world.api.polls.get(task.id, [])
        if sum(look.said == "404" for look in polls) < NOT_FOUND_TIMES:
            yield f"{task.id} was made and called back about, but its image {image.id} is {image.state}"
