"""A callback names the task of an image whose submit had no known outcome: ask the service, and take the task over.

The hold of such an image was returned before, so the image is free. Knows the image service and the rows; knows no
Discord and no HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from generations import records
from generations.callbacks import Poll
from generations.model import Generation, Image
from generations.worker.poll import LOST_TASK_POLLS, PollStep
from qwen.errors import QwenError, TaskNotFound
from qwen.images import FoundImage
from qwen.models import Task
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")


class RecoverStep(PollStep):
    """The step of an image whose submit had no known outcome and for which a callback named a task."""

    async def check_claim(self) -> FoundImage | None:
        """Poll the task that a callback named. Returns the image when it is ready."""
        callback = await self.context.database.read(records.load_callback, self.image)
        claimed = None if callback is None else callback.claimed_task_id
        if claimed is None:
            await self.save(due_at_ms=None)
            return None
        poll = await self.begin_poll(claimed)
        if poll is None:
            return None
        try:
            task = await self.get_task(claimed, poll)
        except QwenError as error:
            await self._handle_no_answer(poll, claimed, error)
            return None
        if not is_task_of(task, self.generation, self.image) or not await self._adopt(claimed):
            await self._refuse(poll, claimed)
            return None
        log.warning("image %s: a callback brought back its task %s", self.image.image_id, claimed)
        self.image = replace(self.image, task_id=claimed)
        return await self.handle_task(poll, task)

    async def _adopt(self, task_id: str) -> bool:
        image, now_ms = self.image, self.context.clock.now_ms()
        return await self.context.database.run(records.adopt_task, image.generation_id, image.position, task_id, now_ms)

    async def _handle_no_answer(self, poll: Poll, claimed: str, error: QwenError) -> None:
        """Refuse the claim when the service does not know the task several times in a row; other errors say nothing."""
        if not isinstance(error, TaskNotFound):
            await self.handle_failed_poll(poll, error)
        elif self.image.failures + 1 >= LOST_TASK_POLLS:
            await self._refuse(poll, claimed)
        else:
            await self.handle_missing_task(poll)

    async def _refuse(self, poll: Poll, claimed: str) -> None:
        if await self.claim.finish(self._refuse_in, poll, claimed):
            log.warning("image %s: a callback named task %s, which is not its own", self.image.image_id, claimed)

    def _refuse_in(self, tx: Transaction, poll: Poll, claimed: str) -> tuple[Image, bool]:
        """Return False beside the image when the process that made the POST has noted its task meanwhile, and when
        to poll it."""
        fresh = records.load_locked(tx, self.image.generation_id)
        if fresh is None or fresh.images[self.image.position].task_id is not None:
            return self.image if fresh is None else fresh.images[self.image.position], False
        polled_at_ms = self.polled_at_ms(poll)
        refused = records.update_image(
            tx, self.image, fence=self.fence, last_poll_at_ms=polled_at_ms, failures=0, due_at_ms=None
        )
        records.drop_claim(tx, refused, claimed)
        self.follow_calls(tx, refused, poll)  # another claim may have come during this poll
        return refused, True


def is_task_of(task: Task, generation: Generation, image: Image) -> bool:
    """Whether *task* was asked for with the prompt and seed of *image*, as far as the service says so."""
    if task.asked_prompt is not None and task.asked_prompt.split() != generation.request.prompt.split():
        return False
    return task.asked_seed is None or task.asked_seed == image.seed
