"""Make one call for a card under the rate guard, find out what a 5xx means, fetch the ids of images that a response
left out, and have images that are gone from their card posted again.

What a refusal means for a card, and which place comes next, is for ui/delivery/fallback.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import discord

from discord_api.errors import NO_ANSWER, delayed, names_no_cause
from generations.errors import DeliveryDelayed
from generations.model import Generation
from generations.ports import StaleEditGuard
from observability.repeats import REPEATS
from ui.delivery.card_state import CardState
from ui.delivery.channels import Places, Way
from ui.delivery.payload import Payload, has_ids, ids_on
from ui.delivery.rate_guard import RateGuard

log = logging.getLogger("qwen_imagine.delivery")

PAYLOAD_FAILURES = 3  # calls in a row that got a 5xx; discord.py 2.7.1 makes five tries of each, over 25 s


Ask = Callable[[], Awaitable[object] | None]  # a cheap call about the place; None: there is none to make


class PayloadFails(Exception):
    """Discord answers this payload with 5xx, and answers other calls about the card."""


class Calls:
    """Make the calls of all cards, under one rate guard. *stale_edit_guard*: None: no other process edits them."""

    def __init__(self, places: Places, rate_guard: RateGuard, stale_edit_guard: StaleEditGuard | None = None) -> None:
        self._places = places
        self._stale_edit_guard = stale_edit_guard
        self._rate_guard = rate_guard
        self._probing = False
        self._warned = False

    async def make(
        self,
        state: CardState,
        payload: Payload,
        send: Callable[[], Awaitable[discord.Message]],
        *,
        by_token: bool,
        may_probe: bool = True,
        ask: Ask | None = None,
    ) -> discord.Message:
        """Make one call, and return the message. After two 5xx in a row, fetch the card (or call *ask* where the card
        can't be fetched); if Discord answers that, make the call again at once.

        Raises discord.HTTPException, DeliveryDelayed, and PayloadFails for the last of PAYLOAD_FAILURES in a row, if
        Discord answered before and after it: the end of an outage must not be taken for a bad payload.
        """
        card = payload.generation.id
        while True:
            self._rate_guard.check(by_token=by_token)
            try:
                message = await send()
            except discord.HTTPException as error:
                failed = error.status >= 500
                state.failures += failed
                suspect = failed and state.failures > 1 and may_probe
                if not (suspect and await self._is_there(state, payload.generation, ask)):
                    self._rate_guard.refused(error, by_token=by_token, card=card)
                    raise
                self._rate_guard.present()
                log.warning(
                    "generation %s: Discord answers %s to this card, and is there otherwise", card, error.status
                )
                if state.failures >= PAYLOAD_FAILURES and state.seen_there:
                    raise PayloadFails from None
                state.seen_there = True
            except NO_ANSWER as error:
                self._rate_guard.unanswered(error, card=card)
                log.info("generation %s: no answer from Discord (%s)", card, type(error).__name__, extra=REPEATS)
                raise delayed(error) from None
            else:
                self._rate_guard.answered(by_token=by_token)
                state.failures, state.seen_there = 0, False
                return message

    async def with_ids(self, state: CardState, payload: Payload, way: Way) -> Payload:
        """Return *payload* with the ids of kept images; fetch the card, once, where one is unknown."""
        if not payload.leaves_list:
            return payload
        found = None if state.asked else await self._fetch_card(payload.generation, way)
        if found is not None:
            state.asked = True
            state.note_kept(found)
            if state.leaves_list:
                self._warn_of_no_ids()
        return replace(payload, kept=dict(state.attached))

    async def answer_with_ids(
        self, state: CardState, payload: Payload, way: Way, answer: discord.Message
    ) -> discord.Message:
        """Return *answer*, the response to an edit; where it lacks the ids of its images, fetch the card instead."""
        if not payload.uploads or has_ids(answer, payload.names()):
            return answer
        found = await self._fetch_card(payload.generation, way)
        state.asked = found is not None
        if found is None or not has_ids(found, payload.names()):
            self._warn_of_no_ids()
        return found or answer

    async def forget_gone(self, state: CardState, payload: Payload, way: Way) -> bool:
        """After a refused edit: fetch the card, and have images of *payload* that are gone from it posted again, each
        once. Returns whether there are any; False where Discord does not return the card, or not all ids on it.

        A stale edit of another process removes them, in the time between an upload and its note in the rows.
        Raises DatabaseLost.
        """
        kept = {at: found for at, found in payload.attachment_ids.items() if at not in state.posted_again}
        if self._stale_edit_guard is None or not kept:
            return False
        card = await self._fetch_card(payload.generation, way)
        there = None if card is None else ids_on(card)
        gone = {} if there is None else {at: found for at, found in kept.items() if found not in there}
        if gone:
            await self._stale_edit_guard.forget_attachments(payload.generation, gone)
            state.note_gone(gone)
        return bool(gone)

    def _warn_of_no_ids(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning("Discord does not tell the ids of images on its messages: edits leave the list of them alone")

    async def _fetch_card(self, generation: Generation, way: Way) -> discord.Message | None:
        """Fetch the card by *way*; None: Discord does not return it now."""
        try:
            self._rate_guard.check(by_token=way.by_token)
        except DeliveryDelayed:
            return None
        try:
            found = await way.fetch()
        except discord.HTTPException as error:
            self._rate_guard.refused(error, by_token=way.by_token, card=generation.id)
            said = "generation %s: its card can't be seen: %s, %s"
            log.info(said, generation.id, error.status, error.code, extra=REPEATS)
            return None
        except NO_ANSWER as error:
            self._rate_guard.unanswered(error, card=generation.id)
            return None
        self._rate_guard.answered(by_token=way.by_token)
        return found

    async def _is_there(self, state: CardState, generation: Generation, ask: Ask | None) -> bool:
        """Whether Discord answers a fetch of the card, or *ask*. False where there is neither, or another such call is
        under way."""
        if self._probing:
            return False
        way = next(self._places.ways(state, generation), None)
        asked = way.fetch() if way is not None else ask() if ask is not None else None
        if asked is None:
            return False
        self._probing = True
        try:
            await asked
        except discord.HTTPException as error:
            return error.status < 500 and not names_no_cause(error)
        except NO_ANSWER:
            return False
        finally:
            self._probing = False
        return True
