"""Channels where Discord refused the bot's own token, so that only an interaction's token reaches the cards there:
a private thread without the bot (Discord docs: Threads, "Private Threads"), or a server without the bot user.

The generation that met the refusal keeps it in its row; the channel is remembered by this process for an hour, since
somebody may invite the bot. Knows rows and time; knows no Discord library and no SQL.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from dataclasses import replace

from generations import records
from generations.clock import Clock
from generations.model import Generation, Origin
from store.database import Database
from store.errors import DatabaseLost

log = logging.getLogger("qwen_imagine.delivery")

REMEMBERED_SECONDS = 3600.0
CHANNELS_MAX = 1000


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

    def corrected(self, origin: Origin) -> Origin:
        """*origin* of a new interaction, as token-only where its channel is known to be."""
        return replace(origin, bot_in_channel=origin.bot_in_channel and not self._is_remembered(origin.channel_id))

    async def refused(self, generation: Generation) -> None:
        """Discord refused the bot's own token in the channel of *generation*. Never raises."""
        origin = generation.origin
        self._until[origin.channel_id] = self._clock.monotonic() + REMEMBERED_SECONDS
        self._until.move_to_end(origin.channel_id)
        while len(self._until) > CHANNELS_MAX:
            self._until.popitem(last=False)
        await self.keep(generation)

    async def keep(self, generation: Generation) -> None:
        """Have the row say that only the token reaches the card, as long as it can tell the person. Never raises."""
        origin = generation.origin
        if not origin.bot_in_channel or not self._token_lives(origin) or self._database is None:
            return
        log.info(
            "generation %s: the bot's own token is refused in its channel: only the interaction's is used",
            generation.id,
        )
        with contextlib.suppress(DatabaseLost):  # then this process alone knows it
            async with self._database.transaction() as tx:
                await records.set_token_only(tx, generation.id, origin.channel_id)

    def _is_remembered(self, channel_id: int) -> bool:
        return self._until.get(channel_id, float("-inf")) > self._clock.monotonic()

    def _token_lives(self, origin: Origin) -> bool:
        return bool(origin.token) and self._clock.now_ms() < origin.token_expires_at_ms
