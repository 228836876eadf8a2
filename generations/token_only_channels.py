"""Remember channels where Discord refused the bot's own token, so that only an interaction's token reaches the cards:
a private thread without the bot (Discord docs: Threads, "Private Threads"), or a channel whose permissions were changed
after a request.

The refusal is written to the generation's row. The channel is kept, by this process and in the key-value store, until
something shows that the bot may post there. Knows rows and time; knows no Discord library and no SQL.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

from generations import records
from generations.clock import Clock
from generations.model import Generation, Origin
from store.database import Database
from store.errors import DatabaseLost
from store.key_values import delete_values, load_value, load_values, save_value
from store.transactions import Transaction

Number = TypeVar("Number", int, float)

log = logging.getLogger("qwen_imagine.delivery")

CHANNELS_MAX = 1000  # in this process; the key-value store has all of them
DAY_MS = 24 * 3600 * 1000
UNUSED_MS = 30 * DAY_MS  # a channel from which nothing came for so long is forgotten
LOOKUP_INTERVAL_SECONDS = 60.0
KEY = "token_only:"  # and the channel's id -> when a refusal or a request last came from there, unix milliseconds


class TokenOnlyChannels:
    """One for all cards of a process. *database*: None to write no rows."""

    def __init__(self, clock: Clock, database: Database | None = None) -> None:
        self._clock = clock
        self._database = database
        self._channels: OrderedDict[int, int] = OrderedDict()  # channel id -> as in the key-value store, oldest first
        # Channel id -> until when it counts as not kept, in monotonic seconds: what another process kept meanwhile is
        # found out after that, or by a refusal.
        self._not_kept: OrderedDict[int, float] = OrderedDict()

    def bot_may_enter(self, origin: Origin) -> bool:
        """Whether a call with the bot's own token may reach the channel of *origin*.

        A refusal there counts only until the interaction's token expires: after that there is no other way to try.
        """
        if not origin.bot_in_channel or not origin.channel_id:
            return False
        return origin.channel_id not in self._channels or not self._token_lives(origin)

    async def corrected(self, origin: Origin, *, bot_may_post: bool) -> Origin:
        """Return *origin* of a new interaction, as token-only where its channel is known to be. Never raises.

        *bot_may_post*: whether the interaction shows that the bot may post there; then the channel is forgotten. Reads
        one row by its key, unless this process knows the channel already.
        """
        if not origin.bot_in_channel or not await self._is_known(origin.channel_id):
            return origin
        if bot_may_post:
            await self.reached(origin.channel_id)
            return origin
        await self._renew(origin.channel_id)
        return replace(origin, bot_in_channel=False)

    async def refused(self, generation: Generation) -> None:
        """Note that Discord refused the bot's own token in the channel of *generation*. Never raises."""
        self._remember(generation.origin.channel_id, self._clock.now_ms())
        await self._write(generation, channel_too=True)

    async def reached(self, channel_id: int) -> None:
        """Forget that channel: the bot's own token was accepted there. Never raises."""
        if self._channels.pop(channel_id, None) is None or self._database is None:
            return
        log.info("channel %s: the bot's own token is used there again", channel_id)
        with contextlib.suppress(DatabaseLost):  # the next request from there tries again
            await self._database.run(delete_values, [f"{KEY}{channel_id}"])

    async def keep(self, generation: Generation) -> None:
        """Write to the row that only the token reaches the card, unless the token has expired. Never raises."""
        await self._write(generation, channel_too=False)

    async def _write(self, generation: Generation, *, channel_too: bool) -> None:
        origin = generation.origin
        row_too = origin.bot_in_channel and self._token_lives(origin)
        if self._database is None or not (row_too or channel_too):
            return
        with contextlib.suppress(DatabaseLost):  # then only this process knows it
            if channel_too:
                await self._database.run(_keep_channel, origin.channel_id, self._clock.now_ms())
            if row_too:
                await self._database.run(records.set_token_only, generation.id, origin.channel_id)
        if row_too:
            log.info(
                "generation %s: the bot's own token is refused in its channel: only the interaction's is used",
                generation.id,
            )

    def _remember(self, channel_id: int, at_ms: int) -> None:
        _put_last(self._channels, channel_id, at_ms)

    async def _is_known(self, channel_id: int) -> bool:
        """Whether any process has been refused there; then remember it in this one."""
        if channel_id in self._channels:
            return True
        now = self._clock.monotonic()
        if self._database is None or not channel_id or self._not_kept.get(channel_id, 0.0) > now:
            return False
        try:
            kept = await self._database.read(load_value, f"{KEY}{channel_id}")
        except DatabaseLost:
            return False
        if kept is None:
            _put_last(self._not_kept, channel_id, now + LOOKUP_INTERVAL_SECONDS)
            return False
        self._remember(channel_id, int(kept))
        return True

    async def _renew(self, channel_id: int) -> None:
        """Write, once a day, that requests still come from there."""
        now_ms = self._clock.now_ms()
        if now_ms - self._channels[channel_id] < DAY_MS:
            return
        self._remember(channel_id, now_ms)
        if self._database is not None:
            with contextlib.suppress(DatabaseLost):
                await self._database.run(_keep_channel, channel_id, now_ms)

    def _token_lives(self, origin: Origin) -> bool:
        return bool(origin.token) and self._clock.now_ms() < origin.token_expires_at_ms


def _put_last(known: OrderedDict[int, Number], channel_id: int, value: Number) -> None:
    """Put *value* at the end, and drop the oldest ones above CHANNELS_MAX."""
    known[channel_id] = value
    known.move_to_end(channel_id)
    while len(known) > CHANNELS_MAX:
        known.popitem(last=False)


def _keep_channel(tx: Transaction, channel_id: int, now_ms: int) -> None:
    """Keep the channel, and forget those from which nothing came for UNUSED_MS."""
    kept = load_values(tx, KEY)
    delete_values(tx, [key for key, at_ms in kept.items() if int(at_ms) <= now_ms - UNUSED_MS])
    save_value(tx, f"{KEY}{channel_id}", str(now_ms))
