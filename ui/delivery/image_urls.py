"""Fetch the cards of a page of /history for fresh addresses of their images: those of Discord's CDN expire.

Only cards that the bot's own token can see: no private ones, and none where the bot is no member. Knows no database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import discord

from discord_api.errors import NO_ANSWER, UNKNOWN_MESSAGE
from discord_api.errors import asking as asking_discord
from generations.clock import Clock, done_within
from generations.history import Page
from generations.model import CardLink, Generation, State
from observability.repeats import REPEATS
from ui.delivery.payload import gallery_media

log = logging.getLogger("qwen_imagine.history")

EARLY_SECONDS = 1.0  # what is found by then is yielded at once
FETCH_SECONDS = 6.0  # for all cards of a page; Discord limits how often a channel's messages are fetched
VIEWERS_MAX = 1000
UNKNOWN_CHANNEL = 10003  # Discord docs: Opcodes and Status Codes, "JSON"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cards of a page hold now. *urls*: by generation id; *gone*: generations whose card was deleted;
    *refused*: those whose card the bot may not fetch."""

    urls: Mapping[int, Sequence[str]]
    gone: frozenset[int]
    refused: frozenset[int] = frozenset()

    @property
    def cards(self) -> int:
        """Return of how many cards anything is known."""
        return len(self.urls) + len(self.gone) + len(self.refused)


class Fault(Enum):
    """Why a card's images will not be found by another try."""

    GONE = "gone"
    REFUSED = "refused"  # the bot lacks Read Message History there, or can't see the channel


class Thumbnails:
    """Fetch the cards of a page concurrently, within FETCH_SECONDS."""

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._asking: set[asyncio.Future[Any]] = set()
        self._turns: dict[int, int] = {}  # viewer -> number of their newest page, while its cards are fetched
        self._turned = 0

    def turned(self, viewer: int) -> int:
        """Return the number of a new page for *viewer*, which ends find() for their last one."""
        self._turned += 1
        self._turns.pop(viewer, None)
        self._turns[viewer] = self._turned
        while len(self._turns) > VIEWERS_MAX:
            del self._turns[next(iter(self._turns))]
        return self._turned

    async def find(self, page: Page, viewer: int, turn: int, without_history: int | None = None) -> AsyncIterator[Seen]:
        """Yield what is found within EARLY_SECONDS, and, if there is more, all that is found within FETCH_SECONDS.

        *turn*: from turned(), for this page. *without_history*: a channel whose messages the bot may not fetch. Never
        raises; calls that take longer go on and are ignored, and a fault of ours is logged.
        """
        wanted = [(generation, link) for generation in page.generations if (link := _visible(page, generation))]
        if not wanted:
            return
        urls: dict[int, Sequence[str]] = {}
        faults: dict[int, Fault] = {}

        async def ask(generation: Generation, link: CardLink) -> None:
            refused = link.channel_id == without_history
            found = Fault.REFUSED if refused else await self._ask(generation, link)
            if isinstance(found, Fault):
                faults[generation.id] = found
            elif found:
                urls[generation.id] = found

        asking = asyncio.gather(*(ask(*one) for one in wanted), return_exceptions=True)
        self._asking.add(asking)
        asking.add_done_callback(self._ended)
        known = 0
        for seconds in (EARLY_SECONDS, FETCH_SECONDS - EARLY_SECONDS):
            done = await done_within(asking, seconds, self._clock)
            if self._turns.get(viewer) != turn:
                return
            seen = Seen(dict(urls), _those(faults, Fault.GONE), _those(faults, Fault.REFUSED))
            if seen.cards > known:
                known = seen.cards
                yield seen
            if done:
                break
        self._turns.pop(viewer, None)

    async def find_one(self, generation: Generation, link: CardLink) -> Sequence[str]:
        """Return the addresses of the images on one card; empty: Discord does not say."""
        found = await self._ask(generation, link)
        return () if isinstance(found, Fault) else found

    def _ended(self, asking: asyncio.Future[list[BaseException | None]]) -> None:
        """Log the exceptions of a fetch that find() no longer waits for."""
        self._asking.discard(asking)
        for error in () if asking.cancelled() else asking.result():
            if error is not None and not isinstance(error, asyncio.CancelledError):
                log.error("a card's images could not be looked for", exc_info=error, extra=REPEATS)

    async def _ask(self, generation: Generation, link: CardLink) -> Sequence[str] | Fault:
        """Return the addresses of a card's images; empty: Discord does not say."""
        place = self._client.get_partial_messageable(link.channel_id, guild_id=link.guild_id)
        try:
            with asking_discord(self._client):
                message = await place.fetch_message(link.message_id)
        except discord.HTTPException as error:
            if error.code in (UNKNOWN_MESSAGE, UNKNOWN_CHANNEL):
                return Fault.GONE
            said = "generation %s: its card can't be seen: %s, %s"
            log.info(said, generation.id, error.status, error.code, extra=REPEATS)
            return Fault.REFUSED if error.status == 403 and error.code else ()
        except NO_ANSWER as error:
            log.info(
                "generation %s: its card can't be asked for (%s)", generation.id, type(error).__name__, extra=REPEATS
            )
            return ()
        attached = [file.url for file in message.attachments if (file.content_type or "").startswith("image/")]
        return [item.url for item in gallery_media(message.components)] or attached


def _those(faults: Mapping[int, Fault], fault: Fault) -> frozenset[int]:
    return frozenset(generation_id for generation_id, each in faults.items() if each is fault)


def _visible(page: Page, generation: Generation) -> CardLink | None:
    """Return the link to a card with images that the bot's own token can see; None: there is none."""
    if not any(image.state is State.DELIVERED for image in generation.images):
        return None
    return page.link(generation) if generation.bot_reaches(generation.current_channel_id) else None
