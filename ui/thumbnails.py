"""Fresh addresses of images that stand on cards. Those that Discord's CDN gives out expire, so the card is asked for.

Only where the bot itself can see the card: not what only one person sees, and not where a person brought the bot along.
Knows one page at a time; must not know the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from generations.archive import Page
from generations.clock import Clock
from generations.model import CardLink, Generation, State
from ui.faults import NO_ANSWER, UNKNOWN_MESSAGE
from ui.patience import done_within

log = logging.getLogger("qwen_imagine.history")

EARLY_SECONDS = 1.0  # what is found by then is shown at once
FETCH_SECONDS = 6.0  # for all cards of a page; Discord lets a channel's messages be asked for only so often
VIEWERS_MAX = 1000
UNKNOWN_CHANNEL = 10003  # Discord docs: Opcodes and Status Codes, "JSON"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cards of a page hold now. *urls*: by generation id; *gone*: ids of cards that are not there any more."""

    urls: Mapping[int, Sequence[str]]
    gone: frozenset[int]


class Thumbnails:
    """Asks for the cards of a page, side by side and not for long."""

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._asking: set[asyncio.Future[Any]] = set()
        self._turns: dict[int, int] = {}  # viewer -> their newest page, as long as its images are looked for
        self._turned = 0

    def turned(self, viewer: int) -> int:
        """Somebody is about to be shown a page: what is still found for their last one is of no use. Its number."""
        self._turned += 1
        self._turns.pop(viewer, None)
        self._turns[viewer] = self._turned
        while len(self._turns) > VIEWERS_MAX:
            del self._turns[next(iter(self._turns))]
        return self._turned

    async def find(self, page: Page, viewer: int, turn: int) -> AsyncIterator[Seen]:
        """What is found early, if there is more to come, and then all that is found in time; nothing when nothing is.

        *turn*: of turned(), for this page. Never raises; what is late goes on and is ignored.
        """
        wanted = [(generation, link) for generation in page.generations if (link := _visible(page, generation))]
        if not wanted:
            return
        urls: dict[int, Sequence[str]] = {}
        gone: set[int] = set()

        async def ask(generation: Generation, link: CardLink) -> None:
            found = await self._ask(generation, link)
            if found is None:
                gone.add(generation.id)
            elif found:
                urls[generation.id] = found

        asking = asyncio.gather(*(ask(*one) for one in wanted))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        shown = 0
        for seconds in (EARLY_SECONDS, FETCH_SECONDS - EARLY_SECONDS):
            done = await done_within(asking, seconds, self._clock)
            if self._turns.get(viewer) != turn:
                return
            if len(urls) + len(gone) > shown:
                shown = len(urls) + len(gone)
                yield Seen(dict(urls), frozenset(gone))
            if done:
                break
        self._turns.pop(viewer, None)

    async def _ask(self, generation: Generation, link: CardLink) -> Sequence[str] | None:
        """The addresses of a card's images; None: there is no such card; empty: it can't be seen."""
        place = self._client.get_partial_messageable(link.channel_id, guild_id=link.guild_id)
        try:
            message = await place.fetch_message(link.message_id)
        except discord.HTTPException as error:
            if error.code in (UNKNOWN_MESSAGE, UNKNOWN_CHANNEL):
                return None
            log.info("generation %s: its card can't be seen: %s, %s", generation.id, error.status, error.code)
            return ()
        except NO_ANSWER as error:
            log.info("generation %s: its card can't be asked for (%s)", generation.id, type(error).__name__)
            return ()
        attached = [file.url for file in message.attachments if (file.content_type or "").startswith("image/")]
        return [*_media(message.components)] or attached


def _visible(page: Page, generation: Generation) -> CardLink | None:
    """Where the bot can see images of this generation, if it can."""
    if not any(image.state is State.DELIVERED for image in generation.images):
        return None
    is_bot_there = generation.origin.bot_in_channel or generation.card_channel_id is not None
    return page.link(generation) if is_bot_there else None


def _media(components: Sequence[Any]) -> Iterator[str]:
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            yield from (item.media.url for item in component.items)
        else:
            yield from _media(getattr(component, "children", ()))
