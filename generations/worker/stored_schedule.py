"""Keep what was learned of how long images take in the database. Knows no SQL."""

from __future__ import annotations

from generations.poll_schedule import PollSchedule
from store.database import Database
from store.key_values import load_value, save_value

SCHEDULE_KEY = "poll_schedule:v1"


class StoredSchedule:
    """The poll schedule in the database. Saves nothing before it has loaded, so that nothing is overwritten."""

    def __init__(self, database: Database, schedule: PollSchedule) -> None:
        self._database = database
        self._schedule = schedule
        self._is_loaded = False

    async def load(self) -> None:
        """Load what earlier processes learned. Does nothing the second time."""
        if self._is_loaded:
            return
        stored = await self._database.read(load_value, SCHEDULE_KEY)
        if stored is not None:
            self._schedule.load(stored)
        self._is_loaded = True

    async def save(self) -> None:
        """Store what was learned."""
        if self._is_loaded:
            await self._database.run(save_value, SCHEDULE_KEY, self._schedule.dump())
