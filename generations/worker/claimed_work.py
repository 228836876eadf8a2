"""Do the work on one generation that is claimed: look up its card, do what is due, publish what is new.

generations/worker/loop keeps the lease meanwhile, and says what happens when this work fails.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from generations import records
from generations.counting import count_move
from generations.errors import DeliveryDelayed, MovedOn
from generations.model import Generation, Image, State
from generations.ports import Delivery
from generations.service import Generations
from generations.worker.claim import Claim
from generations.worker.context import StepContext
from generations.worker.publish import Publisher
from generations.worker.steps import due_images, may_bring_image, step_image
from images.image_memory import Reservation
from qwen.images import FoundImage
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

FIND_CARD_RETRY_SECONDS = 10.0


class ClaimedWork:
    """*round_seconds*: how long it takes at most until the next round of the worker."""

    def __init__(
        self,
        context: StepContext,
        service: Generations,
        delivery: Delivery,
        publisher: Publisher,
        *,
        round_seconds: float,
    ) -> None:
        self._context = context
        self._service = service
        self._delivery = delivery
        self._publisher = publisher
        self._round_seconds = round_seconds
        self._clock = context.clock
        self._database = context.database

    async def advance(self, generation: Generation) -> bool:
        """Do what is due, and publish what is new. Return whether it may be due again before the next round.

        While Discord can't be reached no image is downloaded again, and those in memory stay there.
        """
        if not await self._has_card(generation):
            return True
        due = due_images(generation.images, self._clock.now_ms())
        was_asked = any(image.state is State.SUCCEEDED for image in due)
        delay = self._delivery.publish_delay_seconds(generation) if was_asked else 0.0
        if delay:
            due = [image for image in due if image.state is not State.SUCCEEDED]
        # A step that brings an image changes no row, so the last write could not know that it is to be published.
        claim = Claim(
            self._context.database, generation, 0 if was_asked else len(due), partial(self._count_move, generation)
        )
        async with self._context.images.reserve(
            image.image_id for image in due if may_bring_image(image)
        ) as reservation:
            image_files = await self._step_images(reservation, claim, due)
            if image_files and not was_asked:
                delay = self._delivery.publish_delay_seconds(generation)
            closed = await claim.close(publishes=bool(image_files or delay))
            if closed.released:
                if not closed.generation.finished:
                    await self._publisher.publish_progress(closed.generation)
            elif not await self._publish(closed.generation, image_files, delay):
                for position, image_file in image_files.items():
                    reservation.keep(closed.generation.images[position].image_id, image_file, self._clock.monotonic())
        due_soon = due_images(closed.generation.images, self._context.after(self._round_seconds))
        return any(image.position not in image_files for image in due_soon)

    def _count_move(self, generation: Generation, before: Image, after: Image) -> None:
        count_move(self._context.metrics, generation, before, after, self._clock.now_ms())

    async def _publish(self, generation: Generation, image_files: dict[int, FoundImage], delay: float) -> bool:
        """Publish what is new, or postpone it for *delay* seconds if that is above 0. False: it was postponed."""
        if not delay:
            return await self._publisher.publish(generation, image_files)
        await self._publisher.postpone(generation, DeliveryDelayed(delay))
        return False

    async def _step_images(self, reservation: Reservation, claim: Claim, due: list[Image]) -> dict[int, FoundImage]:
        """Do what is *due* for each image. Returns their images, by position.

        The claim is kept until all steps have ended: a POST may be under way while the step beside it fails.
        """
        steps = (step_image(self._context, claim, image, reservation) for image in due)
        image_files: dict[int, FoundImage] = {}
        for image, outcome in zip(due, await asyncio.gather(*steps, return_exceptions=True), strict=True):
            if isinstance(outcome, MovedOn):
                log.info("%s: its step is left undone", outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            elif outcome is not None:
                image_files[image.position] = outcome
        return image_files

    async def _has_card(self, generation: Generation) -> bool:
        """Whether Discord has the card; looks it up where it is not confirmed, since a process may have died in
        between."""
        if generation.message_id is not None:
            return True
        try:
            message_id = await self._delivery.find_card(generation)
        except DeliveryDelayed as delayed:
            seconds = max(FIND_CARD_RETRY_SECONDS, delayed.retry_after_seconds)
            retry_at_ms = self._clock.now_ms() + round(seconds * 1000)
            await self._database.run(_find_card_later, generation, self._clock.now_ms(), retry_at_ms)
            return False
        if message_id is None:
            await self._service.abandon(generation.id)
        else:
            await self._service.confirm_card(generation.id, message_id)
        await self._database.run(records.release_claim, generation.id, generation.fence)
        return False


def _find_card_later(tx: Transaction, generation: Generation, now_ms: int, retry_at_ms: int) -> None:
    """Give the claim back; the card is looked up again at *retry_at_ms*."""
    for image in due_images(generation.images, now_ms):
        records.update_image(tx, image, fence=generation.fence, due_at_ms=retry_at_ms)
    records.release_claim(tx, generation.id, generation.fence, retry_publish_at_ms=retry_at_ms)
