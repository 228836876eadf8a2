"""Fresh addresses of images that stand on cards. Those that Discord's CDN gives out expire, so the card is asked for.

Only where the bot itself can see the card: not what only one person sees, and not where a person brought the bot along.
Knows one page at a time; must not know the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from generations.archive import Page
from generations.clock import Clock
from generations.model import CardLink, Generation, State
from ui.faults import NO_ANSWER, UNKNOWN_MESSAGE
from ui.patience import done_within

log = logging.getLogger("qwen_imagine.history")

FETCH_SECONDS = 5.0  # for all cards of a page together
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

    async def find(self, page: Page) -> Seen:
        """What can be learned in time. Never raises; what is late goes on and is ignored."""
        wanted = [(generation, link) for generation in page.generations if (link := _visible(page, generation))]
        if not wanted:
            return Seen({}, frozenset())
        urls: dict[int, Sequence[str]] = {}
        gone: set[int] = set()

        async def ask(generation: Generation, link: CardLink) -> None:
            found = await self._ask(generation, link)
            if found is None:
                gone.add(generation.id)
            else:
                urls[generation.id] = found

        asking = asyncio.gather(*(ask(*one) for one in wanted))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        await done_within(asking, FETCH_SECONDS, self._clock)
        return Seen({key: value for key, value in urls.items() if value}, frozenset(gone))

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
