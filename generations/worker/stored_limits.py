"""Keep the limits of the image service in the database, one row each for all processes, since they share the API key.

These are the task slots, the pauses after a 429 and the budget of polls. Knows no SQL.
"""

from __future__ import annotations

import asyncio
import math

from generations import records
from generations.clock import Clock
from generations.worker.throttle import STALE_TURN_SECONDS, PollBudget, TaskSlots, Throttle
from store.database import Database
from store.key_values import load_value, save_value
from store.statements import serialize
from store.transactions import Transaction

SLOTS_KEY = "task_slots:v1"
PAUSES_KEY = "pauses:v1"
POLLS_KEY = "polls:v1"  # unix milliseconds of the next poll if there were no pause between two
PARTS = 4  # of a second: the budget that a process takes at a time
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


class SharedPolls:
    """The budget of polls of all processes. A process takes a part of a second's worth at a time, so that a transaction
    is enough for many polls; what it does not need within a second lapses."""

    def __init__(self, database: Database, budget: PollBudget, clock: Clock) -> None:
        self._database = database
        self._budget = budget
        self._clock = clock
        self._turn = asyncio.Lock()
        self._left = 0  # polls that were taken and not made
        self._left_until = -math.inf  # monotonic seconds
        self._empty_until = -math.inf

    async def take(self) -> bool:
        """Take one poll. False: there is none now. Raises DatabaseLost."""
        async with self._turn:
            now = self._clock.monotonic()
            if now >= self._left_until:
                self._left = 0
            if not self._left and now >= self._empty_until:
                self._left, wait_ms = await self._database.run(self._take_several)
                self._left_until, self._empty_until = now + STALE_TURN_SECONDS, now + wait_ms / 1000
            if not self._left:
                return False
            self._left -= 1
            return True

    def _take_several(self, tx: Transaction) -> tuple[int, float]:
        """Return how many polls were taken, and if none, the milliseconds until there is one."""
        serialize(tx, POLLS_KEY)
        now_ms = self._clock.now_ms()
        interval_ms = 1000 / self._budget.per_second
        next_ms = float(load_value(tx, POLLS_KEY) or 0)
        if next_ms > now_ms + interval_ms:  # the clock was set back
            next_ms = now_ms
        next_ms = max(next_ms, now_ms - (self._budget.at_once - 1) * interval_ms)
        if next_ms > now_ms:
            return 0, next_ms - now_ms
        taken = min(math.ceil(self._budget.per_second / PARTS), math.floor((now_ms - next_ms) / interval_ms) + 1)
        save_value(tx, POLLS_KEY, str(next_ms + taken * interval_ms))
        return taken, 0.0


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
