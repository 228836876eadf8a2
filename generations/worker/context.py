"""What a step needs at hand, and the few ways in which steps change rows. Knows the ledger and the rows; no Discord.

Money and state move in one transaction, always, and every write carries the fence of the claim: a step whose claim
was lost changes nothing.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Unpack

from credits.ledger import Ledger
from generations import records
from generations.callbacks import INTEREST_SECONDS, Callbacks
from generations.clock import Clock
from generations.model import Ending, Generation, Image, State
from generations.poll_schedule import BACKSTOP_SECONDS, POLL_SECONDS, PollSchedule
from generations.ports import ImageService, ImageStore, Operator, Pings
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory, Room
from qwen.models import Size
from store.database import Database, Transaction

log = logging.getLogger("qwen_imagine.worker")

FIRST_LATE_POLL_SECONDS = 2 * POLL_SECONDS
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

    def looked(self, *names: str) -> None:
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
    room: Room = field(init=False)  # in `images`, of the one step that this context is for: see in_room()

    def __post_init__(self) -> None:
        self.guard = PollGuard(self.clock)

    def in_room(self, room: Room) -> StepContext:
        """The same for one step, which keeps the images that it fetches in *room*."""
        ours = copy.copy(self)
        ours.room = room
        return ours

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

    async def save(self, generation: Generation, image: Image, **changes: Unpack[records.ImageChanges]) -> None:
        """Change an image's columns, not its state."""
        async with self.database.transaction() as tx:
            await records.update_image(tx, image, fence=generation.fence, **changes)

    async def end(
        self, generation: Generation, image: Image, state: State, ending: Ending, detail: str | None = None
    ) -> None:
        """Bring an image to an end without an image, and return its hold."""
        async with self.database.transaction() as tx:
            await self.end_in(tx, generation, image, state, ending, detail)
        log.info("image %s: %s (%s)", image.image_id, state.value, ending.value)

    async def end_in(
        self,
        tx: Transaction,
        generation: Generation,
        image: Image,
        state: State,
        ending: Ending,
        detail: str | None = None,
    ) -> None:
        """The same in the caller's transaction. An expired task goes on being looked at: a late success is free.

        So is an unknown image's, if a callback named it before its submit was given up.
        """
        late = state is State.EXPIRED and image.task_id is not None
        ended = await records.move(
            tx,
            image,
            state,
            fence=generation.fence,
            ending=ending,
            ending_detail=detail or None,
            failures=0,
            last_poll_at_ms=image.last_poll_at_ms,
            due_at_ms=self.after(FIRST_LATE_POLL_SECONDS) if late else None,
        )
        if state is State.UNKNOWN:
            callback = await records.load_callback(tx, ended)
            if callback is not None and callback.claimed_task_id is not None:
                await records.bring_forward(tx, ended, self.clock.now_ms())
        await self.ledger.release(tx, image.image_id, self.clock.now_ms())
