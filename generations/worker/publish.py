"""Publish a generation: hand it to Delivery, note the result, give the claim back.

Knows rows and the Delivery protocol; knows no Discord, no SQL and no loop.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping

from generations import records
from generations.counting import count_move
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed, LostClaim
from generations.model import Generation, Image, Line, Progress, State
from generations.pings import decide_ping
from generations.ports import Delivery
from generations.service import Accepted, Generations
from generations.stale_edits import StaleEditGuard
from generations.worker.context import StepContext
from generations.worker.kept_images import FIRST_CHECK_SECONDS
from generations.worker.progress import progress_of
from observability.repeats import REPEATS
from qwen.images import FoundImage
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")


class Publisher:
    """Publishes for a worker. *slots*: how many images may be in flight now."""

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
        """Have the card edited to the present progress, soon."""
        self._delivery.publish_progress(generation, await self.progress(generation))

    async def publish(self, generation: Generation, image_files: Mapping[int, FoundImage]) -> bool:
        """Publish what is new and give the claim back. False: Discord could not take it now, and it is due again later.

        *image_files*: by position, those of images that succeeded. Raises LostClaim.
        """
        progress = await self.progress(generation)
        try:
            result = await self._delivery.publish(generation, progress, image_files)
        except DeliveryDelayed as delayed:
            await self.postpone(generation, delayed)
            return False
        posted = [
            image for image in generation.images if image.state is State.SUCCEEDED and image.position in image_files
        ]
        async with self._reconciling(generation, result.attachments):
            pinged, moved = await self._database.run(self._record_result, generation, posted, result)
        for before, after in zip(posted, moved, strict=True):
            count_move(self._context.metrics, generation, before, after, self._clock.now_ms())
        if not posted:  # else the move of each image says so
            log.info("generation %s: published at %s", generation.id, result.place.value)
        if pinged is not None and self._context.pings is not None:
            self._context.pings.send(pinged)
        return True

    async def postpone(self, generation: Generation, delayed: DeliveryDelayed) -> None:
        """Give the claim back; publishing is due again when *delayed* says. Raises LostClaim."""
        log.warning("generation %s: %s", generation.id, delayed, extra=REPEATS)
        due_at_ms = self._context.after(delayed.retry_after_seconds)
        async with self._reconciling(generation, {}):
            await self._database.run(_postpone, generation, due_at_ms)

    async def progress(self, generation: Generation) -> Progress:
        """Return the progress of *generation*."""
        return self._progress_of(generation, *await self._service.place_in_line_of(generation))

    def _progress_of(self, generation: Generation, line: Line | None, in_flight: int) -> Progress:
        now_ms, slots = self._clock.now_ms(), self._slots()
        return progress_of(
            generation,
            line,
            self._context.schedule,
            now_ms=now_ms,
            slots=slots,
            in_flight=in_flight,
            stopped=self._context.circuit.reason,
        )

    def first_progress(self, accepted: Accepted) -> Progress:
        """Return the progress for a card that is sent for the first time."""
        return self._progress_of(accepted.generation, accepted.line, accepted.in_flight)

    async def publish_places(self, ids: Collection[int]) -> None:
        """Have the cards of waiting generations edited to their place in line, which is worked out once for all."""
        if not ids:
            return
        found, in_flight = await self._service.places_in_line_of(ids)
        for generation, line in found:
            self._delivery.publish_progress(generation, self._progress_of(generation, line, in_flight))

    @contextlib.asynccontextmanager
    async def _reconciling(self, generation: Generation, attachments: Mapping[int, int]) -> AsyncGenerator[None]:
        """Around noting a result: when the claim is lost, the edit may have replaced something newer."""
        try:
            yield
        except LostClaim:
            attachment_ids = generation.attachment_ids | dict(attachments)
            await self._stale_edit_guard.was_published(generation, attachment_ids)
            raise

    def _record_result(
        self, tx: Transaction, generation: Generation, posted: Iterable[Image], result: DeliveryResult
    ) -> tuple[Generation | None, list[Image]]:
        """Note the result and give the claim back. Return the generation as it is then if a ping is to be sent, and the
        images of *posted* as they are then."""
        context, retry_seconds = self._context, result.card_retry_seconds
        row = records.mark_published(
            tx,
            generation.id,
            generation.fence,
            generation.revision if retry_seconds is None else generation.revision - 1,
            message_id=result.message_id,
            channel_id=result.channel_id,
        )
        check_at_ms = context.after(FIRST_CHECK_SECONDS)
        moved = {
            image.position: _note_posted(tx, image, result, fence=generation.fence, check_at_ms=check_at_ms)
            for image in posted
        }
        retry_at_ms = None if retry_seconds is None else context.after(retry_seconds)
        records.release_locked(tx, row, retry_publish_at_ms=retry_at_ms)
        if context.pings is None or retry_at_ms is not None:
            return None, list(moved.values())
        now = records.read_generation(row, (moved.get(image.position, image) for image in generation.images))
        return now if decide_ping(tx, now, context.clock.now_ms()) else None, list(moved.values())


def _postpone(tx: Transaction, generation: Generation, due_at_ms: int) -> None:
    for image in generation.images:
        if image.state is State.SUCCEEDED:
            records.update_image(tx, image, fence=generation.fence, due_at_ms=due_at_ms)
    records.release_claim(tx, generation.id, generation.fence, retry_publish_at_ms=due_at_ms)


def _note_posted(tx: Transaction, image: Image, result: DeliveryResult, *, fence: int, check_at_ms: int) -> Image:
    """Move an image to DELIVERED or UNDELIVERED (kept). *check_at_ms*: when a kept one is checked.

    Of several images that were posted one by one, those posted before there was no place left are delivered.
    """
    separate = result.separate.get(image.position)
    kept = result.place is Place.NOWHERE and separate is None and image.position not in result.file_names
    return records.move(
        tx,
        image,
        State.UNDELIVERED if kept else State.DELIVERED,
        fence=fence,
        why="no place takes it" if kept else f"posted at {result.place}",
        is_locked=True,
        due_at_ms=check_at_ms if kept else None,
        failures=0,
        attachment_id=result.attachments.get(image.position),
        file_name=result.file_names.get(image.position),
        separate_channel_id=None if separate is None else separate.channel_id,
        separate_message_id=None if separate is None else separate.message_id,
    )
