"""What a person had made: to be leafed through, and to be posted after all where there was no place before.

Knows rows, credits and the place of finished images; knows no Discord library and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from credits.ledger import Ledger
from generations import records
from generations.clock import Clock
from generations.delivery_result import DeliveryResult
from generations.errors import NotThere
from generations.finished_images import GONE_CHECKS, fetch, lose, may_still_come
from generations.model import CardLink, Generation, Image, Origin, State
from generations.ports import ImageStore
from generations.records import archive
from images.image_memory import ImageMemory, Room
from qwen.errors import ImageError
from qwen.images import FoundImage
from store.database import Database
from store.statements import storable

log = logging.getLogger("qwen_imagine.archive")

PAGE_LENGTH = 5
WORDS_MAX = 60  # UTF-16 units of a search: it travels in a button's custom_id
CHECK_SOON_SECONDS = 3600  # an image that a press did not get is looked for within this time, unasked
POSTING_LEASE_SECONDS = 180  # a download and an upload; if the process dies, it can be tried again after that


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a person's generations, newest first. *newer*, *older*: from which id there are more; None: no more."""

    generations: tuple[Generation, ...]
    newer: int | None
    older: int | None
    words: str = ""
    removed: frozenset[int] = frozenset()  # ids of those whose card somebody took away

    def link(self, generation: Generation) -> CardLink | None:
        """Where the card can be jumped to; Discord links to no message that only one person sees."""
        elsewhere = generation.card_channel_id
        if generation.message_id is None or generation.id in self.removed:
            return None
        if elsewhere is not None:
            return CardLink(None, elsewhere, generation.message_id)
        if generation.request.private or not generation.origin.channel_id:
            return None
        return CardLink(generation.origin.guild_id, generation.origin.channel_id, generation.message_id)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of kept images: the images by position; how many were lost for good, and what that gave back.

    *generation*: as it is then.
    """

    generation: Generation
    image_files: Mapping[int, FoundImage]
    lost: int
    refunded: int


class Missing(Enum):
    """Why a kept image was not downloaded."""

    NOT_NOW = auto()  # it can't be had now, and may be later
    GONE = auto()  # for good


class Archive:
    """The use-cases. *owner*: this process, for people who look at leases. *images*: the budget for images' bytes."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        store: ImageStore,
        *,
        owner: str,
        images: ImageMemory | None = None,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._store = store
        self._owner = owner
        self._images = images or ImageMemory()

    async def page(
        self, user_id: int, *, words: str = "", older_than: int | None = None, newer_than: int | None = None
    ) -> Page:
        """One page. The first one where the asked one is empty: what was there may be gone by now."""
        parts = words.split()
        async with self._database.transaction() as tx:
            found = await archive.history(
                tx, user_id, words=parts, older_than=older_than, newer_than=newer_than, limit=PAGE_LENGTH
            )
            if not found and (older_than is not None or newer_than is not None):
                found = await archive.history(tx, user_id, words=parts, limit=PAGE_LENGTH)
            if not found:
                return Page((), None, None, words)
            newest, oldest = found[0].id, found[-1].id
            more = await archive.has_listed(tx, user_id, words=parts, newer_than=newest)
            less = await archive.has_listed(tx, user_id, words=parts, older_than=oldest)
            removed = await archive.removed_among(tx, [generation.id for generation in found])
        return Page(tuple(found), newest if more else None, oldest if less else None, words, removed)

    async def is_kept(self, generation_id: int, user_id: int) -> Generation:
        """A person's own generation, if images of it are kept for want of a place. Raises NotThere."""
        async with self._database.transaction() as tx:
            generation = await records.load(tx, generation_id)
        if generation is None or generation.origin.user_id != user_id or not kept_images(generation):
            raise NotThere
        return generation

    @contextlib.asynccontextmanager
    async def room_for(self, generation: Generation) -> AsyncGenerator[Room]:
        """Room in memory for its kept images, as soon as there is some. Wait for it before take_kept(), whose lease
        leaves time for a download and an upload only."""
        async with self._images.room(image.image_id for image in kept_images(generation)) as room:
            await room.enter()
            yield room

    async def take_kept(self, generation_id: int, user_id: int) -> Generation:
        """The same, and nobody else posts it until post_ended(). Raises NotThere, also while somebody does."""
        now_ms = self._clock.now_ms()
        lease_until_ms = now_ms + POSTING_LEASE_SECONDS * 1000
        async with self._database.transaction() as tx:
            generation = await archive.claim_one(
                tx, generation_id, lease_holder=self._owner, now_ms=now_ms, lease_until_ms=lease_until_ms
            )
            if generation is None or generation.origin.user_id != user_id or not kept_images(generation):
                raise NotThere  # takes the claim back with it
        return generation

    async def fetch_kept(self, generation: Generation, room: Room) -> Fetched:
        """Download the kept images into *room*. One that is gone for good is given up, and what it cost is refunded.

        One that can't be had just now stays kept, is in neither number, and is looked for within the hour. The claim
        is renewed, so that the time for posting begins now. Raises NotThere when it was lost meanwhile: then nothing
        may be posted.
        """
        kept = kept_images(generation)
        downloads = await asyncio.gather(*(self._download(image, room) for image in kept))
        found = list(zip(kept, downloads, strict=True))
        image_files = {image.position: result for image, result in found if not isinstance(result, Missing)}
        gone = [image for image, result in found if result is Missing.GONE]
        refunded = [await self._lose(generation, image) for image in gone]
        now_ms = self._clock.now_ms()
        lease_until_ms = now_ms + POSTING_LEASE_SECONDS * 1000
        async with self._database.transaction() as tx:
            still_ours = await records.renew(tx, generation.id, generation.fence, lease_until_ms)
            for image, result in found:
                if still_ours and result is Missing.NOT_NOW:
                    await records.bring_forward(tx, image, now_ms + CHECK_SOON_SECONDS * 1000)
            fresh = await records.load(tx, generation.id)
        if fresh is None or not still_ours:
            raise NotThere
        return Fetched(fresh, image_files, len(gone), sum(refunded))

    async def posted(
        self, generation: Generation, home: Origin, result: DeliveryResult, positions: Mapping[int, object]
    ) -> None:
        """The images at *positions* stand on a message now; it is the card, unless some stand elsewhere already.

        Raises LostClaim.
        """
        alone = all(image.state is not State.DELIVERED for image in generation.images)
        async with self._database.transaction() as tx:
            for image in kept_images(generation):
                if image.position in positions:
                    await records.move(
                        tx,
                        image,
                        State.DELIVERED,
                        fence=generation.fence,
                        attachment_id=result.attachments.get(image.position),
                        file_name=result.file_names.get(image.position),
                    )
            if alone and result.message_id is not None:
                channel_id = result.channel_id or home.channel_id
                moved = channel_id != home.channel_id  # into the direct messages
                place = replace(home, channel_id=channel_id, guild_id=None if moved else home.guild_id)
                await archive.set_home(tx, generation, message_id=result.message_id, home=place)
        log.info("generation %s: kept images posted at %s", generation.id, result.place.value)

    async def post_ended(self, generation: Generation) -> None:
        """Give the claim back, however it went. Raises LostClaim."""
        async with self._database.transaction() as tx:
            await records.release_claim(tx, generation.id, generation.fence)

    async def _download(self, image: Image, room: Room) -> FoundImage | Missing:
        try:
            return await fetch(self._store, room, image.image_id, image.image_url or "")
        except ImageError as error:
            log.info("image %s: kept, and can't be fetched (%s)", image.image_id, error)
            is_there = may_still_come(error, failures=image.failures + 1, limit=GONE_CHECKS)
            return Missing.NOT_NOW if is_there else Missing.GONE

    async def _lose(self, generation: Generation, image: Image) -> int:
        """As for an image that is lost before it could be posted: no image, no price."""
        async with self._database.transaction() as tx:
            return await lose(tx, self._ledger, image, fence=generation.fence, now_ms=self._clock.now_ms())


def clean_words(text: str) -> str:
    """What to search for: one line, of at most WORDS_MAX UTF-16 units, that any database takes."""
    kept = ""
    for character in " ".join(storable(text).split()):
        if len((kept + character).encode("utf-16-le")) > 2 * WORDS_MAX:
            break
        kept += character
    return kept.strip()


def kept_images(generation: Generation) -> list[Image]:
    """Those that were made and paid for, and had no place to be posted."""
    return [image for image in generation.images if image.state is State.UNDELIVERED]
