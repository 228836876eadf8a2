"""Keep what was learned about the image service in the database. Knows no SQL."""

from __future__ import annotations

from generations import records
from generations.clock import Clock
from generations.poll_schedule import PollSchedule
from generations.worker.throttle import TaskSlots
from store.database import Database
from store.key_values import load_value, save_value
from store.transactions import Transaction

SCHEDULE_KEY = "poll_schedule:v1"
SLOTS_KEY = "task_slots:v1"


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


class StoredSlots:
    """The task slots in the database, one row for all processes, since they share the API key and its limit."""

    def __init__(self, database: Database, slots: TaskSlots, clock: Clock) -> None:
        self._database = database
        self._slots = slots
        self._clock = clock
        self._stored: str | None = None  # the row as last read or written
        self._learned = slots.dump()  # what this process knew then

    async def load(self) -> None:
        """Load what was learned before. Does nothing the second time."""
        if self._stored is None:
            await self.share()

    async def share(self) -> None:
        """Store what this process learned since the last call, or load what another one stored.

        Where nothing is stored yet, the tasks that run show how many can.
        """
        stored, running = await self._database.read(_load_slots)
        if stored is None:
            self._slots.accepted(running, self._clock.monotonic())
        if stored is None or (self._stored is not None and self._slots.dump() != self._learned):
            stored = await save_slots(self._database, self._slots)
        elif stored != self._stored:
            self._slots.load(stored, self._clock.monotonic())
        self._stored, self._learned = stored, self._slots.dump()


async def save_slots(database: Database, slots: TaskSlots) -> str:
    """Store what was learned, for later and other processes, and return it."""
    learned = slots.dump()
    await database.run(save_value, SLOTS_KEY, learned)
    return learned


def _load_slots(tx: Transaction) -> tuple[str | None, int]:
    """Return what is stored, and how many tasks run."""
    return load_value(tx, SLOTS_KEY), records.running_count(tx)
