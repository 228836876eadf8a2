"""The loop that brings every generation to its end: claim, do one step, publish, give the claim back.

Work is taken by lease and fence, so any process may finish any image and a killed one is replaced when its lease
runs out. Knows rows, steps and the Delivery protocol; knows no Discord and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace

from generations import records
from generations.clock import Deadline
from generations.errors import LostClaim, MovedOn
from generations.model import Generation
from generations.poll_schedule import POLL_SECONDS
from generations.ports import Delivery
from generations.service import Generations
from generations.worker.claimed_work import ClaimedWork
from generations.worker.context import StepContext
from generations.worker.publish import Publisher
from generations.worker.rounds import HandedOut, Rounds, note_write
from generations.worker.stopping import probe_at_once
from generations.worker.stored_limits import StoredLimits
from generations.worker.stored_schedule import StoredSchedule
from observability.correlation import set_generation
from observability.repeats import REPEATS
from store.errors import DatabaseBroken, DatabaseLost
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

LEASE_SECONDS = 10.0  # the work of a killed process waits this long at most
IDLE_SECONDS = 1.0  # rows of other processes are noticed at least this often
ROUND_SECONDS = 0.05  # the least time between two rounds
DUE_SECONDS = 0.1  # what becomes due within so long of a round is claimed together
MAINTENANCE_SECONDS = 30.0
MAX_STEPS = 64  # steps in flight in one process
DRAIN_SECONDS = 18.0  # of the 25 s that bot.py has for a stop
READ_SECONDS = 2.0  # of these, for polls and downloads under way, which lose nothing by being cut off
SAVE_SECONDS = 1.0  # of these, for saving what was learned, also when a step takes too long


class Worker:
    """One per process. `step()` does what is due and waits for it; `run()` does so until `drain()`.

    *max_per_user* and *max_per_guild* (0: any number): images that may be made at once of one person and of one server;
    how many in all the context's throttle says.
    """

    def __init__(
        self,
        *,
        context: StepContext,
        service: Generations,
        delivery: Delivery,
        max_per_user: int,
        max_per_guild: int,
        owner: str,
    ) -> None:
        self._context = context
        self._max_per_user = max_per_user
        self._max_per_guild = max_per_guild
        self._owner = owner
        self._clock = context.clock
        self._database = context.database
        self.publisher = Publisher(context, service, delivery, self._slots)
        self._claimed_work = ClaimedWork(context, service, delivery, self.publisher, round_seconds=IDLE_SECONDS)
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[bool]] = set()
        self._stopping = asyncio.Event()
        self._stored_schedule = StoredSchedule(context.database, context.schedule)
        self._stored_limits = StoredLimits(
            context.database, context.throttle, context.clock, shared=context.shared_as is not None
        )
        self._let_through = False  # the first probe after the start of this process
        self._more_waits = True  # see HandedOut; of the last round
        self._maintained_at = float("-inf")
        self.rounds = Rounds(context.clock, context.operator)

    def nudge(self) -> None:
        """Begin a round now: something may be due, such as a new request or a cancel."""
        self._wake.set()

    def steps(self) -> int:
        """How many generations this process works on."""
        return len(self._running)

    def is_free(self) -> bool:
        """Whether it takes new work on at once."""
        return not self._stopping.is_set() and self._free_steps() > 0

    @property
    def is_stopping(self) -> bool:
        """Whether drain() was called."""
        return self._stopping.is_set()

    # -- the loop ----------------------------------------------------------------------------------------------

    async def step(self) -> int:
        """Do everything that is due now and wait until it is done. Returns the number of generations."""
        handed_out = await self._claim(MAX_STEPS)
        await asyncio.gather(*(self._advance(generation) for generation in handed_out.claimed))
        await self.publisher.publish_places(handed_out.places)
        return len(handed_out.claimed)

    async def run(self) -> None:
        """Work until drain() is called. A slow step does not delay the others.

        Raises DatabaseBroken after alerting the owner: no further round could change anything.
        """
        self.rounds.begin()
        while not self._stopping.is_set():
            self._wake.clear()
            began_at, wait = self._clock.monotonic(), IDLE_SECONDS
            try:
                await self._stored_schedule.load()
                await self._stored_limits.load()
                await self._let_probe_through()
                handed_out = await self._claim(self._free_steps())
                if self._stopping.is_set():  # drain() waits for the steps that had begun by then, and for no others
                    await asyncio.gather(*map(self._give_back, handed_out.claimed))
                    return
                self._more_waits = handed_out.more_waits
                for generation in handed_out.claimed:
                    self._start(generation)
                await self.publisher.publish_places(handed_out.places)
                wait = self._until_next_due(handed_out)
                await self._run_maintenance()
                self.rounds.ended()
            except DatabaseBroken as broken:
                self._context.operator.tell("database_broken", f"{broken}. The bot stops now.")
                raise
            except DatabaseLost as lost:
                log.warning("%s; the next try comes in %.0f s", lost, IDLE_SECONDS, extra=REPEATS)
                self.rounds.failed(lost)
            except Exception as fault:  # the loop outlives every fault; rows and leases keep the work safe
                said = "the worker's round failed, the next one comes in %.0f s"
                log.exception(said, IDLE_SECONDS, extra=REPEATS)
                self.rounds.failed(fault)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
            early = began_at + ROUND_SECONDS - self._clock.monotonic()
            if early > 0:  # requests and steps that end together are followed by one round
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), early)

    async def drain(
        self, seconds: float = DRAIN_SECONDS, *, save_seconds: float = SAVE_SECONDS, read_seconds: float = READ_SECONDS
    ) -> None:
        """Stop taking work, finish the steps in flight (a POST is the one dangerous moment), keep what was learned.
        Polls and downloads are cut off after *read_seconds*; POSTs and uploads are waited for.

        Waits for *seconds* at most, of which the steps leave *save_seconds* for what was learned. The log says how
        many steps were cut off.
        """
        deadline = Deadline(self._clock, seconds)
        self._stopping.set()
        self.nudge()
        if self._running:
            for_steps = deadline.left(reserve=save_seconds)
            _, late = await asyncio.wait(self._running, timeout=min(read_seconds, for_steps))
            self._context.reads.cut()
            if late:
                _, late = await asyncio.wait(late, timeout=deadline.left(reserve=save_seconds))
            if late:
                log.warning("stopping: %d steps cut off after %.0f s; their leases run out", len(late), for_steps)
        saving = asyncio.create_task(self._save_learned(), name="what was learned")
        await asyncio.wait({saving}, timeout=deadline.left())
        if not saving.done() or saving.exception() is not None:
            log.warning("stopping: what was learned of the image API could not be saved")

    async def _let_probe_through(self) -> None:
        """Have a real image try at once whether the circuit can close, once after the start: the key may be another."""
        if not self._let_through:
            await self._database.run(probe_at_once, self._clock.now_ms())
            self._let_through = True

    async def _save_learned(self) -> None:
        await self._stored_schedule.save()
        await self._stored_limits.share()
        await self._context.give_back_maintenance()

    def _start(self, generation: Generation) -> None:
        task = asyncio.create_task(self._advance(generation), name=f"generation {generation.id}")
        self._running.add(task)
        task.add_done_callback(self._step_ended)

    def _step_ended(self, task: asyncio.Task[bool]) -> None:
        """Begin a round if the end of this step may let more work begin; else the next round comes in time."""
        self._running.discard(task)
        if self._more_waits or task.cancelled() or task.exception() is not None or task.result():
            self.nudge()

    async def _claim(self, free: int) -> HandedOut:
        """Admit images from the line, then claim up to *free* generations that are due."""
        self._context.guard.compare_clocks()
        if free <= 0:
            return HandedOut(0.0, [], [], None)
        handed_out = await self._database.run(self._hand_out, self._slots(), free)
        self._context.circuit = handed_out.circuit
        self._context.metrics.leases_taken_over(handed_out.taken_over)
        if self._clock.monotonic() - handed_out.began_at < LEASE_SECONDS - POLL_SECONDS:
            return handed_out
        # The process that takes these over when the lease ends may poll their tasks at once.
        log.warning(
            "the database took too long to hand out work; it is due again when the lease runs out", extra=REPEATS
        )
        return replace(handed_out, claimed=[])

    def _hand_out(self, tx: Transaction, slots: int, free: int) -> HandedOut:
        # Read now: the transaction may have waited long for its turn, and a lease counts from when it is taken.
        now_ms, began_at = self._clock.now_ms(), self._clock.monotonic()
        work = records.load_due_work(tx, now_ms)
        admitted, places, claimed = list[int](), list[int](), list[Generation]()
        is_stopped = work.circuit.reason is not None
        if work.waiting and work.in_flight < slots and not (is_stopped and not work.circuit.may_probe(now_ms)):
            admitted = records.admit(
                tx,
                now_ms=now_ms,
                max_in_flight=slots,
                max_per_user=self._max_per_user,
                max_per_guild=self._max_per_guild,
                only_probe=is_stopped,
            )
        line_is_left = work.waiting > len(admitted)
        if work.places_are_due and line_is_left:
            places = records.take_line_refresh(tx, now_ms, limit=self._context.places_at_once)
        late = set[int]()
        if work.is_due or admitted:
            late = records.load_late(tx, now_ms) if self._context.metrics.is_on else late
            claimed = records.claim_due(
                tx, lease_holder=self._owner, now_ms=now_ms, lease_until_ms=self._lease_until_ms(), limit=free
            )
        is_full = len(places) == self._context.places_at_once or len(claimed) == free
        next_due_at_ms = now_ms if is_full else work.next_due_at_ms
        taken_over = sum(generation.id in late for generation in claimed)
        return HandedOut(began_at, claimed, places, next_due_at_ms, is_full or line_is_left, work.circuit, taken_over)

    def _until_next_due(self, handed_out: HandedOut) -> float:
        due_ms = handed_out.next_due_at_ms
        if due_ms is None or self._free_steps() <= 0:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(DUE_SECONDS, (due_ms - self._clock.now_ms()) / 1000))

    def _free_steps(self) -> int:
        """How many more steps may begin. Those that wait for memory don't count."""
        return MAX_STEPS - len(self._running) + self._context.images.waiting

    async def _run_maintenance(self) -> None:
        now = self._clock.monotonic()
        if now - self._maintained_at < MAINTENANCE_SECONDS:
            return
        await self._database.run(note_write, self._clock.now_ms())  # until it succeeds, each round tries and fails
        self._maintained_at = now
        await self._stored_schedule.save()
        await self._stored_limits.share()
        await self._context.run_maintenance()

    def _slots(self) -> int:
        return self._context.throttle.slots.count(self._clock.monotonic())

    # -- one claimed generation ----------------------------------------------------------------------------------

    async def _advance(self, generation: Generation) -> bool:
        """Work on one claim until it is given back. After any failure the lease runs out and the rows say what is
        next. Returns whether the generation may be due again before the next round."""
        set_generation(generation.id, generation.origin.user_id, generation.origin.guild_id)
        try:
            async with self._lease(generation):
                return await self._claimed_work.advance(generation)
        except LostClaim as lost:
            log.warning("%s; this process leaves it alone", lost)
        except MovedOn as overtaken:
            log.info("%s: its step is left undone", overtaken)
            await self._give_back(generation)
        except DatabaseLost as lost:
            said = "generation %s: %s; it is due again when the lease runs out"
            log.warning(said, generation.id, lost, extra=REPEATS)
        except Exception:  # one generation's fault must not end the others; it is due again by lease
            said = "generation %s: its step failed, it is due again when the lease runs out"
            log.exception(said, generation.id, extra=REPEATS)
        return True

    async def _give_back(self, generation: Generation) -> None:
        with contextlib.suppress(LostClaim, DatabaseLost):  # else it is due again when the lease runs out
            await self._database.run(records.release_claim, generation.id, generation.fence)

    @contextlib.asynccontextmanager
    async def _lease(self, generation: Generation) -> AsyncGenerator[None]:
        """Keep the claim alive while its step runs: a download or an upload may outlast one lease."""
        beat = asyncio.create_task(self._renew(generation), name=f"lease of {generation.id}")
        try:
            yield
        finally:
            beat.cancel()

    async def _renew(self, generation: Generation) -> None:
        while True:
            await self._clock.sleep(LEASE_SECONDS / 3)
            with contextlib.suppress(DatabaseLost):  # it may be back in time for the next beat
                await self._database.run(self._renew_in, generation)

    def _renew_in(self, tx: Transaction, generation: Generation) -> None:
        # The lease counts from when it is renewed: the transaction may have waited long for its turn.
        records.renew(tx, generation.id, generation.fence, self._lease_until_ms())

    def _lease_until_ms(self) -> int:
        return self._clock.now_ms() + round(LEASE_SECONDS * 1000)
