"""Submit an image: wait in line, make its one POST, and do what follows from each answer.

Knows the image service and the rows; knows no Discord and no loop.
"""

from __future__ import annotations

import logging

from generations import records
from generations.callbacks import Address
from generations.circuit import StopReason
from generations.errors import LostClaim
from generations.model import Ending, Image, State
from generations.poll_schedule import backoff_seconds
from generations.worker.image_step import ImageStep
from generations.worker.stopping import close_circuit, open_circuit
from generations.worker.stored_limits import save_pauses, save_slots
from observability.repeats import REPEATS
from qwen.errors import (
    AccountEmpty,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
)
from qwen.models import Task, TaskRequest
from store.errors import DatabaseLost
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

SLOT_WAIT_SECONDS = 1.0  # until an admitted image looks again for a free task slot
WRITE_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # pauses while the database is away: nobody else knows the task
STOPPED = (
    "Until this is put right no image is sent to it and requests are refused. A single real image tries again after a "
    "minute, later at most an hour apart, and once after a restart: nothing has to be switched on again."
)
IMAGES_BACK = "The image service takes images again, and requests are open."
TURNED_AWAY = "QWEN_API_URL or QWEN_API_KEY may be wrong, or this machine is blocked."
TURNED_AWAY_TRIES = 4  # tries of one image turned away before the API itself, until the owner is alerted


class SubmitStep(ImageStep):
    """The step of an image that has no task yet. *is_probe*: its POST was made although the circuit is open."""

    is_probe = False

    @property
    def _deadline_ms(self) -> int:
        return self.generation.created_at_ms + self.context.deadline_seconds * 1000

    async def wait_in_line(self) -> None:
        """Wait for admission until the deadline, and give up then."""
        if not await self._end_at_deadline():
            await self.save(due_at_ms=self._deadline_ms)

    async def submit(self) -> None:
        """Make the one POST of this image. SUBMITTING is committed before a byte leaves.

        The image was admitted, but a 429 of another image may have lowered the number of tasks since: then it waits
        for a free slot.
        """
        if await self._end_at_deadline():
            return
        context = self.context
        now = context.clock.monotonic()
        pause = context.throttle.post_wait_seconds(now)
        if pause > 0:
            await self.save(due_at_ms=context.after(max(1.0, pause)))
            return
        address = None if context.callbacks is None else context.callbacks.new_address()
        request = self._task_request(None if address is None else address.url)
        submitting = await context.database.run(self._begin_post, context.throttle.slots.count(now), address)
        if submitting is not None:
            self.image = submitting
            await self._post(request)

    def _begin_post(self, tx: Transaction, slots: int, address: Address | None) -> Image | None:
        """Return the image as SUBMITTING. None: there is no free slot, and it is due again soon; or the circuit is open
        and no probe is due, and it is in line again."""
        context = self.context
        tasks, circuit = records.lock_line(tx)
        if tasks >= slots:
            due_at_ms = context.after(SLOT_WAIT_SECONDS)
            records.update_image(tx, self.image, fence=self.fence, due_at_ms=due_at_ms)
            return None
        submitted_at_ms = context.clock.now_ms()
        self.is_probe = circuit.reason is not None
        if self.is_probe:
            if not circuit.may_probe(submitted_at_ms):
                records.update_image(tx, self.image, fence=self.fence, admitted_at_ms=None, due_at_ms=self._deadline_ms)
                return None
            records.save_circuit(tx, circuit.probing(submitted_at_ms, context.rng.random()))
        submitting = records.move(
            *(tx, self.image, State.SUBMITTING),
            fence=self.fence,
            why="the circuit's probe" if self.is_probe else "its turn",
            submitted_at_ms=submitted_at_ms,
        )
        if address is not None:
            records.expect_callback(tx, submitting, address.token_hash)
        return submitting

    async def end_crashed_submit(self) -> None:
        """A process died between committing SUBMITTING and the answer: the outcome is unknown, never posted again."""
        log.warning("image %s: a process ended inside its submit, the outcome is unknown", self.image.image_id)
        await self.end(State.UNKNOWN, Ending.OUTCOME_UNKNOWN)

    def _task_request(self, callback_url: str | None) -> TaskRequest:
        request = self.generation.request
        return TaskRequest(request.prompt, request.size, self.image.seed, request.format, callback_url)

    async def _post(self, request: TaskRequest) -> None:
        try:
            task = await self.context.service.create_task(request)
        except (ServiceUnavailable, RateLimited) as error:
            await self._submit_again_later(error)
        except OutcomeUnknown as error:
            log.warning("image %s: the outcome of the submit is unknown (%s)", self.image.image_id, error)
            if error.http_status is not None and 300 <= error.http_status < 400:  # so will every other POST be
                self.context.operator.tell("turned_away", f"{error}. {TURNED_AWAY}")
            await self.end(State.UNKNOWN, Ending.OUTCOME_UNKNOWN)
        except QwenError as error:
            await self._end_refused(error)
        else:
            await self._handle_accepted(task)

    async def _handle_accepted(self, task: Task) -> None:
        clock = self.context.clock
        self.context.throttle.post_succeeded(clock.monotonic())
        self.context.guard.poll_ended(
            task.task_id
        )  # the POST's answer counts as a poll: the first one comes 5 s after it
        for pause in WRITE_AGAIN_SECONDS:
            try:
                await self._save_task(task)
                return
            except DatabaseLost as lost:
                log.warning(
                    "image %s: its task can't be written down now (%s)", self.image.image_id, lost, extra=REPEATS
                )
                await clock.sleep(pause)
        await self._save_task(task)

    async def _save_task(self, task: Task) -> None:
        """Write down whose task it is. Raises LostClaim, DatabaseLost."""
        context, image = self.context, self.image
        first_poll = context.first_poll_seconds(self.generation.request.size)
        try:
            tasks, tells = await self.claim.finish(self._note_task, task, context.after(first_poll))
            context.throttle.slots.accepted(tasks, context.clock.monotonic())
            if tells:
                context.operator.tell_change("images_back", IMAGES_BACK)
        except LostClaim:
            # This process slept too long and the image was ended as unknown meanwhile: keep the task all the same.
            adopted = await context.database.run(
                records.adopt_task,
                image.generation_id,
                image.position,
                task.task_id,
                context.after(first_poll),
                by_submitter=True,
            )
            log.warning("image %s: task came after the claim was lost, adopted: %s", image.image_id, adopted)
            raise

    def _note_task(self, tx: Transaction, task: Task, due_at_ms: int) -> tuple[Image, tuple[int, bool]]:
        """Return beside the image how many tasks run now, and whether the owner is told that images are back."""
        context = self.context
        now_ms = context.clock.now_ms()
        tells = self.is_probe and close_circuit(tx, now_ms, context.wake_others, news=IMAGES_BACK)
        running = records.move(
            *(tx, self.image, State.RUNNING),
            fence=self.fence,
            why=f"task {task.task_id}",
            task_id=task.task_id,
            failures=0,
            due_at_ms=due_at_ms,
        )
        callback = None if context.callbacks is None else records.load_callback(tx, running)
        if callback is not None and callback.called_at_ms is not None:  # it came before the POST's answer
            records.bring_forward(tx, running, now_ms)
        return running, (records.running_count(tx), tells)

    async def _submit_again_later(self, error: QwenError) -> None:
        """Put the image back: the service surely did not take it. It keeps its turn and can be cancelled again.

        A 429 says how many tasks can run.
        """
        context, failures = self.context, self.image.failures + 1
        now, is_limit = context.clock.monotonic(), isinstance(error, RateLimited)
        if isinstance(error, RateLimited):
            seconds = context.throttle.post_refused(now, error.retry_after_seconds, context.rng.random())
        else:
            seconds = backoff_seconds(failures, context.rng.random())
            if error.http_status is not None and failures >= TURNED_AWAY_TRIES:
                context.operator.tell("turned_away", f"{error}. {TURNED_AWAY}")
        why = f"not taken: {error}, again in {seconds:.1f} s"
        running = await self.claim.finish(self._put_back, failures, context.after(seconds), why)
        if is_limit:
            context.throttle.slots.refused(running, now)
            await save_slots(context.database, context.throttle.slots)
            await save_pauses(context.database, context.throttle, context.clock)

    def _put_back(self, tx: Transaction, failures: int, due_at_ms: int, why: str) -> tuple[Image, int]:
        """Return beside the image how many tasks run."""
        waiting = records.move(
            tx,
            self.image,
            State.REQUESTED,
            fence=self.fence,
            why=why,
            submitted_at_ms=None,
            failures=failures,
            due_at_ms=due_at_ms,
        )
        return waiting, records.running_count(tx)

    async def _end_at_deadline(self) -> bool:
        """Return the credits of an image that has waited for as long as one may take. False: it has not."""
        if self.context.clock.now_ms() < self._deadline_ms:
            return False
        await self.end(State.EXPIRED, Ending.LINE_DEADLINE)
        return True

    async def _end_refused(self, error: QwenError) -> None:
        """Return the hold after a sure refusal of the POST: nothing was made."""
        if isinstance(error, (KeyRefused, AccountEmpty)):
            await self._end_and_stop(error)
        else:
            ending = Ending.PROMPT_REFUSED if isinstance(error, PromptRefused) else Ending.SERVICE_FAILED
            await self.end(State.FAILED, ending, error.service_message)

    async def _end_and_stop(self, error: KeyRefused | AccountEmpty) -> None:
        """End the image, and in the same transaction stop submitting and selling in every process."""
        is_key = isinstance(error, KeyRefused)
        reason = StopReason.KEY_REFUSED if is_key else StopReason.ACCOUNT_EMPTY
        ending = Ending.KEY_REFUSED if is_key else Ending.ACCOUNT_EMPTY
        news = f"{error}. {STOPPED}"
        tells = await self.claim.finish(self._end_and_stop_in, ending, error.service_message, reason, news)
        log.error("image %s: %s; no image is submitted or sold until a probe is taken", self.image.image_id, error)
        if tells:
            self.context.operator.tell_change(reason.value, news)

    def _end_and_stop_in(
        self, tx: Transaction, ending: Ending, detail: str, reason: StopReason, news: str
    ) -> tuple[Image, bool]:
        """Return beside the image whether the owner is told *news*."""
        context = self.context
        jitter, now_ms = context.rng.random(), context.clock.now_ms()
        tells = open_circuit(tx, reason, now_ms, jitter, is_probe=self.is_probe, news=news)
        ended, _ = self._end_in(tx, State.FAILED, ending, detail)
        return ended, tells
