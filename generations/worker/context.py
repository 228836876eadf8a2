"""What all steps of one process share: services, clocks, limits. Knows no Discord."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from credits.ledger import Ledger
from generations import records
from generations.callbacks import INTEREST_SECONDS, Callbacks
from generations.clock import Clock
from generations.poll_schedule import BACKSTOP_SECONDS, POLL_SECONDS, PollSchedule
from generations.ports import ImageService, ImageStore, Operator, Pings
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory
from qwen.models import Size
from store.database import Database

LEAP_SECONDS = 0.25  # more than two readings of clocks lie apart by; a time server steps by half of it and more


@dataclass(slots=True)
class PollGuard:
    """Keeps looks apart even when the wall clock leaps: monotonic seconds of the last one's end, by name.

    A name is the id of a task or an image, or poll_turns.called_name. The rows say when an image is due by the wall
    clock. After it has leapt they are not believed for one pause: another process on this machine may just have looked.
    """

    clock: Clock
    ends: dict[str, float] = field(default_factory=dict[str, float])
    leapt_at: float = float("-inf")
    ahead: float | None = None  # the wall clock's seconds less the monotonic clock's, when they were last compared

    def wait_seconds(self, *names: str) -> float:
        """How long there must not be another look of any of these *names*."""
        self.compare_clocks()
        last = max(self.ends.get(name, self.leapt_at) for name in names)
        return max(0.0, last + POLL_SECONDS - self.clock.monotonic())

    def compare_clocks(self) -> None:
        """Notice a leap of the wall clock since the last time."""
        now = self.clock.monotonic()
        ahead = self.clock.now_ms() / 1000 - now
        if self.ahead is not None and ahead - self.ahead > LEAP_SECONDS:
            self.leapt_at = now
        self.ahead = ahead

    def poll_ended(self, *names: str) -> None:
        """A look has just ended. Entries past their use are dropped as new ones come, oldest first."""
        now = self.clock.monotonic()
        for name in names:
            self.ends.pop(name, None)
            self.ends[name] = now
        for stale in list(self.ends):
            if now - self.ends[stale] <= POLL_SECONDS:
                break
            del self.ends[stale]


@dataclass(slots=True)
class StepContext:
    """Everything a step needs, by name."""

    database: Database
    ledger: Ledger
    service: ImageService
    store: ImageStore
    operator: Operator
    clock: Clock
    rng: random.Random
    schedule: PollSchedule
    throttle: Throttle
    deadline_seconds: int
    callbacks: Callbacks | None = None  # None: the service is not asked to call back
    pings: Pings | None = None  # None: nobody is pinged
    maintenance: Sequence[Callable[[], Awaitable[None]]] = ()  # what else is to be kept in order, every so often
    retention_days: int = 0  # after so many days addresses are purged; 0: never
    kept_checks: set[str] = field(default_factory=set[str])  # ids of kept images that are checked in this process now
    images: ImageMemory = field(default_factory=ImageMemory)
    guard: PollGuard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = PollGuard(self.clock)

    def after(self, seconds: float) -> int:
        """The moment *seconds* from now, in unix milliseconds."""
        return self.clock.now_ms() + round(seconds * 1000)

    def first_poll_seconds(self, size: Size) -> float:
        """Seconds from a POST to the first look at its task: later where a callback should come before."""
        if self.callbacks is None:
            return self.schedule.first_poll_seconds(size)
        return self.schedule.backstop_seconds(size)

    @property
    def poll_seconds(self) -> float:
        """Seconds between two looks at one task that is being made."""
        return POLL_SECONDS if self.callbacks is None else BACKSTOP_SECONDS

    async def run_maintenance(self) -> None:
        """Forget what is of no more use, and do the chores."""
        async with self.database.transaction() as tx:
            await records.wipe_tokens(tx, self.clock.now_ms())
            await records.forget_callbacks(tx, self.clock.now_ms() - round(INTEREST_SECONDS * 1000))
        self.images.forget_stale(self.clock.monotonic())
        for chore in self.maintenance:
            await chore()
