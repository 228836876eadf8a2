"""Invariants of callbacks: a call is a hint, never a fact, and a true one restores a lost task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import MADE, Ending, State
from tests.simulation.rows import ImageRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

NOT_FOUND_TIMES = 5  # after so many "no such task" in a row a task counts as lost


def was_called_between(run: Run, image: str, earlier: float, later: float) -> bool:
    """Whether a call about *image* came after its poll at *earlier* and before the one at *later*.

    A call takes effect between its sending and its commit; its process may have died before recording the commit.
    """
    its = (call for call in run.calls.made if call.image == image and call.known)
    return any(call.at <= later and earlier <= (call.handled_at if call.handled else later) for call in its)


def calls_are_hints(run: Run, images: list[ImageRow]) -> Iterator[str]:
    """Yield a message for each violation."""
    yield from _no_image_has_a_foreign_task(run, images)
    yield from _outcomes_come_from_polls(run, images)
    yield from _no_guessed_token_is_accepted(run)
    yield from _true_calls_restore_lost_tasks(run, images)


def _no_image_has_a_foreign_task(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for task_id, times in Counter(image.task_id for image in images if image.task_id).items():
        if times > 1:
            yield f"{times} images have the task {task_id}"
    for image in images:
        task = run.environment.api.tasks.get(image.task_id or "")
        if image.task_id is not None and (task is None or task.image != image.key):
            yield f"image {image.id} has the task {image.task_id}, which was created for another image"


def _outcomes_come_from_polls(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        answers = {poll.answer for poll in run.environment.api.polls.get(image.task_id or "", [])}
        if image.state in MADE and "SUCCESS" not in answers:
            yield f"image {image.id} is {image.state}, but no poll has returned that"
        failed = image.task_id is not None and image.ending in (Ending.DECLINED, Ending.SERVICE_FAILED)
        if failed and "FAILED" not in answers:
            yield f"image {image.id} ended as {image.ending}, but no poll has returned that"


def _no_guessed_token_is_accepted(run: Run) -> Iterator[str]:
    for call in run.calls.made:
        if call.known and not call.image:
            yield f"a call with the guessed token {call.token!r} was accepted"


def _true_calls_restore_lost_tasks(run: Run, images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        claims = {call.claim for call in run.calls.made if call.handled and call.image == image.key}
        if image.state is not State.UNKNOWN or len(claims) != 1:
            continue
        task = run.environment.api.tasks.get(next(iter(claims)))
        if task is None or task.image != image.key or run.environment.api.outcome_of(task) != "success":
            continue
        polls = run.environment.api.polls.get(task.id, [])
        if sum(poll.answer == "404" for poll in polls) < NOT_FOUND_TIMES:
            yield f"{task.id} was made and called back about, but its image {image.id} is {image.state}"
