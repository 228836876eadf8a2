"""What was learned about how long images take, kept in the database from one process to the next. Knows no SQL."""

from __future__ import annotations

from generations.pace import Pace
from store.database import Database
from store.memory import load_value, save_value

PACE_KEY = "pace:v1"


class KeptPace:
    """Loads once and saves often; saves nothing before it has loaded, so that nothing learned is forgotten."""

    def __init__(self, database: Database, pace: Pace) -> None:
        self._database = database
        self._pace = pace
        self._is_loaded = False

    async def load(self) -> None:
        """Take over what earlier processes learned. Does nothing the second time."""
        if self._is_loaded:
            return
        async with self._database.transaction() as tx:
            stored = await load_value(tx, PACE_KEY)
        if stored is not None:
            self._pace.load(stored)
        self._is_loaded = True

    async def save(self) -> None:
        """Keep what was learned over a restart."""
        if self._is_loaded:
            async with self._database.transaction() as tx:
                await save_value(tx, PACE_KEY, self._pace.dump())
