"""One step of one image: what the steps share. Knows the ledger and the rows; no Discord."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

from generations import records
from generations.finished_images import fetch
from generations.model import Ending, Generation, Image, State
from generations.poll_schedule import POLL_SECONDS
from generations.prices import price_of
from generations.worker.claim import Claim
from generations.worker.context import StepContext
from images.image_memory import Reservation
from limits import usage
from limits.usage import Returned
from qwen.errors import ImageUnavailable
from qwen.images import FoundImage
from store.transactions import Transaction

FIRST_LATE_POLL_SECONDS = 2 * POLL_SECONDS


@dataclass(slots=True)
class ImageStep:
    """Do what is due for one image of a claimed generation.

    Credits and state change in one transaction, and each write carries the claim's fence: a step whose claim was lost
    changes nothing. *image*: as the rows have it. *reservation*: of the image memory, for the downloaded image.
    """

    context: StepContext
    claim: Claim
    image: Image
    reservation: Reservation

    @property
    def generation(self) -> Generation:
        return self.claim.generation

    @property
    def fence(self) -> int:
        return self.generation.fence

    async def fetch(self, url: str) -> FoundImage:
        """Download the image from *url*. Raises qwen.errors.ImageError."""
        async with self.context.reads.until_cut(ImageUnavailable("cut off, as the bot stops", temporary=True)):
            return await fetch(self.context.store, self.reservation, self.image.image_id, url)

    async def save(self, **changes: Unpack[records.ImageChanges]) -> None:
        """End the step by changing the image's columns, not its state. Raises LostClaim."""
        await self.claim.finish(self._save_in, changes)

    def _save_in(self, tx: Transaction, changes: records.ImageChanges) -> tuple[Image, None]:
        return records.update_image(tx, self.image, fence=self.fence, **changes), None

    async def end(self, state: State, ending: Ending, detail: str | None = None) -> None:
        """End the image without a result, and return its hold. Raises LostClaim."""
        await self.claim.finish(self._end_in, state, ending, detail)

    def _end_in(self, tx: Transaction, state: State, ending: Ending, detail: str | None) -> tuple[Image, None]:
        """An expired task is polled on: a late success is free. So is that of an unknown image whose task was named by
        a callback before its submit was given up."""
        context, image = self.context, self.image
        late = state is State.EXPIRED and image.task_id is not None
        ended = records.move(
            tx,
            image,
            state,
            fence=self.fence,
            why=ending,
            ending=ending,
            ending_detail=detail or None,
            failures=0,
            last_poll_at_ms=image.last_poll_at_ms,
            due_at_ms=context.after(FIRST_LATE_POLL_SECONDS) if late else None,
        )
        if state is State.UNKNOWN:
            callback = records.load_callback(tx, ended)
            if callback is not None and callback.claimed_task_id is not None:
                records.bring_forward(tx, ended, context.clock.now_ms())
        context.ledger.release(tx, image.image_id, context.clock.now_ms())
        returned = Returned(may_be_paid=may_be_paid(image, ended))
        usage.count_returned(tx, self.generation.usage, images=1, price=price_of(1), returned=returned)
        return ended, None


def may_be_paid(before: Image, ended: Image) -> bool:
    """Whether the service may have taken credits for an image that ended without a result. Pure.

    It took the task and may still finish it, or it is not known whether it did; or it finished without an image that
    can be used.
    """
    if ended.ending in (Ending.NO_IMAGE, Ending.IMAGE_UNUSABLE):
        return True
    return ended.state is State.UNKNOWN or (ended.state is State.EXPIRED and before.task_id is not None)
