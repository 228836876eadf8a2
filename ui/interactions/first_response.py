"""Accept a request and send its card as the first response to the interaction.

In every case either the card stands, or the request is undone, or its outcome is unknown and the worker asks Discord
for the card later. Never retries: Discord waits three seconds. Must not know SQL.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import discord

from credits.errors import CreditsError
from discord_api.errors import described
from generations.clock import Clock, done_within
from generations.errors import GenerationError
from generations.model import Generation, Origin, Progress, Request
from generations.ports import Delivery
from generations.service import Accepted, Generations
from generations.token_only_channels import TokenOnlyChannels
from limits.errors import AgeRestrictedOnly, LimitError
from limits.model import Requester
from reports.errors import ReportError
from ui.delivery.channel_lookup import ChannelLookup
from ui.interactions.errors import (
    ALREADY_ACKNOWLEDGED,
    NOBODY,
    CardRefused,
    Refusal,
    RequestFailed,
    defer,
    is_unanswerable,
)
from ui.interactions.origin import ANSWER_SECONDS, is_late, may_bot_post, origin_of, requester_of
from ui.interactions.responses import DEFER_AFTER_SECONDS
from ui.views.cards import CardButtons, build_card

log = logging.getLogger("qwen_imagine.first_response")

ProgressOf = Callable[[Accepted], Progress]
FindRequest = Callable[[], Awaitable[Request]]
Callback = Awaitable[discord.InteractionCallbackResponse[Any] | None]

# No connection was made, so nothing was sent: refused, no route, no such name.
_NEVER_SENT = frozenset(
    {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, socket.EAI_AGAIN, socket.EAI_NONAME}
)


class Outcome(Enum):
    """What became of a first response."""

    TAKEN = "taken"
    REFUSED = "refused"  # surely: Discord has not taken it and will not
    UNKNOWN = "unknown"  # or another handler of the same event has responded


@dataclass(frozen=True, slots=True)
class SentResponse:
    """A first response that was sent. *message_id* is known only when Discord took it."""

    outcome: Outcome
    message_id: int | None = None
    error: BaseException | None = None


class FirstResponse:
    """Accepts requests. *progress_of*: builds the progress for the first card; *buttons*: builds those under it.

    *channels*: tells of the parents of threads; None: they count as not age-restricted.
    """

    def __init__(
        self,
        generations: Generations,
        delivery: Delivery,
        clock: Clock,
        progress_of: ProgressOf,
        token_only: TokenOnlyChannels | None = None,
        *,
        buttons: CardButtons,
        channels: ChannelLookup | None = None,
    ) -> None:
        self._generations = generations
        self._delivery = delivery
        self._clock = clock
        self._progress_of = progress_of
        self._buttons = buttons
        self._channels = channels
        self._token_only = token_only or TokenOnlyChannels(clock)
        self._unfinished: set[asyncio.Future[Any]] = set()

    async def respond(self, interaction: discord.Interaction, request: Request) -> None:
        """Accept *request* and send its card, within a second or after a "thinking…".

        Raises GenerationError, CreditsError, LimitError, RequestFailed and CardRefused; no card
        stands after each of them.
        """

        async def find() -> Request:
            return request

        await self.respond_when_found(interaction, find, private=request.private)

    async def respond_when_found(self, interaction: discord.Interaction, find: FindRequest, *, private: bool) -> None:
        """Do the same for a request that must be loaded first. *find* is called once.

        *private*: whether a "thinking…" is for the person alone. Raises also what *find* raises.
        """
        began = self._clock.monotonic()
        sent: SentResponse | None = None
        if is_late(interaction.id, self._clock.now_ms()):
            # Replayed or delayed. Discord's clock decides: hold nothing unless it still takes a response.
            sent = await self._send(defer(interaction, private=private), ANSWER_SECONDS)
            if sent.outcome is not Outcome.TAKEN:
                log.info("interaction %s came too late, nothing was done", interaction.id)
                return
        origin, requester = origin_of(interaction), requester_of(interaction)
        accepting = asyncio.ensure_future(self._accept(find, origin, requester, bot_may_post=may_bot_post(interaction)))
        if sent is None and not await done_within(accepting, DEFER_AFTER_SECONDS, self._clock):
            sent = await self._send(defer(interaction, private=private), self._seconds_left(began))
        generation, progress, card = await self._accepted(accepting, origin)
        if sent is None:
            ephemeral = generation.request.private
            sending = interaction.response.send_message(view=card, ephemeral=ephemeral, allowed_mentions=NOBODY)
            sent = await self._send(sending, self._seconds_left(began))
            await self._record(generation, sent)
        elif await self._record(generation, sent):
            self._delivery.publish_progress(replace(generation, message_id=sent.message_id), progress)

    def _seconds_left(self, began: float) -> float:
        return ANSWER_SECONDS - (self._clock.monotonic() - began)

    # -- the request -------------------------------------------------------------------------------------------

    async def _accept(
        self, find: FindRequest, origin: Origin, requester: Requester, *, bot_may_post: bool
    ) -> tuple[Generation, Progress, discord.ui.LayoutView]:
        request = await find()
        corrected = await self._token_only.corrected(origin, bot_may_post=bot_may_post)
        try:
            accepted = await self._generations.request(request, corrected, requester)
        except AgeRestrictedOnly:
            if not await self._is_parent_age_restricted(requester):
                raise
            accepted = await self._generations.request(request, corrected, replace(requester, age_restricted=True))
        generation, progress = accepted.generation, self._progress_of(accepted)
        return generation, progress, build_card(generation, progress, attached={}, buttons=self._buttons)

    async def _is_parent_age_restricted(self, requester: Requester) -> bool:
        """Whether the place is a thread in an age-restricted channel, about which the event says nothing."""
        if self._channels is None or requester.parent_channel_id is None:
            return False
        parent = await self._channels.find(requester.parent_channel_id)
        return parent is not None and parent.age_restricted

    async def _accepted(
        self, accepting: asyncio.Future[tuple[Generation, Progress, discord.ui.LayoutView]], origin: Origin
    ) -> tuple[Generation, Progress, discord.ui.LayoutView]:
        """Return what was accepted, or raise the reason why not. After a fault of the bot the request is undone."""
        await asyncio.wait({accepting})
        error = accepting.exception()
        if error is None or isinstance(error, GenerationError | CreditsError | LimitError | ReportError | Refusal):
            return accepting.result()
        # Another handler of the same event may have accepted it, and its card may stand.
        raise RequestFailed(nothing_held=await self._undo(origin.interaction_id, card=True)) from error

    async def _undo(self, generation_id: int, *, card: bool) -> bool:
        """Return the credits, if any are held. Return whether that is sure; if not, it goes on or the worker does it.

        *card*: as for Generations.abandon.
        """
        undoing = asyncio.ensure_future(self._generations.abandon(generation_id, card=card))
        if not await done_within(undoing, DEFER_AFTER_SECONDS, self._clock):
            self._unfinished.add(undoing)
            undoing.add_done_callback(self._undone)
            return False
        return self._undone(undoing)

    def _undone(self, undoing: asyncio.Future[None]) -> bool:
        self._unfinished.discard(undoing)
        error = None if undoing.cancelled() else undoing.exception()
        if error is not None:
            log.error("a request could not be undone, the worker will do it: %s", described(error))
        return error is None and not undoing.cancelled()

    # -- the response ------------------------------------------------------------------------------------------

    async def _send(self, callback: Callback, left_seconds: float) -> SentResponse:
        """Await *callback* for *left_seconds* and return its outcome. discord.py would retry a 5xx for 25 s."""
        sending = asyncio.ensure_future(callback)
        if not await done_within(sending, left_seconds, self._clock):
            sending.cancel()  # safe here: the lock that discord.py leaves taken is used by this one call alone
            return SentResponse(Outcome.UNKNOWN)
        error = sending.exception()
        if error is not None:
            return SentResponse(Outcome.REFUSED if is_surely_refused(error) else Outcome.UNKNOWN, error=error)
        response = sending.result()
        return SentResponse(Outcome.TAKEN, response.message_id if response is not None else None)

    async def _record(self, generation: Generation, sent: SentResponse) -> bool:
        """Write the outcome into the rows. Return whether the card stands and its id is known."""
        if sent.outcome is Outcome.REFUSED:
            nothing_held = await self._undo(generation.id, card=False)
            if isinstance(sent.error, discord.HTTPException) and is_unanswerable(sent.error):
                log.info("generation %s: Discord took no response any more (%s)", generation.id, sent.error.code)
                return False
            raise CardRefused(nothing_held=nothing_held) from sent.error
        if sent.outcome is Outcome.UNKNOWN or sent.message_id is None:
            reason = described(sent.error) if sent.error is not None else "no response in time"
            log.info("generation %s: the card is not confirmed, the worker will ask for it (%s)", generation.id, reason)
            return False
        confirming = self._generations.confirm_card(generation.id, sent.message_id)
        (error,) = await asyncio.gather(confirming, return_exceptions=True)
        if error is not None:
            log.error("generation %s: the worker will ask for its card: %s", generation.id, described(error))
            return False
        took_ms = self._clock.now_ms() - generation.created_at_ms
        log.info("generation %s: card %s stands after %d ms", generation.id, sent.message_id, took_ms)
        return True


def is_surely_refused(error: BaseException) -> bool:
    """Return whether Discord surely has not taken the response. 40060 is no refusal: another handler's stands."""
    if isinstance(error, discord.HTTPException):
        return 400 <= error.status < 500 and error.code != ALREADY_ACKNOWLEDGED
    return isinstance(error, OSError) and error.errno in _NEVER_SENT
