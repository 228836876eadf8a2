"""When a task may be polled: its distance to earlier polls, pauses, the budget, and the calls that polls follow.

Knows rows and clocks; knows no answer of the service.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import replace

from generations import records
from generations.callbacks import Poll, after_poll, due_after_call, is_called
from generations.model import Generation, Image
from generations.worker.context import StepContext
from store.database import Transaction

WAIT_SECONDS_MIN = 0.01  # less would be rounded to "at once", again and again


async def begin_poll(context: StepContext, generation: Generation, image: Image, task_id: str) -> Poll | None:
    """Take the turn for a poll of *task_id*; None: it is not polled yet, and the row says when.

    A poll that follows a call is written down before it is made, so that nobody else makes one for the same call.
    """
    if context.callbacks is None:
        wait, poll = wait_seconds(context, image, task_id), Poll(context.clock.now_ms())
    else:
        async with context.database.transaction() as tx:
            callback, now_ms = await records.load_callback(tx, image), context.clock.now_ms()
            called = callback if callback is not None and is_called(callback, image) else None
            poll = Poll(now_ms, None if called is None else called.called_at_ms)
            wait = wait_seconds(context, image, task_id, was_called=poll.was_called)
            if wait == 0 and called is not None:
                await records.update_image(tx, image, fence=generation.fence, last_poll_at_ms=now_ms)
                await records.note_callback(tx, replace(called, called_at_ms=now_ms))
    if wait > 0:
        await context.save(generation, image, due_at_ms=context.after(wait))
        return None
    return poll


def wait_seconds(context: StepContext, image: Image, task_id: str, *, was_called: bool = False) -> float:
    """How long this task must not be polled yet: for its own sake, for the key's, for the polls of all.

    A poll that follows a call keeps its 5 s from others that do, and from no other poll. It neither waits for the
    budget nor spends it: those 5 s bound it enough, and its image is ready. A pause after a 429 holds for it too.
    """
    now, names = context.clock.monotonic(), (called_name(image),) if was_called else (task_id, image.image_id)
    wait = max(context.guard.wait_seconds(*names), context.throttle.wait_seconds(now))
    if not was_called:
        wait = wait or context.throttle.polls.wait_seconds(task_id, now)
    return max(wait, WAIT_SECONDS_MIN) if wait > 0 else 0.0


@contextlib.contextmanager
def asking(context: StepContext, image: Image, task_id: str, poll: Poll) -> Generator[None]:
    """Around the request: under way counts, since a wall clock that leaps lets this process claim the image twice."""
    names = (task_id, image.image_id, *((called_name(image),) if poll.was_called else ()))
    context.guard.looked(*names)
    try:
        yield
    finally:
        context.guard.looked(*names)


def called_name(image: Image) -> str:
    """The name that the guard knows those polls of *image* by that follow calls."""
    return f"{image.image_id} called"


def with_poll_time(context: StepContext, image: Image, poll: Poll) -> Image:
    """*image* after a poll. A call later than its last_poll_at_ms is followed by another poll: callbacks.after_poll."""
    return replace(image, last_poll_at_ms=context.clock.now_ms() if poll.was_called else poll.asked_at_ms)


async def follow_calls(tx: Transaction, context: StepContext, image: Image, poll: Poll) -> None:
    """Once a poll is noted on *image*: note what came of its call, and poll again for one that came meanwhile."""
    callback = await records.load_callback(tx, image)
    if callback is None:
        return
    ended_at_ms = image.last_poll_at_ms or poll.asked_at_ms  # not read from the clock again, which would be later
    known = after_poll(callback, poll, ended_at_ms)
    if known != callback:
        await records.note_callback(tx, known)
    due_at_ms = due_after_call(known, image, context.clock.now_ms()) if is_called(known, image) else None
    if due_at_ms is not None:
        await records.bring_forward(tx, image, due_at_ms)
