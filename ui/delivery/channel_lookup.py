"""Ask Discord about a channel of a server with the bot's own token, and remember the answers for a while.

For what an event does not tell: whether the parent of a thread is age-restricted, and in which server a channel is.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import discord

from discord_api.errors import NO_ANSWER, asking
from generations.clock import Clock
from observability.repeats import REPEATS

log = logging.getLogger("qwen_imagine.delivery")

REMEMBERED_SECONDS = 600.0
REFUSED_SECONDS = 60.0  # a refusal is remembered shorter: an admin may let the bot in
CHANNELS_MAX = 1000


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What Discord says of a channel. *guild_id* None: it is in no server."""

    guild_id: int | None
    age_restricted: bool


class ChannelLookup:
    """One for all channels of a process."""

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[int, tuple[float, ChannelFacts | None]] = {}  # until when, in monotonic seconds
        self._asked: dict[int, asyncio.Task[ChannelFacts | None]] = {}

    async def find(self, channel_id: int) -> ChannelFacts | None:
        """Return what is known of a channel; None: the bot can't see it, or Discord does not answer. Never raises."""
        until, facts = self._known.get(channel_id, (0.0, None))
        if self._clock.monotonic() < until:
            return facts
        if channel_id not in self._asked:
            task = self._asked[channel_id] = asyncio.create_task(self._ask(channel_id))
            task.add_done_callback(lambda _: self._asked.pop(channel_id))
        return await asyncio.shield(self._asked[channel_id])

    async def _ask(self, channel_id: int) -> ChannelFacts | None:
        """Call GET /channels/{id} (Discord docs: Channel, "Get Channel")."""
        facts: ChannelFacts | None = None
        try:
            with asking(self._client):
                data = await self._client.http.get_channel(channel_id)
                guild_id = int(data.get("guild_id") or 0) or None
                facts = ChannelFacts(guild_id, data.get("nsfw") is True)
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.info("channel %s can't be looked up (%s)", channel_id, type(error).__name__, extra=REPEATS)
            if not isinstance(error, discord.NotFound | discord.Forbidden):
                return None
        seconds = REFUSED_SECONDS if facts is None else REMEMBERED_SECONDS
        if len(self._known) >= CHANNELS_MAX:
            self._known.clear()
        self._known[channel_id] = (self._clock.monotonic() + seconds, facts)
        return facts
