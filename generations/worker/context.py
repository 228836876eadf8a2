"""What all steps of one process share: services, clocks, limits. Knows no Discord."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from credits.ledger import Ledger
from generations import records
from generations.callbacks import INTEREST_SECONDS, Callbacks
from generations.circuit import CLOSED, Circuit
from generations.clock import Clock
from generations.poll_schedule import BACKSTOP_SECONDS, POLL_SECONDS, PollSchedule
from generations.ports import ImageService, ImageStore, Operator, Pings
from generations.worker.reads import Reads
from generations.worker.stored_limits import SharedPolls
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory
from observability.metrics import NO_METRICS, Metrics
from qwen.models import Size
from store.database import Database
from store.leases import give_back_lease, take_lease
from store.transactions import Transaction

MAINTENANCE = "maintenance"  # the lease of the process that does it
MAINTENANCE_LEASE_SECONDS = 75.0  # taken again every 30 s
LEAP_SECONDS = 0.25  # more than passes between two readings; a time server steps by half of it and more


@dataclass(slots=True)
class PollGuard:
    """Keep polls apart even when the wall clock jumps: the monotonic seconds of the last poll's end, by name.

    A name is the id of a task or an image, or that of an image's polls after calls. Rows say when an image is due by
    the wall clock. After a jump they are not trusted for POLL_SECONDS: another process here may just have polled.
    """

    clock: Clock
    ends: dict[str, float] = field(default_factory=dict[str, float])
    leapt_at: float = float("-inf")
    ahead: float | None = None  # the wall clock's seconds less the monotonic clock's, when they were last compared

    def wait_seconds(self, *names: str) -> float:
        """How long there must be no other poll under any of these *names*."""
        self.compare_clocks()
        last = max(self.ends.get(name, self.leapt_at) for name in names)
        return max(0.0, last + POLL_SECONDS - self.clock.monotonic())

    def compare_clocks(self) -> None:
        """Notice a jump of the wall clock since the last call."""
        now = self.clock.monotonic()
        ahead = self.clock.now_ms() / 1000 - now
        if self.ahead is not None and ahead - self.ahead > LEAP_SECONDS:
            self.leapt_at = now
        self.ahead = ahead

    def poll_ended(self, *names: str) -> None:
        """Note that a poll has just ended. Old entries are dropped."""
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
    """Services, clocks and limits, shared by all steps of a process."""

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
    shared_as: str | None = None  # this process' name where others use the database too; None: it is alone
    callbacks: Callbacks | None = None  # None: the service is not asked to call back
    pings: Pings | None = None  # None: nobody is pinged
    maintenance: Sequence[Callable[[], Awaitable[None]]] = ()  # maintenance of other services, run regularly
    retention_days: int = 0  # days after which addresses are purged; 0: never
    wake_others: Callable[[Transaction], None] = lambda _: None  # the workers of other processes, once it commits
    metrics: Metrics = NO_METRICS
    circuit: Circuit = CLOSED  # as the last round read it; what is decided by it reads it anew
    places_at_once: int = records.REFRESHED_AT_ONCE  # how many cards one round edits to their place in line
    kept_checks: set[str] = field(default_factory=set[str])  # ids of kept images that are checked in this process now
    images: ImageMemory = field(default_factory=ImageMemory)
    reads: Reads = field(default_factory=Reads)
    guard: PollGuard = field(init=False)
    shared_polls: SharedPolls | None = field(init=False)  # None: throttle.polls is the whole budget

    def __post_init__(self) -> None:
        self.guard = PollGuard(self.clock)
        shared_polls = SharedPolls(self.database, self.throttle.polls, self.clock)
        self.shared_polls = None if self.shared_as is None else shared_polls

    def after(self, seconds: float) -> int:
        """The moment *seconds* from now, in unix milliseconds."""
        return self.clock.now_ms() + round(seconds * 1000)

    def first_poll_seconds(self, size: Size) -> float:
        """Seconds from a POST to the first poll of its task: later where a callback should come before."""
        if self.callbacks is None:
            return self.schedule.first_poll_seconds(size)
        return self.schedule.backstop_seconds(size)

    @property
    def poll_seconds(self) -> float:
        """Seconds between two polls of one task that is being made."""
        return POLL_SECONDS if self.callbacks is None else BACKSTOP_SECONDS

    async def run_maintenance(self) -> None:
        """Forget kept images. Unless another process does it: delete old tokens and callbacks, and run the
        *maintenance* of other services.
        """
        self.images.forget_stale(self.clock.monotonic())
        if self.shared_as is not None and not await self.database.run(self._take_maintenance, self.shared_as):
            return
        now_ms = self.clock.now_ms()
        await self.database.run(records.wipe_tokens, now_ms)
        await self.database.run(records.forget_callbacks, now_ms - round(INTEREST_SECONDS * 1000))
        for run in self.maintenance:
            await run()

    def _take_maintenance(self, tx: Transaction, holder: str) -> bool:
        return take_lease(tx, MAINTENANCE, holder, self.clock.now_ms(), self.after(MAINTENANCE_LEASE_SECONDS))

    async def give_back_maintenance(self) -> None:
        """Leave the maintenance to another process."""
        if self.shared_as is not None:
            await self.database.run(give_back_lease, MAINTENANCE, self.shared_as)
