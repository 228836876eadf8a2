"""Keep the limits of the image service in the database, one row each for all processes, since they share the API key.

These are the task slots and the pauses after a 429. Knows no SQL.
"""

from __future__ import annotations

from generations import records
from generations.clock import Clock
from generations.worker.throttle import TaskSlots, Throttle
from store.database import Database
from store.key_values import load_value, save_value
from store.statements import serialize
from store.transactions import Transaction

SLOTS_KEY = "task_slots:v1"
PAUSES_KEY = "pauses:v1"
SHARE_SECONDS = 1.0  # how often a process looks what the others learned


class StoredLimits:
    """The limits in the database. *shared*: other processes may change them."""

    def __init__(self, database: Database, throttle: Throttle, clock: Clock, *, shared: bool) -> None:
        self._database = database
        self._throttle = throttle
        self._clock = clock
        self._shared = shared
        self._shared_at: float | None = None  # monotonic seconds
        self._stored: str | None = None  # the slots' row as last read or written
        self._learned = throttle.slots.dump()  # what this process knew then

    async def load(self) -> None:
        """Load what was learned before, and where it is shared again every second. In between does nothing."""
        if self._shared_at is None or (self._shared and self._clock.monotonic() - self._shared_at >= SHARE_SECONDS):
            await self.share()

    async def share(self) -> None:
        """Join the pauses of others, and store what this process learned of task slots, or load what another one did.

        Where nothing is stored yet, the tasks that run show how many can.
        """
        slots, now = self._throttle.slots, self._clock.monotonic()
        stored, running, pauses = await self._database.read(_load_limits)
        if pauses is not None:
            self._throttle.load_pauses(pauses, now, self._clock.now_ms())
        if stored is None:
            slots.accepted(running, now)
        if stored is None or (self._stored is not None and slots.dump() != self._learned):
            stored = await save_slots(self._database, slots)
        elif stored != self._stored:
            slots.load(stored, now)
        self._stored, self._learned, self._shared_at = stored, slots.dump(), now


async def save_slots(database: Database, slots: TaskSlots) -> str:
    """Store what was learned of task slots, for later and other processes, and return it."""
    learned = slots.dump()
    await database.run(save_value, SLOTS_KEY, learned)
    return learned


async def save_pauses(database: Database, throttle: Throttle, clock: Clock) -> None:
    """Join the pauses of others, and store those that last longest."""

    def save(tx: Transaction) -> None:
        serialize(tx, PAUSES_KEY)
        now, now_ms = clock.monotonic(), clock.now_ms()
        stored = load_value(tx, PAUSES_KEY)
        if stored is not None:
            throttle.load_pauses(stored, now, now_ms)
        save_value(tx, PAUSES_KEY, throttle.dump_pauses(now, now_ms))

    await database.run(save)


def _load_limits(tx: Transaction) -> tuple[str | None, int, str | None]:
    """Return the stored slots; if there are none, how many tasks run; the stored pauses."""
    stored = load_value(tx, SLOTS_KEY)
    return stored, records.running_count(tx) if stored is None else 0, load_value(tx, PAUSES_KEY)
