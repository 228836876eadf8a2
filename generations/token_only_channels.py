"""Channels where Discord refused the bot's own token, so that only an interaction's token reaches the cards there:
a private thread without the bot (Discord docs: Threads, "Private Threads"), or a server without the bot user.

The generation that met the refusal keeps it in its row. The channel is remembered for an hour, since somebody may
invite the bot: by this process, and in the key-value store for the next one and for those beside it. Knows rows and
time; knows no Discord library and no SQL.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from dataclasses import replace

from generations import records
from generations.clock import Clock
from generations.model import Generation, Origin
from store.database import Database, Transaction
from store.errors import DatabaseLost
from store.key_values import delete_values, load_value, load_values, save_value

log = logging.getLogger("qwen_imagine.delivery")

REMEMBERED_SECONDS = 3600.0
CHANNELS_MAX = 1000
KEY = "token_only:"  # and the channel's id -> until when it is remembered, unix milliseconds


class TokenOnlyChannels:
    """One for all cards of a process. *database*: None where no row is to be kept."""

    def __init__(self, clock: Clock, database: Database | None = None) -> None:
        self._clock = clock
        self._database = database
        self._until: OrderedDict[int, float] = OrderedDict()  # channel id -> monotonic seconds, the oldest first

    def bot_may_enter(self, origin: Origin) -> bool:
        """Whether a call with the bot's own token may reach the channel of *origin*.

        What was refused there counts only while the interaction's token lives: after that nothing else is left to try.
        """
        if not origin.bot_in_channel or not origin.channel_id:
            return False
        return not self._is_remembered(origin.channel_id) or not self._token_lives(origin)

    async def corrected(self, origin: Origin) -> Origin:
        """*origin* of a new interaction, as token-only where its channel is known to be. Never raises.

        Asks the database for one row by its key, unless this process knows it already.
        """
        if not origin.bot_in_channel or self._is_remembered(origin.channel_id) or await self._is_kept(origin):
            return replace(origin, bot_in_channel=False)
        return origin

    async def refused(self, generation: Generation) -> None:
        """Discord refused the bot's own token in the channel of *generation*. Never raises."""
        self._remember(generation.origin.channel_id, REMEMBERED_SECONDS)
        await self._write(generation, channel_too=True)

    async def keep(self, generation: Generation) -> None:
        """Have the row say that only the token reaches the card, as long as it can tell the person. Never raises."""
        await self._write(generation, channel_too=False)

    async def _write(self, generation: Generation, *, channel_too: bool) -> None:
        origin = generation.origin
        row_too = origin.bot_in_channel and self._token_lives(origin)
        if self._database is None or not (row_too or channel_too):
            return
        with contextlib.suppress(DatabaseLost):  # then this process alone knows it
            async with self._database.transaction() as tx:
                if channel_too:
                    await _keep_channel(tx, origin.channel_id, self._clock.now_ms())
                if row_too:
                    await records.set_token_only(tx, generation.id, origin.channel_id)
        if row_too:
            log.info(
                "generation %s: the bot's own token is refused in its channel: only the interaction's is used",
                generation.id,
            )

    def _remember(self, channel_id: int, seconds: float) -> None:
        self._until[channel_id] = self._clock.monotonic() + seconds
        self._until.move_to_end(channel_id)
        while len(self._until) > CHANNELS_MAX:
            self._until.popitem(last=False)

    async def _is_kept(self, origin: Origin) -> bool:
        """Whether an earlier process or another one met a refusal there; then this one remembers it as long."""
        if self._database is None or not origin.channel_id:
            return False
        try:
            async with self._database.transaction() as tx:
                kept = await load_value(tx, f"{KEY}{origin.channel_id}")
        except DatabaseLost:
            return False
        left_ms = int(kept or 0) - self._clock.now_ms()
        if left_ms <= 0:
            return False
        self._remember(origin.channel_id, min(left_ms / 1000, REMEMBERED_SECONDS))  # at most: clocks may be set back
        return True

    def _is_remembered(self, channel_id: int) -> bool:
        return self._until.get(channel_id, float("-inf")) > self._clock.monotonic()

    def _token_lives(self, origin: Origin) -> bool:
        return bool(origin.token) and self._clock.now_ms() < origin.token_expires_at_ms


async def _keep_channel(tx: Transaction, channel_id: int, now_ms: int) -> None:
    """Keep the channel for an hour, and forget those whose hour is over."""
    kept = await load_values(tx, KEY)
    await delete_values(tx, [key for key, until_ms in kept.items() if int(until_ms) <= now_ms])
    await save_value(tx, f"{KEY}{channel_id}", str(now_ms + round(REMEMBERED_SECONDS * 1000)))
