"""Poll a task once, and do what follows from the answer, up to the downloaded image.

Knows the image service, the ledger and the rows; knows no Discord and no loop.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from generations import records
from generations.callbacks import Poll
from generations.finished_images import lose, may_still_come
from generations.model import Ending, Image, State
from generations.poll_schedule import POLL_SECONDS, backoff_seconds, late_poll_seconds
from generations.prices import price_of
from generations.worker.poll_turns import TaskStep
from generations.worker.stored_limits import save_pauses
from limits import usage
from observability.repeats import REPEATS
from qwen.errors import ImageError, KeyRefused, QwenError, RateLimited, TaskNotFound
from qwen.images import FoundImage
from qwen.models import Task, TaskStatus
from qwen.refusals import speaks_of_policy
from store.key_values import load_value, save_value
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

LOST_TASK_POLLS = 5  # 404s in a row before a task counts as lost
MISSING_IMAGE_POLLS = 5  # failed downloads of a finished image before it counts as missing
KEEP_FETCHING_SECONDS = 3600  # how long the download of a paid image is tried again
PRICE_ALERTED_KEY = "price_alerted:v1"  # the highest price of one image that the owner was alerted to


class PollStep(TaskStep):
    """The step of an image that has a task, and of one that is paid for and not posted yet."""

    async def poll(self) -> FoundImage | None:
        """Poll the image's task. Returns the image when it is ready."""
        assert self.image.task_id is not None  # noqa: S101 - the rows guarantee it; this is for the reader and pyright
        poll = await self.begin_poll(self.image.task_id)
        if poll is None:
            return None
        try:
            task = await self.get_task(self.image.task_id, poll)
        except TaskNotFound:
            await self.handle_missing_task(poll)
        except QwenError as error:
            await self.handle_failed_poll(poll, error)
        else:
            return await self.handle_task(poll, task)
        return None

    async def handle_task(self, poll: Poll, task: Task) -> FoundImage | None:
        """Do what follows from the state of the task. Returns the image when it is ready."""
        match task.status:
            case TaskStatus.SUCCESS:
                return await self._handle_success(poll, task)
            case TaskStatus.FAILED:
                await self._handle_failure(task)
            case TaskStatus.PENDING | TaskStatus.IN_PROGRESS | TaskStatus.UNKNOWN:
                # A call that came before the status changed is not followed by a second one.
                wait = POLL_SECONDS if poll.was_called else self.context.poll_seconds
                await self._poll_again(poll, wait, failures=0)
        return None

    async def handle_missing_task(self, poll: Poll) -> None:
        """Believe a 404 for an accepted task only after several polls; a late success still counts."""
        failures = self.image.failures + 1
        if failures >= LOST_TASK_POLLS and self.image.state is State.RUNNING:
            self.image = replace(self.image, last_poll_at_ms=self.polled_at_ms(poll))
            await self.end(State.EXPIRED, Ending.TASK_LOST)
            return
        await self._poll_again(poll, backoff_seconds(failures, self.context.rng.random()), failures=failures)

    async def handle_failed_poll(self, poll: Poll, error: QwenError) -> None:
        """Poll again later; a poll without an answer changes nothing else."""
        context, failures = self.context, self.image.failures + 1
        wait = backoff_seconds(failures, context.rng.random())
        if isinstance(error, RateLimited):
            now = context.clock.monotonic()
            pause = context.throttle.poll_refused(now, error.retry_after_seconds, context.rng.random())
            wait = max(wait, pause)
        elif isinstance(error, KeyRefused):
            context.operator.tell("key_refused", f"{error}.")
        log.info("task %s: poll failed (%s), again in %.1f s", self.image.task_id, error, wait, extra=REPEATS)
        await self._poll_again(poll, wait, failures=failures)
        if isinstance(error, RateLimited):
            await save_pauses(context.database, context.throttle, context.clock)

    async def _poll_again(self, poll: Poll, wait: float, *, failures: int) -> None:
        """Note the poll and when the next one is due; at the deadline return the hold."""
        context, image = self.context, self.image
        polled_at_ms, now_ms = self.polled_at_ms(poll), context.clock.now_ms()
        age_seconds = (now_ms - (image.submitted_at_ms or now_ms)) / 1000
        if image.state is State.RUNNING:
            if age_seconds >= context.deadline_seconds:
                self.image = replace(image, last_poll_at_ms=polled_at_ms)
                await self.end(State.EXPIRED, Ending.DEADLINE)
                return
        else:  # its hold is returned: only a late success is still of interest
            late = late_poll_seconds(age_seconds)
            wait = max(wait, late) if late is not None else 0.0
        changes: records.ImageChanges = {
            "polls": image.polls + 1,
            "last_poll_at_ms": polled_at_ms,
            "failures": failures,
            "due_at_ms": context.after(wait) if wait else None,
        }
        await self.claim.finish(self._note_poll, poll, changes)

    def _note_poll(self, tx: Transaction, poll: Poll, changes: records.ImageChanges) -> tuple[Image, None]:
        noted = records.update_image(tx, self.image, fence=self.fence, **changes)
        if self.context.callbacks is not None:
            self.follow_calls(tx, noted, poll)
        return noted, None

    async def _handle_failure(self, task: Task) -> None:
        if self.image.state is not State.RUNNING:  # its hold was returned before
            await self._stop_polling()
            return
        message = task.error_message or ""
        await self.end(State.FAILED, ending_of_failure(message), message)

    async def _stop_polling(self) -> None:
        await self.save(last_poll_at_ms=self.context.clock.now_ms(), due_at_ms=None)

    async def _handle_success(self, poll: Poll, task: Task) -> FoundImage | None:
        url, *others = task.image_urls or ("",)
        if not url:
            log.error("task %s: SUCCESS without an image", self.image.task_id)
            await self._end_without_image(Ending.NO_IMAGE)
            return None
        if others:
            log.warning(
                "task %s: %d images in one answer, the first is posted", self.image.task_id, len(task.image_urls)
            )
        try:
            image_file = await self.fetch(url)
        except ImageError as error:
            if may_still_come(error, failures=self.image.failures, limit=MISSING_IMAGE_POLLS):
                await self.handle_failed_poll(poll, error)
            else:
                log.error("task %s: its image can't be used (%s)", self.image.task_id, error)
                await self._end_without_image(Ending.IMAGE_UNUSABLE)
            return None
        await self._settle(poll, task, url)
        return image_file

    async def _end_without_image(self, ending: Ending) -> None:
        if self.image.state is State.RUNNING:
            await self.end(State.FAILED, ending)
        else:
            await self._stop_polling()

    async def _settle(self, poll: Poll, task: Task, url: str) -> None:
        """Change state and credits in one transaction. Where the hold was returned before, the late image is free."""
        now_ms = self.context.clock.now_ms()
        callback = await self.claim.finish(self._settle_in, task, url, now_ms)
        await self._check_price(task)
        self._learn(now_ms, poll.called_at_ms or (None if callback is None else callback.called_at_ms))

    def _settle_in(self, tx: Transaction, task: Task, url: str, now_ms: int) -> tuple[Image, records.Callback | None]:
        """Return beside the image its callback."""
        image = self.image
        records.lock_generation(tx, image.generation_id, self.fence)  # before the account
        charged = self.context.ledger.settle(tx, image.image_id, task.consumed_credits, now_ms)
        ready = records.move(
            tx,
            image,
            State.SUCCEEDED,
            fence=self.fence,
            why=f"ready after {image.polls + 1} poll(s), {charged} credits",
            is_locked=True,
            consumed_credits=charged,
            image_url=url,
            ready_at_ms=now_ms,
            polls=image.polls + 1,
            failures=0,
            due_at_ms=now_ms,
        )
        callback = None if self.context.callbacks is None else records.load_callback(tx, image)
        taken, is_late = task.consumed_credits, image.state is not State.RUNNING
        price = price_of(1)
        usage.count_made(
            tx, self.generation.usage, price=price, charged=price if taken is None else taken, is_late=is_late
        )
        return ready, callback

    async def _check_price(self, task: Task) -> None:
        """Alert the owner when the service took more than people pay: they pay the price shown, the owner the rest.

        Once for each price, also over restarts and processes: again only when it is higher than the last one.
        """
        consumed, price = task.consumed_credits, price_of(1)
        if consumed is None or consumed <= price:
            return
        log.warning(
            "task %s: the service took %d credits, its person pays at most %d",
            *(task.task_id, consumed, price),
            extra=REPEATS,
        )
        if not await self.context.database.run(_note_price, consumed):
            return
        self.context.operator.tell(
            "price_exceeded",
            f"The image service took {consumed} credits for one image (task {task.task_id}), and people pay {price} "
            "for one: you pay the difference.",
        )

    def _learn(self, now_ms: int, called_at_ms: int | None) -> None:
        """Learn from undisturbed images alone: a restart, an outage or a clock jump says nothing of the duration."""
        context, image = self.context, self.image
        if image.state is not State.RUNNING or image.submitted_at_ms is None or image.failures:
            return
        noticed = (now_ms - image.submitted_at_ms) / 1000
        polled = ((image.last_poll_at_ms or image.submitted_at_ms) - image.submitted_at_ms) / 1000
        if not 0 <= polled < noticed < context.deadline_seconds:
            return
        size = self.generation.request.size
        if context.callbacks is None:
            context.schedule.observe(size, last_poll_seconds=polled, noticed_seconds=noticed, polls=image.polls + 1)
            return
        called = polled if called_at_ms is None else (called_at_ms - image.submitted_at_ms) / 1000
        was_called = polled < called <= noticed
        context.callbacks.image_was_ready(called=was_called)
        context.schedule.observe_duration(size, called if was_called else (polled + noticed) / 2)

    async def fetch_again(self) -> FoundImage | None:
        """Download a paid image that this process does not have. None: it can't be had now, or is lost and refunded."""
        context, image = self.context, self.image
        try:
            return await self.fetch(image.image_url or "")
        except ImageError as error:
            age_seconds = (context.clock.now_ms() - (image.ready_at_ms or 0)) / 1000
            temporary = may_still_come(error, failures=image.failures, limit=MISSING_IMAGE_POLLS)
            if temporary and age_seconds < KEEP_FETCHING_SECONDS:
                failures = image.failures + 1
                wait = backoff_seconds(failures, context.rng.random())
                await self.save(failures=failures, due_at_ms=context.after(wait))
                return None
            log.error("image %s: lost before it could be posted (%s)", image.image_id, error)
            await self.claim.finish(
                *(lose, context.ledger, image), fence=self.fence, why=str(error), now_ms=context.clock.now_ms()
            )
            return None


def _note_price(tx: Transaction, consumed: int) -> bool:
    """Note that the owner is alerted to this price of one image. False: they were, to this one or a higher one."""
    if consumed <= int(load_value(tx, PRICE_ALERTED_KEY) or 0):
        return False
    save_value(tx, PRICE_ALERTED_KEY, str(consumed))
    return True


def ending_of_failure(message: str) -> Ending:
    """Whether a FAILED task was refused for its prompt or failed for a reason of the service's own."""
    return Ending.DECLINED if speaks_of_policy(message) else Ending.SERVICE_FAILED
