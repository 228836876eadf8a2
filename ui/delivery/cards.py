"""Show generations on Discord: one CardEditor per card makes all edits of it, results before progress.

Edits of one message never overlap and are never cancelled halfway: cancelling one that waits for its rate limit leaves
discord.py 2.7.1's lock on that interaction taken for ever (webhook/async_.py, AsyncDeferredLock). What another process
has overtaken is not shown (generations.ports.StaleEditGuard). Knows no database, and not where a card can stand
(ui/delivery/channels).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import discord

from discord_api.errors import is_logged_in
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
from observability.correlation import set_generation
from observability.repeats import REPEATS
from qwen.images import FoundImage
from store.errors import DatabaseLost
from ui.delivery.card_state import CardState
from ui.delivery.channels import Places
from ui.delivery.fallback import Fallback
from ui.delivery.fitting import ImageFitter
from ui.delivery.progress_interval import PROGRESS_AGE_MS, Words, progress_gap_seconds, words_of
from ui.delivery.rate_guard import RateGuard
from ui.views.cards import CardButtons

log = logging.getLogger("qwen_imagine.delivery")

DRAIN_SECONDS = 5.0
CARDS_REMEMBERED = 1000  # cards whose editor is kept; what it knows can be learned again

T = TypeVar("T")


class Start(Protocol):
    """Run *work* as a task that the cancellation of a caller does not reach."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]: ...


@dataclass(slots=True)
class EditorContext:
    """What the editors of all cards share. See DiscordDelivery for the parameters."""

    clock: Clock
    rng: random.Random
    places: Places
    fallback: Fallback
    stale_edit_guard: StaleEditGuard | None
    start: Start
    draining: bool = False  # no more progress is shown


class CardEditor:
    """Make all edits of one card in this process, one at a time.

    Progress waits in a slot that holds the newest only; a task shows it, not more often than progress_gap_seconds()
    allows. publish() takes what waits out of the slot.
    """

    def __init__(self, generation_id: int, context: EditorContext) -> None:
        self.task: asyncio.Task[None] | None = None  # runs _run(); None while no progress and no last word is due
        self._generation_id = generation_id
        self._context = context
        self._state = CardState()
        self._editing = asyncio.Lock()  # held around every call that changes the card
        self._slot: tuple[Generation, Progress] | None = None  # the newest progress that is not shown yet
        self._latest: tuple[Generation, Progress] | None = None  # the newest known, for the last word; None afterwards
        self._sleep: asyncio.Future[None] | None = None  # the pause of the task between two progress edits
        self._publishing = 0  # calls of publish() that have not ended
        self._revision = -1  # the newest that publish() has shown
        self._ended = False  # finished, or out of reach: no more progress
        self._edited_at = float("-inf")  # seconds of the monotonic clock
        self._delays = 0  # calls of publish() in a row that Discord could not take
        self._components: list[dict[str, Any]] | None = None  # those on Discord now; None: not known
        self._words: Words | None = None  # of the progress on Discord now

    @property
    def idle(self) -> bool:
        return self.task is None and not self._publishing

    def publish_progress(self, generation: Generation, progress: Progress) -> None:
        """Show *progress* soon, in place of any that still waits; nothing if it is older than what the card shows."""
        if not self._takes(generation):
            return
        self._slot = self._latest = (generation, progress)
        self._wake()
        self._ensure_task()

    def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> asyncio.Task[DeliveryResult]:
        """Start to publish, before any progress that waits. The task raises as DiscordDelivery.publish does."""
        self.drop_progress()
        self._publishing += 1
        return self._context.start(self._publish(generation, progress, image_files))

    def publish_delay_seconds(self, generation: Generation) -> float:
        """See DiscordDelivery."""
        seconds = self._context.fallback.preparing_seconds(self._state, generation)
        return self._next_delay_seconds(seconds) if seconds > 0 else 0.0

    def drop_progress(self) -> None:
        """Forget the progress that waits, and end the task if there is nothing else for it to do."""
        self._slot = None
        self._wake()

    async def _publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        try:
            async with self._editing:
                if not await self._is_current(generation):
                    raise LostClaim(generation.id)
                self._revision = max(self._revision, generation.revision)
                self._components = self._words = None
                result = await self._context.fallback.publish(self._state, generation, progress, image_files)
                self._edited_at = self._context.clock.monotonic()
                self._ended = self._ended or generation.finished
                self._delays = 0
                self._latest = None if self._ended else (generation, progress)
                self._wake()
                self._ensure_task()
                return result
        except DeliveryDelayed as delayed:
            raise DeliveryDelayed(self._next_delay_seconds(delayed.retry_after_seconds)) from None
        finally:
            self._publishing -= 1

    def _next_delay_seconds(self, seconds: float) -> float:
        """Count a delay, and return how long to wait: at least *seconds*, and longer with each delay in a row."""
        self._delays += 1
        return max(backoff_seconds(self._delays, self._context.rng.random()), seconds)

    def _ensure_task(self) -> None:
        if self.task is None and self._seconds_to_edit() is not None:
            self.task = self._context.start(self._run())

    async def _run(self) -> None:
        """Show progress until none waits and no last word is to come."""
        try:
            while (wait := self._seconds_to_edit()) is not None:
                if wait > 0:
                    await self._pause(wait)
                    continue
                async with self._editing:
                    waiting = self._take_progress()
                    if waiting is not None:
                        await self._edit_progress(*waiting)
        except DatabaseLost as lost:  # the worker's next step brings the next progress
            log.info("generation %s: no progress shown: %s", self._generation_id, lost, extra=REPEATS)
        finally:
            self.task = None

    def _seconds_to_edit(self) -> float | None:
        """Return how long until progress or the last word is to be shown; None: neither is to come.

        When the last word is due, the latest progress is put into an empty slot.
        """
        clock, places = self._context.clock, self._context.places
        if self._context.draining or self._ended:
            return None
        due_in = None
        if self._latest is not None:
            at_ms = places.last_word_at_ms(self._state, self._latest[0])
            if at_ms is None:
                self._latest = None
            elif at_ms > clock.now_ms():
                due_in = (at_ms - clock.now_ms()) / 1000
            else:
                self._slot = self._slot or self._latest
                self._latest = None
        if self._slot is None:
            return due_in
        generation = self._slot[0]
        is_urgent = places.is_last_word_due(self._state, generation) or places.is_bot_untried(self._state, generation)
        age_ms = 0 if is_urgent else clock.now_ms() - snowflake_time_ms(generation.message_id or 0)
        words = words_of(*self._slot)
        same_words = not is_urgent and words.same_as(self._words)
        gap = self._edited_at + progress_gap_seconds(age_ms, same_words=same_words) - clock.monotonic()
        wait = max(0.0, gap)
        if same_words and words.is_expected_soon(clock.now_ms() + wait * 1000):
            return due_in
        return wait if due_in is None else min(wait, due_in)

    async def _pause(self, seconds: float) -> None:
        """Sleep until _wake() or for *seconds*. Only the sleep is ever cancelled, never an edit."""
        self._sleep = asyncio.ensure_future(self._context.clock.sleep(seconds))
        await asyncio.wait({self._sleep})
        self._sleep = None

    def _wake(self) -> None:
        """End the task's pause, so that it asks again what is to be shown."""
        if self._sleep is not None:
            self._sleep.cancel()

    def _take_progress(self) -> tuple[Generation, Progress] | None:
        """Empty the slot and return its progress, unless that is older than what the card shows."""
        waiting, self._slot = self._slot, None
        return waiting if waiting is not None and self._takes(waiting[0]) else None

    def _takes(self, generation: Generation) -> bool:
        """Whether *generation* is at least as new as what the card says, and the card still shows progress."""
        return not self._ended and generation.revision >= self._revision

    async def _edit_progress(self, generation: Generation, progress: Progress) -> None:
        """Edit the card, if it would change, can be reached, and nobody has gone on meanwhile: asked in this order, for
        the last is a question to the database."""
        set_generation(generation.id, generation.origin.user_id, generation.origin.guild_id)
        clock, fallback, places = self._context.clock, self._context.fallback, self._context.places
        is_old = clock.now_ms() - snowflake_time_ms(generation.message_id or 0) > PROGRESS_AGE_MS
        if is_old or next(places.ways(self._state, generation), None) is None:
            self._ended = True
            return
        is_bot_untried = places.is_bot_untried(self._state, generation)
        payload = fallback.payload(self._state, generation, progress, {})
        components = payload.view().to_components()
        if components == self._components and not is_bot_untried:
            return
        if not await self._is_current(generation):
            return
        if is_bot_untried:
            self._edited_at = clock.monotonic()
            if not await fallback.try_as_bot(self._state, generation, progress):
                self._slot = self._slot or (generation, progress)  # again, as long as the token lives
            payload = fallback.payload(self._state, generation, progress, {})
            components = payload.view().to_components()
            if components == self._components:
                return
        self._components = self._words = None
        try:
            message = await fallback.edit(self._state, payload, is_progress=True)
        except DeliveryDelayed as delayed:
            log.info("generation %s: no progress shown: %s", generation.id, delayed, extra=REPEATS)
            if payload.last_word:  # the last word is tried again as long as the token lives
                self._slot = self._slot or (generation, progress)
        else:
            self._components, self._words = components, words_of(generation, progress)
            self._ended = message is None  # no way reaches the card; publish() looks for another place
        self._edited_at = clock.monotonic()
        if self._context.stale_edit_guard is not None:
            attachment_ids = {} if payload.leaves_list else payload.attachment_ids
            await self._context.stale_edit_guard.was_published(generation, attachment_ids)

    async def _is_current(self, generation: Generation) -> bool:
        guard = self._context.stale_edit_guard
        return guard is None or await guard.is_current(generation)


class DiscordDelivery:
    """generations.ports.Delivery over Discord's REST API. Before the client's login all waits; it needs no gateway.

    *follow_ups*: notes each message by an interaction's token in the row; None: only this process knows of them.
    *buttons*: those under a card. *stale_edit_guard*: asked before each edit whether another process has gone on; None:
    there is no other process. *token_margin_seconds*: how long before its end an interaction's token is no longer used.
    *rng*: spreads the retries after an outage. *images*: the memory budget of re-encoding.
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
        channels = token_only or TokenOnlyChannels(clock)
        places = Places(client, clock, channels, token_margin_seconds=token_margin_seconds)
        fitter = ImageFitter(Reencoder(images))
        self._rate_guard = RateGuard(clock, partial(is_logged_in, client))
        self._fallback = Fallback(places, self._rate_guard, fitter, buttons, follow_ups, stale_edit_guard)
        rng = rng or random.Random(0)  # noqa: S311 (spreads pauses; no secret depends on it)
        self._context = EditorContext(clock, rng, places, self._fallback, stale_edit_guard, self._start)
        self._editors: OrderedDict[int, CardEditor] = OrderedDict()  # by generation id, least recently used first
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_discord_away(self) -> bool:
        """Whether Discord has not answered the last calls of this process."""
        return self._rate_guard.away

    def publish_progress(self, generation: Generation, progress: Progress) -> None:
        """Show *progress* soon, unless newer progress comes before. Never waits, never raises."""
        editor = self._editor(generation.id)
        if not self._context.draining and generation.message_id is not None:
            editor.publish_progress(generation, progress)

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        """Publish the card and the images, before any progress that waits. Goes on when the caller is cancelled.

        Raises DeliveryDelayed when Discord can't take it now, for longer and longer (5 s to a minute, or as long as
        Discord asks), and LostClaim when another process has it by now.
        """
        return await asyncio.shield(self._editor(generation.id).publish(generation, progress, image_files))

    def publish_delay_seconds(self, generation: Generation) -> float:
        """Return how long its images can't be published yet, as far as is known; 0: download them now and publish.

        Makes no call. A delay counts like one of publish(), so that the next one is longer.
        """
        return self._editor(generation.id).publish_delay_seconds(generation)

    async def find_card(self, generation: Generation) -> int | None:
        """Return the id of the card of a generation that was never confirmed as answered; None: Discord has none.

        Raises DeliveryDelayed when Discord can't say now.
        """
        return await asyncio.shield(self._start(self._fallback.find_card(generation)))

    def forget(self, generation_id: int) -> None:
        """Drop what is known of a card that is about to be posted somewhere else."""
        editor = self._editors.get(generation_id)
        if editor is not None and editor.idle:
            del self._editors[generation_id]

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take no more progress, and wait for the calls that are under way, for *seconds* at most.

        In an outage discord.py repeats a call for half a minute. The log says how many calls were cut off; what they
        were to show is in the rows.
        """
        self._context.draining = True
        for editor in self._editors.values():
            editor.drop_progress()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        if self._tasks:
            log.warning("stopping: %d shows cut off after %.0f s; rows say what is left", len(self._tasks), seconds)

    def _editor(self, generation_id: int) -> CardEditor:
        editor = self._editors.get(generation_id)
        if editor is None:
            editor = self._editors[generation_id] = CardEditor(generation_id, self._context)
        self._editors.move_to_end(generation_id)
        return editor

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* as a task that the cancellation of a caller does not reach."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._forget_idle()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DeliveryDelayed | LostClaim | DatabaseLost):
            log.error("a show ended by a fault of our own", exc_info=error, extra=REPEATS)

    def _forget_idle(self) -> None:
        """Drop the editors that were used least recently, and are idle, above CARDS_REMEMBERED."""
        surplus = len(self._editors) - CARDS_REMEMBERED
        if surplus > 0:
            for generation_id in [key for key, editor in self._editors.items() if editor.idle][:surplus]:
                del self._editors[generation_id]
