"""Take messages out of the outbox for one try each to send them, by one process at a time. Knows no SQL and no Discord.

A process that dies between a message and its note leads to a second try, with the nonce by which Discord makes one
message of them within some minutes (Discord docs: "Create Message").
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from limits import outbox_records as records
from limits.model import Clock, LogLine, News
from store.database import Database

log = logging.getLogger("qwen_imagine.outbox")

TRY_MS = 120_000  # one try takes no longer: whoever began it and has not ended it by then is dead
RETRY_MIN_MS = 30_000
RETRY_MAX_MS = 6 * 3_600_000
AGE_MAX_MS = 24 * 3_600_000  # what could not be sent for so long is dropped


class Outbox:
    """The messages that wait."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin_news(self) -> News | None:
        """Return the oldest message to the owners; None: none is due, or another process sends it."""
        now_ms = self._clock.now_ms()
        return await self._database.run(records.claim_news, now_ms, now_ms + TRY_MS)

    async def begin_lines(self, change_number: int | None = None) -> list[LogLine]:
        """Return the lines about one change that no other process sends; None: the oldest line that is due."""
        now_ms = self._clock.now_ms()
        return await self._database.run(records.claim_lines, now_ms, now_ms + TRY_MS, change_number)

    async def end(self, message: News | LogLine) -> None:
        """Note that it was sent, or never will be."""
        await self._database.run(records.remove, message.number)

    async def put_off(self, message: News | LogLine, told: Collection[int] = ()) -> None:
        """Have it tried again later: the later, the older it is. *told*: the owners who have it."""
        now_ms = self._clock.now_ms()
        age_ms = now_ms - message.at_ms
        if age_ms >= AGE_MAX_MS:
            log.warning("a message could not be sent for %d hours and is dropped", AGE_MAX_MS // 3_600_000)
            await self.end(message)
            return
        pause_ms = min(RETRY_MAX_MS, max(RETRY_MIN_MS, age_ms), AGE_MAX_MS - age_ms)
        await self._database.run(records.put_off, message.number, now_ms + pause_ms, told)
