"""Keep a process that was paused, or overtaken by another one, from leaving old data on a card.

Progress is shown after the claim was given back, and a claim runs out while its process is stopped. So the rows are
read right before each edit, and again after it, since they may have changed meanwhile. Knows no Discord, no SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from generations.clock import Clock
from generations.model import Generation
from generations.records import stale_edits
from observability.repeats import REPEATS
from store.database import Database
from store.errors import DatabaseLost

log = logging.getLogger("qwen_imagine.worker")

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class StaleEditGuard:
    """generations.ports.StaleEditGuard over the rows."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def is_current(self, generation: Generation) -> bool:
        """Whether nobody has claimed it since *generation* was read."""
        return await self._database.read(stale_edits.load_fence, generation.id) == generation.fence

    async def was_published(self, generation: Generation, attachment_ids: Mapping[int, int]) -> None:
        """*generation* is on its card now, with *attachment_ids*: have a newer revision in the rows published again.

        While the database is lost, this is tried for half a minute; the card would stay old for ever otherwise.
        """
        for pause in RETRY_SECONDS:
            try:
                await self._landed(generation, attachment_ids)
                return
            except DatabaseLost as lost:
                said = "generation %s: whether its card is old can't be asked now (%s)"
                log.warning(said, generation.id, lost, extra=REPEATS)
                await self._clock.sleep(pause)
        await self._landed(generation, attachment_ids)

    async def forget_attachments(self, generation: Generation, gone: Mapping[int, int]) -> None:
        """Attachments, image position -> id, are *gone* from the card: have these images posted again.

        A stale edit removed them after they were posted and before that was in the rows, so was_published() did not
        find it out. Raises DatabaseLost.
        """
        run, now_ms = self._database.run, self._clock.now_ms()
        await run(stale_edits.forget_attachments, generation, gone, now_ms)

    async def _landed(self, generation: Generation, attachment_ids: Mapping[int, int]) -> None:
        if await self._database.run(stale_edits.reconcile_card, generation, attachment_ids, self._clock.now_ms()):
            log.info(
                "generation %s: an old edit landed on its card; the newest revision is published again", generation.id
            )
