"""Post images in one new message: in a channel, by the interaction's token, or as a direct message.

ui/delivery/fallback decides where, and in what order. Tokens and prompts never reach the log.
"""

from __future__ import annotations

from collections.abc import Awaitable

import discord

from discord_api.errors import Verdict
from generations.delivery_result import Place
from generations.errors import DeliveryDelayed, LostClaim
from generations.ports import FollowUps
from store.errors import DatabaseLost
from ui.delivery.calls import Calls, PayloadFails
from ui.delivery.card_state import CardState
from ui.delivery.channels import OpenChannel, Places
from ui.delivery.payload import Payload
from ui.delivery.rate_guard import RateGuard
from ui.delivery.refusals import judge


class NewMessages:
    """*follow_ups*: notes each message by an interaction's token in the row; None: only this process knows of them."""

    def __init__(self, places: Places, calls: Calls, rate_guard: RateGuard, follow_ups: FollowUps | None) -> None:
        self._places = places
        self._calls = calls
        self._rate_guard = rate_guard
        self._follow_ups = follow_ups

    async def post(
        self, state: CardState, place: Place, open_channel: OpenChannel | None, payload: Payload, *, plain: bool
    ) -> discord.Message | Verdict:
        """Post *payload*; without *open_channel* by the token. Return the verdict where something else can be tried.

        Raises DeliveryDelayed and PayloadTooLarge; for a message by the token DatabaseLost and LostClaim too.
        """
        if open_channel is None:
            return await self._follow_up(state, payload, plain=plain)
        opened: list[int] = []

        async def send() -> discord.Message:
            channel = await open_channel()
            opened.append(channel.id)
            return await self._places.send(channel, payload, plain=plain)

        def ask() -> Awaitable[object] | None:
            return self._places.ask_for(opened[-1]) if opened else None

        try:
            return await self._calls.make(state, payload, send, by_token=False, ask=ask)
        except PayloadFails:
            return Verdict.REFUSED
        except DeliveryDelayed:
            state.post_delayed = True
            raise
        except discord.HTTPException as error:
            if place is Place.CHANNEL:
                await self._places.refused_bot(state, payload.generation, error, posting=True)
            return judge(error, payload, place.value, by_token=False)

    async def _follow_up(self, state: CardState, payload: Payload, *, plain: bool) -> discord.Message | Verdict:
        """Post *payload* by the interaction's token, once: what may have been posted is not sent there again."""

        async def send() -> discord.Message:
            if self._follow_ups is not None:
                state.follow_up_known_at_ms = await self._follow_ups.begin(payload.generation)
            state.follow_up_lost = True
            return await self._places.follow_up(payload, plain=plain)

        try:
            message = await self._calls.make(state, payload, send, by_token=True, may_probe=False)
        except (DatabaseLost, LostClaim):
            self._rate_guard.unasked()
            raise
        except discord.HTTPException as error:
            state.follow_up_lost = error.status >= 500
            verdict = judge(error, payload, Place.FOLLOW_UP.value, by_token=True)
            state.token_dead = state.token_dead or verdict is Verdict.TOKEN_DEAD
            return verdict
        state.follow_up_lost = False
        return message
