"""The pages of /history, and the posting of kept images.

Knows rows, credits and the image store; knows no Discord library and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from weakref import WeakValueDictionary

from credits.ledger import Ledger
from generations import records
from generations.clock import Clock
from generations.delivery_result import DeliveryResult
from generations.errors import NotThere
from generations.finished_images import GONE_CHECKS, fetch, lose, may_still_come
from generations.model import CardLink, Generation, Image, Origin, State, link_to_card
from generations.ports import ImageStore
from generations.records import history
from generations.records.history import NEWEST, Edge
from generations.records.search import LIMITS, Finder, Limits
from generations.search_words import Search
from images.image_memory import ImageMemory, Reservation
from qwen.errors import ImageError
from qwen.images import FoundImage
from store.database import Database
from store.statements import storable
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.history")

PAGE_LENGTH = 5
WORDS_MAX = 60  # UTF-16 units of a search: it is part of a button's custom_id
CHECK_SOON_SECONDS = 3600  # an image that could not be downloaded is checked again by a worker within this time
POSTING_LEASE_SECONDS = 180  # a download and an upload; if the process dies, it can be tried again after that


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a person's generations, newest first. *newer*, *older*: the id from which there are more; None: no
    more."""

    generations: tuple[Generation, ...]
    newer: int | None
    older: int | None
    words: str = ""
    removed: frozenset[int] = frozenset()  # ids of those whose card was removed

    def link(self, generation: Generation) -> CardLink | None:
        """Return the link to the card; None: there is none, or it was removed."""
        place = (generation.origin.guild_id, generation.origin.channel_id, generation.message_id)
        found = link_to_card(*place, generation.card_channel_id, private=generation.request.private)
        return None if generation.id in self.removed else found


@dataclass(frozen=True, slots=True)
class Fetched:
    """The downloaded kept images by position, how many were lost for good, and the credits refunded for those.

    *generation*: as its rows are afterwards.
    """

    generation: Generation
    image_files: Mapping[int, FoundImage]
    lost: int
    refunded: int


class Missing(Enum):
    """Why a kept image was not downloaded."""

    NOT_NOW = auto()  # it can't be had now, and may be later
    GONE = auto()  # for good


class History:
    """The use-cases of /history. *owner*: the name of this process in leases. *images*: the memory budget.

    *limits*: of one search.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        store: ImageStore,
        *,
        owner: str,
        images: ImageMemory | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._store = store
        self._owner = owner
        self._images = images or ImageMemory()
        self._limits = limits
        self._searches = WeakValueDictionary[int, asyncio.Lock]()  # by person

    async def page(
        self, user_id: int, *, words: str = "", older_than: int | None = None, newer_than: int | None = None
    ) -> Page:
        """Return one page; the first one where that is empty, since its generations may have been deleted.

        *words*: those that all prompts have (generations.search_words). Of one person's searches, one runs at a time.
        """
        if newer_than is not None:
            edge = Edge(newer_than, is_older=False)
        else:
            edge = NEWEST if older_than is None else Edge(older_than)
        if not words:
            return await self._database.read(_page, user_id, words, edge, self._limits)
        async with self._searches.setdefault(user_id, asyncio.Lock()):
            return await self._database.read(_page, user_id, words, edge, self._limits)

    async def is_kept(self, generation_id: int, user_id: int) -> Generation:
        """Return a person's own generation if images of it are kept. Raises NotThere."""
        generation = await self._database.read(records.load, generation_id)
        if generation is None or generation.origin.user_id != user_id or not kept_images(generation):
            raise NotThere
        return generation

    @contextlib.asynccontextmanager
    async def reserve_memory(self, generation: Generation) -> AsyncGenerator[Reservation]:
        """Wait until there is memory for the kept images of *generation*, and reserve it.

        Call it before take_kept(), whose lease leaves time for one download and one upload only.
        """
        async with self._images.reserve(image.image_id for image in kept_images(generation)) as reservation:
            await reservation.acquire()
            yield reservation

    async def take_kept(self, generation_id: int, user_id: int) -> Generation:
        """Claim a generation with kept images until post_ended(). Raises NotThere, also while it is claimed."""
        now_ms = self._clock.now_ms()
        lease_until_ms = now_ms + POSTING_LEASE_SECONDS * 1000

        def take(tx: Transaction) -> Generation:
            generation = history.claim_one(
                tx, generation_id, lease_holder=self._owner, now_ms=now_ms, lease_until_ms=lease_until_ms
            )
            if generation is None or generation.origin.user_id != user_id or not kept_images(generation):
                raise NotThere  # rolls the claim back
            return generation

        return await self._database.run(take)

    async def fetch_kept(self, generation: Generation, reservation: Reservation) -> Fetched:
        """Download the kept images within *reservation*. One that is gone for good is refunded.

        One that can't be had now stays kept, is in neither number, and is checked within the hour. The claim is
        renewed, so that the time for posting begins now. Raises NotThere when the claim was lost: then nothing may be
        posted.
        """
        kept = kept_images(generation)
        downloads = await asyncio.gather(*(self._download(image, reservation) for image in kept))
        found = list(zip(kept, downloads, strict=True))
        image_files = {image.position: result for image, result in found if not isinstance(result, Missing)}
        gone = [image for image, result in found if result is Missing.GONE]
        refunded = [await self._lose(generation, image) for image in gone]
        now_ms = self._clock.now_ms()
        lease_until_ms = now_ms + POSTING_LEASE_SECONDS * 1000

        def renew(tx: Transaction) -> Generation | None:
            if not records.renew(tx, generation.id, generation.fence, lease_until_ms):
                return None
            for image, result in found:
                if result is Missing.NOT_NOW:
                    records.bring_forward(tx, image, now_ms + CHECK_SOON_SECONDS * 1000)
            return records.load(tx, generation.id)

        fresh = await self._database.run(renew)
        if fresh is None:
            raise NotThere
        return Fetched(fresh, image_files, len(gone), sum(refunded))

    async def posted(
        self, generation: Generation, home: Origin, result: DeliveryResult, positions: Mapping[int, object]
    ) -> None:
        """Note that the images at *positions* are on a message now; it is the card, unless others were delivered
        before.

        Raises LostClaim.
        """
        await self._database.run(_note_posted, generation, home, result, positions)

    async def post_ended(self, generation: Generation) -> None:
        """Give the claim back. Raises LostClaim."""
        await self._database.run(records.release_claim, generation.id, generation.fence)

    async def _download(self, image: Image, reservation: Reservation) -> FoundImage | Missing:
        try:
            return await fetch(self._store, reservation, image.image_id, image.image_url or "")
        except ImageError as error:
            log.info("image %s: kept, and can't be fetched (%s)", image.image_id, error)
            is_there = may_still_come(error, failures=image.failures + 1, limit=GONE_CHECKS)
            return Missing.NOT_NOW if is_there else Missing.GONE

    async def _lose(self, generation: Generation, image: Image) -> int:
        _, refunded = await self._database.run(
            *(lose, self._ledger, image), fence=generation.fence, why="asked for, and gone", now_ms=self._clock.now_ms()
        )
        return refunded


def _page(tx: Transaction, user_id: int, words: str, edge: Edge, limits: Limits) -> Page:
    """Read one page; the first one where that is empty. A search looks on two sides at most."""
    search = Search(words)
    finder = Finder(tx, user_id, search, limits)

    def ids(edge: Edge, limit: int) -> list[int]:
        return finder.find(edge, limit) if search.words else history.listed(tx, user_id, edge, limit)

    found = ids(edge, PAGE_LENGTH + 1)
    if not found and edge != NEWEST:
        edge = NEWEST
        found = ids(edge, PAGE_LENGTH + 1)
    if not found:
        return Page((), None, None, words)
    more, on_page = len(found) > PAGE_LENGTH, sorted(found[:PAGE_LENGTH], reverse=True)
    newest, oldest = on_page[0], on_page[-1]
    if edge.is_older:
        is_newer, is_older = edge != NEWEST and bool(ids(Edge(newest, is_older=False), 1)), more
    else:
        is_newer, is_older = more, bool(ids(Edge(oldest), 1))
    loaded = tuple(reversed(records.load_several(tx, on_page)))
    removed = history.removed_among(tx, on_page)
    return Page(loaded, newest if is_newer else None, oldest if is_older else None, words, removed)


def _note_posted(
    tx: Transaction, generation: Generation, home: Origin, result: DeliveryResult, positions: Mapping[int, object]
) -> None:
    """Move the images at *positions* to DELIVERED. Where none was before, the message is the card from now on."""
    alone = all(image.state is not State.DELIVERED for image in generation.images)
    for image in kept_images(generation):
        if image.position in positions:
            separate = result.separate.get(image.position)
            records.move(
                tx,
                image,
                State.DELIVERED,
                fence=generation.fence,
                why=f"asked for in /history, posted at {result.place}",
                attachment_id=result.attachments.get(image.position),
                file_name=result.file_names.get(image.position),
                separate_channel_id=None if separate is None else separate.channel_id,
                separate_message_id=None if separate is None else separate.message_id,
            )
    if alone and result.message_id is not None:
        channel_id = result.channel_id or home.channel_id
        moved = channel_id != home.channel_id  # into the direct messages
        place = replace(home, channel_id=channel_id, guild_id=None if moved else home.guild_id)
        history.set_home(tx, generation, message_id=result.message_id, home=place)


def clean_words(text: str) -> str:
    """Return the words to search for as one line of at most WORDS_MAX UTF-16 units that any database takes."""
    kept = ""
    for character in " ".join(storable(text).split()):
        if len((kept + character).encode("utf-16-le")) > 2 * WORDS_MAX:
            break
        kept += character
    return kept.strip()


def kept_images(generation: Generation) -> list[Image]:
    """Return the images that were paid for and had no place to be posted."""
    return [image for image in generation.images if image.state is State.UNDELIVERED]
