"""From the rows to the card: news are shown, what came of it is written down, and the claim is given back.

Knows rows and the Delivery protocol; knows no Discord, no SQL and no loop.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping

from generations import records
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed, LostClaim
from generations.model import Generation, Image, Progress, State
from generations.ports import Delivery
from generations.service import Generations
from generations.stale_edits import StaleEditGuard
from generations.worker.context import StepContext
from generations.worker.kept_images import FIRST_CHECK_SECONDS
from generations.worker.progress import progress_of
from observability.repeats import REPEATS
from qwen.images import FoundImage
from store.database import Transaction
from store.errors import DatabaseLost

log = logging.getLogger("qwen_imagine.worker")


class Publisher:
    """What a worker does once there is something to show. *slots*: how many images may be in flight now."""

    def __init__(
        self, context: StepContext, service: Generations, delivery: Delivery, slots: Callable[[], int]
    ) -> None:
        self._context = context
        self._service = service
        self._delivery = delivery
        self._slots = slots
        self._clock = context.clock
        self._database = context.database
        self._stale_edit_guard = StaleEditGuard(context.database, context.clock)

    async def publish_progress(self, generation: Generation) -> None:
        """Say how it goes, some time soon."""
        self._delivery.publish_progress(generation, await self.progress(generation))

    async def publish(self, generation: Generation, image_files: Mapping[int, FoundImage]) -> bool:
        """Show what is new and give the claim back. False: Discord could not take it now, and it is due again later.

        *images*: by position, those of images that succeeded. Raises LostClaim.
        """
        progress = await self.progress(generation)
        try:
            result = await self._delivery.publish(generation, progress, image_files)
        except DeliveryDelayed as delayed:
            await self.postpone(generation, delayed)
            return False
        async with self._landing(generation, result.attachments):
            await self._record_result(generation, image_files, result)
        if result.card_retry_seconds is None:
            await self.ping(generation)
        retry_at_ms = None if result.card_retry_seconds is None else self._context.after(result.card_retry_seconds)
        async with self._database.transaction() as tx:
            await records.release_claim(tx, generation.id, generation.fence, retry_publish_at_ms=retry_at_ms)
        return True

    async def postpone(self, generation: Generation, delayed: DeliveryDelayed) -> None:
        """Give the claim back; what is to be shown is due again when *delayed* says. Raises LostClaim."""
        log.warning("generation %s: %s", generation.id, delayed, extra=REPEATS)
        due_at_ms = self._context.after(delayed.retry_after_seconds)
        async with self._landing(generation, {}), self._database.transaction() as tx:
            for image in generation.images:
                if image.state is State.SUCCEEDED:
                    await records.update_image(tx, image, fence=generation.fence, due_at_ms=due_at_ms)
            await records.release_claim(tx, generation.id, generation.fence, retry_publish_at_ms=due_at_ms)

    async def ping(self, generation: Generation) -> None:
        """Tell the person that all has come to an end, if that is wanted. A second time changes nothing."""
        if generation.finished and self._context.pings is not None:
            await self._context.pings.handle_finished(generation)

    async def progress(self, generation: Generation) -> Progress:
        """What can be said of the near future of *generation*."""
        line, in_flight = await self._service.place_in_line_of(generation)
        now_ms = self._clock.now_ms()
        return progress_of(
            generation, line, self._context.schedule, now_ms=now_ms, slots=self._slots(), in_flight=in_flight
        )

    async def first_progress(self, generation: Generation) -> Progress:
        """The same for a card that is about to be sent for the first time: a database that is away must not stop it."""
        try:
            return await self.progress(generation)
        except DatabaseLost:
            return Progress()

    @contextlib.asynccontextmanager
    async def _landing(self, generation: Generation, attachments: Mapping[int, int]) -> AsyncGenerator[None]:
        """Around the writing down of a show: when the claim is lost, what landed may have covered something newer."""
        try:
            yield
        except LostClaim:
            attachment_ids = generation.attachment_ids | dict(attachments)
            await self._stale_edit_guard.was_published(generation, attachment_ids)
            raise

    async def _record_result(
        self, generation: Generation, image_files: Mapping[int, FoundImage], result: DeliveryResult
    ) -> None:
        async with self._database.transaction() as tx:
            await records.mark_published(
                tx,
                generation.id,
                generation.fence,
                generation.revision if result.card_retry_seconds is None else generation.revision - 1,
                message_id=result.message_id,
                channel_id=result.channel_id,
            )
            for image in generation.images:
                if image.state is State.SUCCEEDED and image.position in image_files:
                    check_at_ms = self._context.after(FIRST_CHECK_SECONDS)
                    await _note_posted(tx, image, result, fence=generation.fence, check_at_ms=check_at_ms)
        log.info("generation %s: shown at %s", generation.id, result.place.value)


async def _note_posted(tx: Transaction, image: Image, result: DeliveryResult, *, fence: int, check_at_ms: int) -> None:
    """Call an image delivered or kept. *check_at_ms*: when a kept one is checked.

    Of several images that went one by one, those that landed before there was no place left are delivered.
    """
    separate = result.separate.get(image.position)
    kept = result.place is Place.NOWHERE and separate is None and image.position not in result.file_names
    await records.move(
        tx,
        image,
        State.UNDELIVERED if kept else State.DELIVERED,
        fence=fence,
        due_at_ms=check_at_ms if kept else None,
        failures=0,
        attachment_id=result.attachments.get(image.position),
        file_name=result.file_names.get(image.position),
        separate_channel_id=None if separate is None else separate.channel_id,
        separate_message_id=None if separate is None else separate.message_id,
    )
