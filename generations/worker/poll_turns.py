"""Decide when a task may be polled: intervals, pauses, the budget, and the calls that polls follow.

Knows rows and clocks; knows no answer of the service.
"""

from __future__ import annotations

from dataclasses import replace

from generations import records
from generations.callbacks import Poll, after_poll, due_after_call, is_called
from generations.model import Image
from generations.poll_schedule import POLL_SECONDS
from generations.worker.image_step import ImageStep
from qwen.errors import ServiceUnavailable
from qwen.models import Task
from store.transactions import Transaction

WAIT_SECONDS_MIN = 0.01  # less would be rounded to "at once", again and again


class TaskStep(ImageStep):
    """A step that polls a task, the image's own or one that a callback named."""

    async def begin_poll(self, task_id: str) -> Poll | None:
        """Take the turn for a poll of *task_id*; None: it is not polled yet, and the row says when.

        A poll that follows a call is written down before it is made, so that nobody else makes one for the same call.
        """
        context, image = self.context, self.image
        if context.callbacks is None:
            poll = Poll(context.clock.now_ms())
            wait = await self._turn_seconds(task_id)
        else:
            callback, now_ms = await context.database.read(records.load_callback, image), context.clock.now_ms()
            called = callback if callback is not None and is_called(callback, image) else None
            poll = Poll(now_ms, None if called is None else called.called_at_ms)
            wait = await self._turn_seconds(task_id, was_called=poll.was_called)
            if wait == 0 and called is not None:
                await context.database.run(self._note_called_poll, now_ms)
        if wait > 0:
            await self.save(due_at_ms=context.after(wait))
            return None
        return poll

    def _note_called_poll(self, tx: Transaction, now_ms: int) -> None:
        noted = records.update_image(tx, self.image, fence=self.fence, last_poll_at_ms=now_ms)
        callback = records.load_callback(tx, noted)
        if callback is not None:
            records.note_callback(tx, replace(callback, called_at_ms=now_ms))

    async def _turn_seconds(self, task_id: str, *, was_called: bool = False) -> float:
        """How long this task must not be polled yet; 0: it is polled now, and its poll is spent.

        Where several processes share the budget no turn is kept: another one may have the task by then. A task that
        finds no budget comes again after the time between two polls, more or less.
        """
        wait, shared_polls = self._wait_seconds(task_id, was_called=was_called), self.context.shared_polls
        if wait or was_called or shared_polls is None or await shared_polls.take():
            return wait
        return POLL_SECONDS * (0.5 + self.context.rng.random())

    def _wait_seconds(self, task_id: str, *, was_called: bool) -> float:
        """How long this task must not be polled yet: its own distance, a pause after a 429, the budget of all polls.

        A poll that follows a call keeps its 5 s from others that do, and from no other poll. It neither waits for the
        budget nor spends it: those 5 s bound it enough, and its image is ready. A pause after a 429 holds for it too.
        """
        throttle, now = self.context.throttle, self.context.clock.monotonic()
        names = (self._called_name,) if was_called else (task_id, self.image.image_id)
        wait = max(self.context.guard.wait_seconds(*names), throttle.wait_seconds(now))
        if not was_called and self.context.shared_polls is None:
            wait = wait or throttle.polls.wait_seconds(task_id, now)
        return max(wait, WAIT_SECONDS_MIN) if wait > 0 else 0.0

    async def get_task(self, task_id: str, poll: Poll) -> Task:
        """Ask for the status. The guard counts the poll from its beginning, since a wall clock that leaps lets this
        process claim the image twice. Raises QwenError."""
        names = (task_id, self.image.image_id, *((self._called_name,) if poll.was_called else ()))
        self.context.guard.poll_ended(*names)
        try:
            async with self.context.reads.until_cut(ServiceUnavailable("cut off, as the bot stops")):
                task = await self.context.service.get_task(task_id)
        finally:
            self.context.guard.poll_ended(*names)
        self.context.throttle.poll_succeeded(self.context.clock.monotonic())
        return task

    @property
    def _called_name(self) -> str:
        """The name by which the guard knows those polls of the image that follow calls."""
        return f"{self.image.image_id} called"

    def polled_at_ms(self, poll: Poll) -> int:
        """What last_poll_at_ms is after *poll*. A call that came later is followed by another poll: see after_poll."""
        return self.context.clock.now_ms() if poll.was_called else poll.asked_at_ms

    def follow_calls(self, tx: Transaction, image: Image, poll: Poll) -> None:
        """Once *poll* is noted on *image*: note what came of its call, and poll again for one that came meanwhile."""
        callback = records.load_callback(tx, image)
        if callback is None:
            return
        ended_at_ms = image.last_poll_at_ms or poll.asked_at_ms  # not read from the clock again, which would be later
        known = after_poll(callback, poll, ended_at_ms)
        if known != callback:
            records.note_callback(tx, known)
        now_ms = self.context.clock.now_ms()
        due_at_ms = due_after_call(known, image, now_ms) if is_called(known, image) else None
        if due_at_ms is not None:
            records.bring_forward(tx, image, due_at_ms)
