"""Move images from state to state. A writer that expects another state than the row has changes nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache, partial
from typing import TypedDict, Unpack

from sqlalchemy import Executable, bindparam, case, exists, select, update

from generations.errors import IllegalMove, MovedOn
from generations.model import HELD, MOVES, VISIBLE_ENDINGS, Ending, Image, State
from generations.records.rows import lock_generation, plain, read_image
from generations.records.tables import generations, images
from observability.repeats import REPEATS
from store.transactions import Transaction, after_commit

log = logging.getLogger("qwen_imagine.moves")


class ImageChanges(TypedDict, total=False):
    """The columns of an image that may be changed, as generations.model.Image has them."""

    due_at_ms: int | None
    admitted_at_ms: int | None
    submitted_at_ms: int | None
    task_id: str | None
    polls: int
    last_poll_at_ms: int | None
    failures: int
    ready_at_ms: int | None
    consumed_credits: int | None
    image_url: str | None
    ending: Ending | None
    ending_detail: str | None
    attachment_id: int | None
    file_name: str | None
    separate_channel_id: int | None
    separate_message_id: int | None


_TRIED_AGAIN = {State.REQUESTED, State.SUBMITTING}  # from one to the other and back
_NEW_REVISION = (
    update(generations)
    .where(generations.c.id == bindparam("of_generation"))
    .values(revision=generations.c.revision + 1)
)


@cache
def _update_image(columns: frozenset[str]) -> Executable:
    """Build the statement that changes these columns of an image in the state that it is believed to be in."""
    return (
        update(images)
        .where(
            images.c.generation_id == bindparam("of_generation"),
            images.c.position == bindparam("at_position"),
            images.c.state == bindparam("from_state"),
        )
        .values({name: bindparam(name) for name in sorted(columns)})
        .returning(images)
    )


def move(
    tx: Transaction,
    image: Image,
    target: State,
    *,
    fence: int | None,
    why: str = "",
    is_locked: bool = False,
    **changes: Unpack[ImageChanges],
) -> Image:
    """Bring *image* from the state it is believed to be in to *target*, and return it as it is then.

    The log has one line a move, with *why*.
    *fence*: the worker's claim; None for a decision that is not a worker's (a person's cancel). Where nothing is left
    to do, *due_at_ms* is None unless given. *is_locked*: this transaction has locked the generation with that fence.
    A move to one of VISIBLE_ENDINGS makes a new revision.
    Raises LostClaim; MovedOn when the image was cancelled or given its task meanwhile; IllegalMove when MOVES has no
    such move, or the image is not where the caller thought for any other reason.
    """
    if target not in MOVES[image.state]:
        raise IllegalMove(image.image_id, image.state, target)
    if target not in HELD:
        changes.setdefault("due_at_ms", None)
    if not is_locked:
        lock_generation(tx, image.generation_id, fence)
    moved = _write(tx, image, target, changes)
    if target in VISIBLE_ENDINGS:
        tx.execute(_NEW_REVISION, {"of_generation": image.generation_id})
    _log_move(tx, image, target, why, repeats=image.failures > 0 and {image.state, target} == _TRIED_AGAIN)
    return moved


def _log_move(tx: Transaction, image: Image, target: State, why: str, *, repeats: bool = False) -> None:
    """Log the move once it is committed. *repeats*: an image that is tried again and again in an outage."""
    words = f"image %s: {image.state} -> {target} (%s)"  # states are words: lines with others don't count as repeats
    after_commit(tx, partial(log.info, words, image.image_id, why, extra=REPEATS if repeats else None))


def update_image(tx: Transaction, image: Image, *, fence: int | None, **changes: Unpack[ImageChanges]) -> Image:
    """Change columns of *image*, in the state it is believed to be in. Raises as move()."""
    lock_generation(tx, image.generation_id, fence)
    return _write(tx, image, image.state, changes)


def adopt_task(
    tx: Transaction, generation_id: int, position: int, task_id: str, due_at_ms: int, *, by_submitter: bool = False
) -> bool:
    """Note the task of an image whose submit had no known outcome, and poll it at *due_at_ms*.

    *by_submitter*: the caller made the one POST of this image and has its answer; then an image that no other claim
    has ended as unknown yet becomes RUNNING.
    False, and nothing changed, for any other image, or when another image has this task.
    """
    lock_generation(tx, generation_id, None)
    taken = exists(select(images.c.task_id).where(images.c.task_id == task_id).correlate(None))
    here = (images.c.generation_id == generation_id) & (images.c.position == position)
    submitting = images.c.state == State.SUBMITTING.value
    lost = images.c.state == State.UNKNOWN.value
    orphan = (lost | submitting if by_submitter else lost) & images.c.task_id.is_(None)
    state = case((submitting, State.RUNNING.value), else_=images.c.state)
    adopted = tx.execute(
        update(images)
        .where(here, orphan, ~taken)
        .values(task_id=task_id, due_at_ms=due_at_ms, state=state)
        .returning(images)
    )
    row = adopted.mappings().one_or_none()
    if row is None:
        return False
    image = read_image(row)
    if image.state is State.RUNNING:
        before = replace(image, state=State.SUBMITTING)
        _log_move(tx, before, State.RUNNING, f"task {task_id}, after the claim was lost")
    sooner = generations.c.due_at_ms.is_(None) | (generations.c.due_at_ms > due_at_ms)
    tx.execute(update(generations).where(generations.c.id == generation_id, sooner).values(due_at_ms=due_at_ms))
    return True


def assume_posted(tx: Transaction) -> None:
    """Treat every image in line as one whose POST was begun and has no known outcome, so that none is posted again.

    For rows of a backup: what was in line then may have been made since.
    """
    tx.execute(
        update(images)
        .where(images.c.state == State.REQUESTED.value)
        .values(state=State.SUBMITTING.value, due_at_ms=case((images.c.due_at_ms.is_not(None), 0)))
    )
    posted = select(images.c.generation_id).where(images.c.state == State.SUBMITTING.value)
    due = generations.c.due_at_ms.is_not(None) & generations.c.id.in_(posted)
    tx.execute(update(generations).where(due).values(due_at_ms=0))


def _write(tx: Transaction, image: Image, state: State, changes: ImageChanges) -> Image:
    values = plain({**changes, "state": state})
    here = {"of_generation": image.generation_id, "at_position": image.position, "from_state": image.state.value}
    written = tx.execute(_update_image(frozenset(values)), {**here, **values})
    row = written.mappings().one_or_none()
    if row is None:
        if image.state is State.REQUESTED or state is State.UNKNOWN:
            raise MovedOn(image.image_id, image.state)
        raise IllegalMove(image.image_id, image.state, state)
    return read_image(row)
