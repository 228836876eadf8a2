"""Shows generations on Discord, in order: one owner for each card, progress that gives way, news that arrive.

Edits of one message never overlap and are never cancelled halfway: cancelling one that waits for its rate limit leaves
discord.py 2.7.1's lock on that interaction taken for ever (webhook/async_.py, AsyncDeferredLock). Progress waits in a
slot that holds the newest only; news go first. What another process has overtaken is not shown (Freshness). Must not
know the database, nor where a card can stand (ui/delivery/channels).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import discord

from discord_api.snowflakes import snowflake_time_ms
from generations.clock import Clock
from generations.delivery_result import DeliveryResult
from generations.errors import DeliveryDelayed, LostClaim
from generations.model import Generation, Progress
from generations.poll_schedule import backoff_seconds
from generations.ports import FollowUps, StaleEditGuard
from generations.token_only_channels import TokenOnlyChannels
from images.image_memory import ImageMemory
from images.reencoder import Reencoder
from observability.repeats import REPEATS
from qwen.images import FoundImage
from store.errors import DatabaseLost
from ui.delivery.card_state import Memory
from ui.delivery.channels import Places
from ui.delivery.fallback import Fallback
from ui.delivery.fitting import ImageFitter
from ui.delivery.progress_interval import PROGRESS_AGE_MS, progress_gap_seconds
from ui.delivery.rate_guard import RateGuard
from ui.views.cards import CardButtons

log = logging.getLogger("qwen_imagine.delivery")

DRAIN_SECONDS = 5.0
CARDS_REMEMBERED = 1000  # idle cards whose memory is kept; all of it can be learned again

T = TypeVar("T")


@dataclass(slots=True)
class _Card:
    """The one owner of a card in this process."""

    generation_id: int
    memory: Memory = field(default_factory=Memory)
    editing: asyncio.Lock = field(default_factory=asyncio.Lock)  # held around every call that changes the card
    slot: tuple[Generation, Progress] | None = None  # the newest progress that is not shown yet
    latest: tuple[Generation, Progress] | None = None  # the newest at all, for the last word; none when that is said
    owner: asyncio.Task[None] | None = None  # shows what is in the slot; none while it is empty
    nap: asyncio.Task[None] | None = None  # the owner's wait between two progress edits
    shows: int = 0  # news on their way
    revision: int = -1  # the newest that was shown as news
    over: bool = False  # finished, or out of reach: no more progress
    edited_at: float = float("-inf")  # by the monotonic clock
    delays: int = 0  # shows in a row that Discord could not take
    sent: list[dict[str, Any]] | None = None  # the components that stand on Discord, as far as is known

    @property
    def idle(self) -> bool:
        return self.owner is None and not self.shows

    def drop_progress(self) -> None:
        """Forget the waiting progress, and wake its owner, which then ends."""
        self.slot = None
        self.wake()

    def wake(self) -> None:
        """Have the owner look again at what is to be done."""
        if self.nap is not None:
            self.nap.cancel()

    def take_progress(self) -> tuple[Generation, Progress] | None:
        """The waiting progress, if it would not take the card back to something older. The slot is empty then."""
        waiting, self.slot = self.slot, None
        return waiting if waiting is not None and self.takes(waiting[0]) else None

    def takes(self, generation: Generation) -> bool:
        """Whether *generation* is at least as new as what the card says, and the card still shows progress."""
        return not self.over and generation.revision >= self.revision


class DiscordDelivery:
    """generations.ports.Delivery over Discord's REST API. Needs a client that is logged in, not one that is connected.

    *follow_ups*: notes each message by an interaction's token in the row; None: only this process knows of them.
    *buttons*: those under a card. *stale_edit_guard*: asked before each edit whether another process has gone on; None:
    there is no other process. *token_margin_seconds*: how long before its end an interaction's token is no longer used.
    *rng* spreads what an outage has put off. *images*: the budget that re-encoding takes its memory from.
    """

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        stale_edit_guard: StaleEditGuard | None = None,
        token_only: TokenOnlyChannels | None = None,
        follow_ups: FollowUps | None = None,
        *,
        buttons: CardButtons,
        token_margin_seconds: float = 60.0,
        rng: random.Random | None = None,
        images: ImageMemory | None = None,
    ) -> None:
        self._clock = clock
        self._stale_edit_guard = stale_edit_guard
        self._rng = rng or random.Random(0)  # noqa: S311 (spreads pauses; no secret depends on it)
        channels = token_only or TokenOnlyChannels(clock)
        self._places = Places(client, clock, channels, token_margin_seconds=token_margin_seconds)
        fitter = ImageFitter(Reencoder(images))
        self._fallback = Fallback(self._places, RateGuard(clock), fitter, buttons, follow_ups)
        self._cards: OrderedDict[int, _Card] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._draining = False

    def publish_progress(self, generation: Generation, progress: Progress) -> None:
        """Show how it goes, some time soon. Never waits, never raises; a newer one replaces it."""
        card = self._card(generation.id)
        if self._draining or generation.message_id is None or not card.takes(generation):
            return
        card.slot = card.latest = (generation, progress)
        card.wake()
        self._see_to(card)

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        """Show news, before any progress that waits. Goes on to its end even when the caller is cancelled.

        Raises DeliveryDelayed when Discord can't take it now, for longer and longer (5 s to a minute, or as long as
        Discord asks), and LostClaim when another process has it by now.
        """
        card = self._card(generation.id)
        card.drop_progress()
        card.shows += 1
        return await asyncio.shield(self._start(self._show(card, generation, progress, image_files)))

    def publish_delay_seconds(self, generation: Generation) -> float:
        """How long its images can't be shown yet, as far as is known; 0: they may be fetched, and then shown.

        Makes no call. Counts as a show that is put off, for longer and longer (see show).
        """
        card = self._card(generation.id)
        seconds = self._fallback.preparing_seconds(card.memory, generation)
        return self._put_off(card, seconds) if seconds > 0 else 0.0

    async def find_card(self, generation: Generation) -> int | None:
        """The id of the card of a generation that was never confirmed as answered; None: Discord has none.

        Raises DeliveryDelayed when Discord can't say now.
        """
        return await asyncio.shield(self._start(self._fallback.find_card(generation)))

    def forget(self, generation_id: int) -> None:
        """The card is about to stand somewhere else: what was learned of the old one is of no use."""
        card = self._cards.get(generation_id)
        if card is not None and card.idle:
            del self._cards[generation_id]

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take no more progress and wait for the calls that are under way; rows say what is left to show.

        In an outage discord.py goes on trying for half a minute: *seconds* are waited at most, and the log says how
        many calls were cut off.
        """
        self._draining = True
        for card in self._cards.values():
            card.drop_progress()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        if self._tasks:
            log.warning("stopping: %d shows cut off after %.0f s; rows say what is left", len(self._tasks), seconds)

    def _card(self, generation_id: int) -> _Card:
        card = self._cards.setdefault(generation_id, _Card(generation_id))
        self._cards.move_to_end(generation_id)
        return card

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* as a task of our own, which nobody's cancellation reaches."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DeliveryDelayed | LostClaim | DatabaseLost):
            log.error("a show ended by a fault of our own", exc_info=error, extra=REPEATS)

    async def _show(
        self, card: _Card, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        try:
            async with card.editing:
                if not await self._is_current(generation):
                    raise LostClaim(generation.id)
                card.revision = max(card.revision, generation.revision)
                card.sent = None
                result = await self._fallback.publish(card.memory, generation, progress, image_files)
                card.edited_at = self._clock.monotonic()
                card.over = card.over or generation.finished
                card.delays = 0
                card.latest = None if card.over else (generation, progress)
                card.wake()
                self._see_to(card)
                return result
        except DeliveryDelayed as delayed:
            raise DeliveryDelayed(self._put_off(card, delayed.retry_after_seconds)) from None
        finally:
            card.shows -= 1
            self._forget_idle()

    def _put_off(self, card: _Card, seconds: float) -> float:
        """Seconds until its next show: at least *seconds*, and more with each one that is put off."""
        card.delays += 1
        return max(backoff_seconds(card.delays, self._rng.random()), seconds)

    def _see_to(self, card: _Card) -> None:
        if card.owner is None and self._seconds_to_edit(card) is not None:
            card.owner = self._start(self._own(card))

    async def _own(self, card: _Card) -> None:
        """Show the progress of one card until there is none waiting, and no last word to be said."""
        try:
            while (wait := self._seconds_to_edit(card)) is not None:
                if wait > 0:
                    await self._rest(card, wait)
                    continue
                async with card.editing:
                    waiting = card.take_progress()
                    if waiting is not None and await self._is_current(waiting[0]):
                        await self._edit_progress(card, *waiting)
        except DatabaseLost as lost:  # the next look at the rows brings the next progress
            log.info("generation %s: no progress shown: %s", card.generation_id, lost)
        finally:
            card.owner = None
            self._forget_idle()

    def _seconds_to_edit(self, card: _Card) -> float | None:
        """Until its progress is to be shown; None: there is none. At the time of the last word there always is."""
        if self._draining or card.over:
            return None
        due_in = None
        if card.latest is not None:
            at_ms = self._places.last_word_at_ms(card.memory, card.latest[0])
            if at_ms is None:
                card.latest = None
            elif at_ms > self._clock.now_ms():
                due_in = (at_ms - self._clock.now_ms()) / 1000
            else:
                card.slot = card.slot or card.latest
                card.latest = None
        if card.slot is None:
            return due_in
        generation = card.slot[0]
        hurry = self._places.is_leaving(card.memory, generation) or self._places.is_unsure(card.memory, generation)
        age_ms = 0 if hurry else self._clock.now_ms() - snowflake_time_ms(generation.message_id or 0)
        gap = card.edited_at + progress_gap_seconds(age_ms) - self._clock.monotonic()
        return max(0.0, gap if due_in is None else min(gap, due_in))

    async def _rest(self, card: _Card, seconds: float) -> None:
        """Sleep in a task that drop_progress may cancel, which never touches an edit."""
        card.nap = asyncio.ensure_future(self._clock.sleep(seconds))
        await asyncio.wait({card.nap})
        card.nap = None

    async def _edit_progress(self, card: _Card, generation: Generation, progress: Progress) -> None:
        if self._clock.now_ms() - snowflake_time_ms(generation.message_id or 0) > PROGRESS_AGE_MS:
            card.over = True
            return
        if self._places.is_unsure(card.memory, generation):
            card.edited_at = self._clock.monotonic()
            if not await self._fallback.try_as_bot(card.memory, generation, progress):
                card.slot = card.slot or (generation, progress)  # again, as long as the token lives
        payload = self._fallback.payload(card.memory, generation, progress, {})
        components = payload.view().to_components()
        if components == card.sent:
            return
        card.sent = None
        try:
            message = await self._fallback.edit(card.memory, payload, is_progress=True)
        except DeliveryDelayed as delayed:
            log.info("generation %s: no progress shown: %s", generation.id, delayed)
            if payload.leaving:  # the last word is tried again as long as the token lives
                card.slot = card.slot or (generation, progress)
        else:
            card.sent = components
            card.over = message is None  # nothing reaches the card; news will look for another place
        card.edited_at = self._clock.monotonic()
        if self._stale_edit_guard is not None:
            attachment_ids = {} if payload.leaves_list else payload.attachment_ids
            await self._stale_edit_guard.was_published(generation, attachment_ids)

    async def _is_current(self, generation: Generation) -> bool:
        return self._stale_edit_guard is None or await self._stale_edit_guard.is_current(generation)

    def _forget_idle(self) -> None:
        """Keep the memory of the cards that were used last."""
        surplus = len(self._cards) - CARDS_REMEMBERED
        if surplus > 0:
            for generation_id in [key for key, card in self._cards.items() if card.idle][:surplus]:
                del self._cards[generation_id]
