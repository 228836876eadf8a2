"""Post what was changed to a server's log channel. A change counts whether it could be posted or not.

Its lines wait in the outbox from the change on, so those whose process dies, or that Discord can't take now, are posted
later by run_due().
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto

import discord

from discord_api.errors import NO_ANSWER, Verdict, asking, verdict_of
from generations.clock import Clock
from limits.model import LogLine
from limits.outbox import Outbox
from store.errors import DatabaseLost
from ui.delivery.channel_lookup import ChannelLookup
from ui.texts.admin_changes import log_line

log = logging.getLogger("qwen_imagine.delivery")

DRAIN_SECONDS = 2.0
LATE_MS = 60_000  # a line that is posted so much later than its change says when that was


class _Outcome(Enum):
    SENT = auto()
    REFUSED = auto()  # and would be again
    LATER = auto()


class GuildLog:
    """Posts with the bot's own token."""

    def __init__(self, client: discord.Client, channels: ChannelLookup, outbox: Outbox, clock: Clock) -> None:
        self._client = client
        self._channels = channels
        self._outbox = outbox
        self._clock = clock
        self._posting: asyncio.Task[None] | None = None
        self._draining = False

    async def tell(self, change_number: int) -> list[int]:
        """Post the lines about a change now. Return the ids of the channels that did not take theirs.

        Raises DatabaseLost: the lines are posted later.
        """
        lines = await self._outbox.begin_lines(change_number)
        return [line.channel_id for line in lines if await self._try(line) is not _Outcome.SENT]

    async def run_due(self) -> None:
        """Begin to post what is due. Called regularly."""
        if not self._draining and (self._posting is None or self._posting.done()):
            self._posting = asyncio.create_task(self._post_due(), name="log channels")

    @property
    def is_posting(self) -> bool:
        """Whether lines that were due are being posted."""
        return self._posting is not None and not self._posting.done()

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Begin nothing new, and wait for the line under way, for *seconds* at most."""
        self._draining = True
        if self._posting is not None:
            await asyncio.wait({self._posting}, timeout=seconds)

    async def _post_due(self) -> None:
        """Post line by line, until none is due or Discord can't take one. The rest is due again later."""
        try:
            while not self._draining and (lines := await self._outbox.begin_lines()):
                if await self._try(lines[0]) is _Outcome.LATER:
                    return
        except DatabaseLost as lost:
            log.warning("the log channels can't be told now (%s)", lost)

    async def _try(self, line: LogLine) -> _Outcome:
        """Post a line and note what became of it."""
        outcome = await self._post(line)
        if outcome is _Outcome.LATER:
            await self._outbox.put_off(line)
        else:
            await self._outbox.end(line)
        return outcome

    async def _post(self, line: LogLine) -> _Outcome:
        """Post in a channel of the change's server, and of no other. The nonce makes one message of two tries."""
        guild_id, facts = line.change.scope_id, await self._channels.find(line.channel_id)
        if facts is None:
            return _Outcome.LATER
        if facts.guild_id != guild_id:
            return _Outcome.REFUSED
        channel = self._client.get_partial_messageable(line.channel_id, guild_id=guild_id)
        is_late = self._clock.now_ms() - line.at_ms > LATE_MS
        try:
            with asking(self._client):
                nobody = discord.AllowedMentions.none()
                text = log_line(line.change, is_late=is_late)
                await channel.send(text, allowed_mentions=nobody, nonce=line.nonce, suppress_embeds=True)
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.info("guild %s: its log channel could not be told (%s)", guild_id, type(error).__name__)
            is_refused = (
                isinstance(error, discord.HTTPException) and verdict_of(error, by_token=False) is not Verdict.LATER
            )
            return _Outcome.REFUSED if is_refused else _Outcome.LATER
        return _Outcome.SENT
