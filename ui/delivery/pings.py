"""Ping a person when their images are ready, by one short reply to the card.

Whether one is sent is decided by generations.pings, once for each generation. One that can't be sent is logged and not
tried again. Knows no database.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import discord

from discord_api.errors import NO_ANSWER, asking
from discord_api.follow_ups import send_follow_up
from discord_api.links import message_link
from generations.clock import Clock
from generations.model import Generation, State
from generations.token_only_channels import TokenOnlyChannels
from ui.delivery.channels import is_closed_to_bot, keeps_bot_out
from ui.texts.places import ready, ready_there

log = logging.getLogger("qwen_imagine.delivery")

NO_HISTORY = 160002  # Discord docs: Opcodes and Status Codes, "Cannot reply without permission to read message history"
TOKEN_MARGIN_MS = 30_000  # discord.py may repeat a call for half a minute
DRAIN_SECONDS = 2.0


class CardPings:
    """generations.ports.Pings over Discord's REST API."""

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        token_only: TokenOnlyChannels | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._token_only = token_only or TokenOnlyChannels(clock)
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, generation: Generation) -> None:
        """Start to send a ping. Never waits for Discord."""
        log.info("generation %s: its person is pinged", generation.id)
        task = asyncio.create_task(self._ping(generation), name=f"ping of {generation.id}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait for pings that are being sent, for *seconds* at most. The log says how many were cut off."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=seconds)
            if late:
                log.warning("stopping: %d pings cut off after %.0f s", len(late), seconds)

    async def _ping(self, generation: Generation) -> None:
        try:
            if not (self._token_only.bot_may_enter(generation.origin) and await self._replied(generation)):
                await self._follow_up(generation)
        except discord.HTTPException as error:
            log.info("generation %s: no ping: Discord answered %s, %s", generation.id, error.status, error.code)
        except NO_ANSWER as error:
            log.info("generation %s: no ping: no answer from Discord (%s)", generation.id, type(error).__name__)

    async def _replied(self, generation: Generation) -> bool:
        """Reply as the bot. False: its own token is refused in that channel, and the interaction's may be accepted."""
        try:
            await self._reply(generation)
        except discord.HTTPException as error:
            if error.status != 401 and not is_closed_to_bot(error):
                raise
            log.info("generation %s: the bot's own ping: %s, %s", generation.id, error.status, error.code)
            if keeps_bot_out(error):  # not only one permission is missing
                await self._token_only.refused(generation)
            return False
        await self._token_only.reached(generation.origin.channel_id)
        return True

    async def _reply(self, generation: Generation) -> None:
        origin = generation.origin
        channel = self._client.get_partial_messageable(origin.channel_id, guild_id=origin.guild_id)
        card = channel.get_partial_message(generation.message_id or 0).to_reference(fail_if_not_exists=False)
        # The nonce makes one message of what discord.py sends again after a 5xx (Discord docs: "Create Message").
        options: dict[str, Any] = {"nonce": f"{generation.id}-p", "allowed_mentions": _only(origin.user_id)}
        try:
            with asking(self._client):
                await channel.send(ready(origin.user_id, _count(generation)), reference=card, **options)
        except discord.HTTPException as error:
            if error.code != NO_HISTORY:
                raise
            link = message_link(origin.guild_id, origin.channel_id, generation.message_id or 0)
            with asking(self._client):
                await channel.send(ready_there(origin.user_id, _count(generation), link), **options)

    async def _follow_up(self, generation: Generation) -> None:
        """Ping by the interaction's token; Discord shows a follow-up as a reply to the card. It counts towards the five
        that a user-installed app may send (Discord docs: Receiving and Responding)."""
        origin = generation.origin
        if not origin.token or self._clock.now_ms() >= origin.token_expires_at_ms - TOKEN_MARGIN_MS:
            log.info("generation %s: no ping: nothing reaches its channel any more", generation.id)
            return
        content: dict[str, Any] = {
            "content": ready(origin.user_id, _count(generation)),
            "allowed_mentions": _only(origin.user_id),
        }
        with asking(self._client):  # sent once: what Discord may have taken is never sent again
            await send_follow_up(self._client, origin.application_id, origin.token, ephemeral=False, **content)


def _only(user_id: int) -> discord.AllowedMentions:
    """Allow a mention of this person only, not of the author of the card that is replied to."""
    return discord.AllowedMentions(everyone=False, roles=False, replied_user=False, users=[discord.Object(user_id)])


def _count(generation: Generation) -> int:
    return sum(1 for image in generation.images if image.state is State.DELIVERED)
