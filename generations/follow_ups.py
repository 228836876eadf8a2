"""Write to the row that a follow-up is about to be sent, before it is sent.

Discord has no nonce for follow-ups and no list of them, so whether a lost one was posted can't be found out later.
Where its outcome is not known, the next place is tried instead of a second follow-up. Knows no Discord and no SQL.
"""

from __future__ import annotations

from generations import records
from generations.clock import Clock
from generations.model import Generation
from store.database import Database


class FollowUps:
    """generations.ports.FollowUps over the rows."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, generation: Generation) -> int:
        """Commit that a follow-up of *generation* begins now, and return what its row says of it: unix milliseconds.

        Raises LostClaim and DatabaseLost.
        """
        now_ms = self._clock.now_ms()
        await self._database.run(records.begin_follow_up, generation.id, generation.fence, now_ms)
        return now_ms
