"""Run one scenario until nothing is left to do after its last fault, and record its history."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import itertools
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.simulation.calls import Call, Calls
from tests.simulation.changes import ACTIONS
from tests.simulation.disk import Disk
from tests.simulation.fake_discord import FIRST_CHANNEL, FIRST_PERSON, FakeDiscord, Interaction
from tests.simulation.image_api import ImageApi
from tests.simulation.invariants import check
from tests.simulation.loop import LIFE, NEVER, Deadlock, Life, VirtualLoop
from tests.simulation.process import Environment, Process
from tests.simulation.scenario import FAULTS, Asked, ByHand, Event, Pressed, Scenario, Window

QUIET_SECONDS = 10.0  # a run ends after nothing was left to do for so long
# Messages that wait, and generations with work left. Checks of kept images go on for ever and don't count.
UNDONE = """
    SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM reports WHERE due_at_ms IS NOT NULL) + count(*)
    FROM generations WHERE due_at_ms IS NOT NULL AND (revision > published_revision OR EXISTS (
        SELECT 1 FROM images WHERE generation_id = generations.id AND due_at_ms IS NOT NULL AND state <> 'undelivered'
    ) OR NOT EXISTS (SELECT 1 FROM images WHERE generation_id = generations.id AND state = 'undelivered'))
"""
# Words in random seeds that stay as they were, since the seeds in breakages.py depend on them.
SEED_WORDS = {"poll": "look"}
NEXT_NOON = datetime(2027, 1, 15, tzinfo=UTC)  # the end of a day and of an hour


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one run. *broken*: the messages of the invariants that were violated."""

    scenario: Scenario
    broken: tuple[str, ...]
    history: tuple[str, ...]
    steps: int
    seconds: float
    steps_of_lives: tuple[int, ...]  # of each life, until faults ended

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()


@dataclass(slots=True)
class Machine:
    """A machine. Its wall clock outlives the processes that run on it."""

    number: int
    offset_ms: int = 0
    life: Life | None = None
    process: Process | None = None
    context: contextvars.Context | None = None


class Run:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, *, record: bool) -> None:
        self.scenario = scenario
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda loop, context: None)  # tasks that dead processes leave unfinished
        self.history: list[str] = []
        self._record = record
        self._rngs = {kind: random.Random(f"{scenario.seed} {SEED_WORDS.get(kind, kind)}") for kind in FAULTS}
        start_ms = round(NEXT_NOON.timestamp() * 1000 - scenario.boundary_at * 1000)
        disk = Disk(random.Random(f"{scenario.seed} disk"), lambda: self.pick_fault("database"))
        api = ImageApi(
            self.loop,
            scenario.seed,
            scenario.outcomes,
            scenario.task_seconds,
            self.pick_fault,
            self.note,
            scenario.sizes,
            scenario.task_limit,
        )
        self.calls = Calls(self.loop, scenario.seed, scenario.calls, api, self._call)
        api.on_accept = self.calls.plan
        discord = FakeDiscord(
            self.loop, scenario.seed, start_ms, self.pick_fault, self.note, api.task_of_image, scenario.bot_limit
        )
        discord.closed_dms = {FIRST_PERSON + person for person in scenario.closed_dms}
        discord.token_only_channels = {FIRST_CHANNEL + channel for channel in scenario.token_only_channels}
        self.environment = Environment(scenario, self.loop, disk, api, discord, start_ms)
        for person, ping in enumerate(scenario.pings):
            disk.set_ping(FIRST_PERSON + person, ping)
        self.machines = [Machine(number) for number in range(scenario.processes)]
        self.lives: list[Life] = []
        self.started_at: dict[str, float] = {}
        self.died_at: dict[str, float] = {}
        self.paused: list[tuple[str, float, float]] = []
        self.interactions: dict[int, Interaction] = {}  # by the number of the request
        self.changed: dict[int, ByHand] = {}  # by the id of its interaction
        self._settling = False
        self._moments: Counter[tuple[str, str]] = Counter()
        self._outside = contextvars.copy_context()

    # -- faults ---------------------------------------------------------------

    def pick_fault(self, kind: str) -> str | None:
        """Return the fault of the next call of this *kind*; None: no fault."""
        now = self.loop.time()
        if now >= self.scenario.ends:
            return None
        self.moment("commit" if kind == "database" else kind)
        for window in self.scenario.windows:
            if window.kind == kind and window.begins <= now < window.ends and self._hit(window):
                return window.way or self._rngs[kind].choice(FAULTS[kind])
        return None

    def _hit(self, window: Window) -> bool:
        return self._rngs[window.kind].random() < window.probability

    def note(self, text: str) -> None:
        if self._record:
            self.history.append(f"{self.loop.time():9.3f}  {text}")

    def moment(self, kind: str) -> None:
        """Count a moment of the current life; a crash may be set relative to it."""
        life = LIFE.get()
        if life is None or self._settling:
            return
        self._moments[life.name, kind] += 1
        for crash in self.scenario.crashes:
            if (
                life.name == f"life-{crash.life}"
                and crash.moment == kind
                and crash.nth == self._moments[life.name, kind]
            ):
                life.dies_at_step, life.sleeps = life.steps + crash.step, crash.sleeps

    # -- processes ---------------------------------------------------------------

    def start(self, machine: Machine) -> None:
        number = len(self.lives)
        life = Life(f"life-{number}")
        life.on_death = lambda life: self._died(machine, life)
        life.on_sleep = self._stop
        for crash in self.scenario.crashes:
            if crash.life == number and not crash.moment:
                life.dies_at_step, life.sleeps = crash.step, crash.sleeps
        if self._settling:
            life.dies_at_step = NEVER
        self.lives.append(life)
        machine.life, machine.process = life, None
        self.started_at[life.name] = self.loop.time()
        self.note(f"{life.name} starts")
        self.loop.spawn(life, self._boot(machine, life))

    async def _boot(self, machine: Machine, life: Life) -> None:
        machine.process = Process(self.environment, life, machine.offset_ms)
        machine.context = contextvars.copy_context()
        try:
            await machine.process.run()
        except Exception as error:
            self.note(f"{life.name} ends by itself: {type(error).__name__}: {error}")
            life.die()

    def _died(self, machine: Machine, life: Life) -> None:
        self.note(f"{life.name} is dead after {life.steps} steps")
        self.died_at[life.name] = self.loop.time()
        self.environment.disk.forget(life)
        number = self.lives.index(life)
        delays = [crash.restart_after for crash in self.scenario.crashes if crash.life == number]
        machine.process = None
        self.loop.call_later(min(delays, default=1.0), self._restart, machine, life, context=self._outside)

    def _restart(self, machine: Machine, life: Life) -> None:
        if machine.life is life:
            self.start(machine)

    def _in(self, machine: Machine, work: Callable[[Process], Any]) -> bool:
        """Run *work* in the process of *machine*; False: no process runs there."""
        process = machine.process
        if process is None or machine.context is None or process.life.dead:
            return False
        context = machine.context.copy()
        self.loop.create_task(work(process), context=context)
        return True

    def _deliver(self, first: int, work: Callable[[Process], Any]) -> None:
        """Deliver an event to its machine, to another one that is up, or to none."""
        for shift in range(len(self.machines)):
            if self._in(self.machines[(first + shift) % len(self.machines)], work):
                return
        self.note("no process is up to receive an event")

    def _call(self, first: int, call: Call) -> None:
        self._deliver(first, lambda process: process.called(call))

    # -- people, operators and events ---------------------------------------------------------------

    async def _ask(self, asked: Asked) -> None:
        await asyncio.sleep(asked.at)
        interaction = self.environment.discord.new_interaction(asked.person, asked.channel, asked.number, asked.limit)
        self.interactions[asked.number] = interaction
        self.note(f"person {asked.person} asks for {asked.count} image(s): request {asked.number}, {interaction.id}")
        if asked.late:
            await asyncio.sleep(asked.late)
        self._deliver(asked.number, lambda process: process.imagine(asked, interaction))
        if asked.again_after is not None:
            await asyncio.sleep(asked.again_after)
            self.note(f"the event of request {asked.number} comes again")
            self._deliver(asked.number + 1, lambda process: process.imagine(asked, interaction))

    async def _press_cancel(self, pressed: Pressed) -> None:
        await asyncio.sleep(pressed.at)
        card = self._card_of(pressed.number)
        if card is None or card.deleted or not card.versions[-1].cancellable:
            return
        interaction = self.interactions[pressed.number]
        press = self.environment.discord.new_interaction(pressed.person, interaction.channel_id - FIRST_CHANNEL, None)
        self.note(f"person {pressed.person} presses Cancel on request {pressed.number}")
        message = self.environment.discord.message_payload(card)
        self._deliver(pressed.number, lambda process: process.press(interaction.id, press, message))

    async def _do_by_hand(self, done: ByHand) -> None:
        await asyncio.sleep(done.at)
        action, discord = ACTIONS[done.action], self.environment.discord
        interaction = discord.new_interaction(action.person - FIRST_PERSON, action.channel - FIRST_CHANNEL, None)
        self.changed[interaction.id] = done
        self.note(f"{done.action}: {interaction.id}")
        self._deliver(0, lambda process: process.change(done.action, interaction))
        if done.again_after is not None:
            await asyncio.sleep(done.again_after)
            self._deliver(1, lambda process: process.change(done.action, interaction))

    def _card_of(self, number: int) -> Any:
        interaction = self.interactions.get(number)
        return self.environment.discord.messages.get(interaction.message_id or 0) if interaction else None

    async def _apply_event(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        self.note(f"{event}")
        machine = self.machines[event.target % len(self.machines)]
        match event.kind:
            case "drain":
                await self._drain(machine, event.amount)
            case "pause":
                self._pause(machine, event.amount)
            case "jump":
                machine.offset_ms += round(event.amount * 1000)
                if machine.process is not None:
                    machine.process.clock.offset_ms = machine.offset_ms
            case "close":
                self.environment.discord.closed_channels.add(FIRST_CHANNEL + event.target)
                await asyncio.sleep(event.amount)
                self.environment.discord.closed_channels.discard(FIRST_CHANNEL + event.target)
            case "archive":
                self.environment.discord.archived.add(FIRST_CHANNEL + event.target)
            case "delete":
                card = self._card_of(event.target)
                if card is not None:
                    card.deleted = True
            case _:
                self._deliver(event.target, lambda process: process.balance(FIRST_PERSON + event.target))

    async def _drain(self, machine: Machine, pause: float) -> None:
        life, process = machine.life, machine.process
        if life is None or process is None or life.dead:
            return
        done = asyncio.Event()

        async def drain(process: Process) -> None:
            try:
                await process.drain()
            finally:
                self.loop.call_soon(done.set)

        self._in(machine, drain)
        try:
            await asyncio.wait_for(done.wait(), 30.0)  # SIGKILL follows
        except TimeoutError:
            self.note(f"{life.name} did not stop in time")
        if not life.dead:
            self.note(f"{life.name} has drained")
            life.on_death = lambda life: None
            life.die()
            self.died_at[life.name] = self.loop.time()
            self.environment.disk.forget(life)
            machine.process = None
            self.loop.call_later(pause, self._restart, machine, life, context=self._outside)

    def _pause(self, machine: Machine, seconds: float) -> None:
        if machine.life is not None and not self._settling:
            self._stop(machine.life, seconds)

    def _stop(self, life: Life, seconds: float) -> None:
        """SIGSTOP, and SIGCONT some time later."""
        if life.dead or life.paused:
            return
        life.paused = True
        now = self.loop.time()
        self.note(f"{life.name} is stopped for {seconds} s")
        self.paused.append((life.name, now, now + seconds))
        self.loop.call_later(seconds, life.wake, self.loop, context=self._outside)

    # -- the whole run ---------------------------------------------------------------

    def play(self) -> Verdict:
        broken: tuple[str, ...]
        with _product_log(self) if self._record else nullcontext():
            try:
                settled = self.loop.run_until_complete(self.loop.spawn(None, self._script()))
                broken = tuple(check(self)) if settled else ("the run never ends", *check(self))
            except Deadlock:
                broken = ("deadlock: every task waits and no timer is set",)
        if self.loop.faults:
            raise self.loop.faults[0]
        verdict = Verdict(
            self.scenario,
            broken,
            (*self.history, *self._rows()) if self._record else (),
            sum(life.steps for life in self.lives),
            self.loop.time(),
            tuple(life.steps_with_faults for life in self.lives),
        )
        self._end_tasks()
        return verdict

    async def _script(self) -> bool:
        scenario = self.scenario
        for machine in self.machines:
            self.start(machine)
        scripts = [
            *(self._ask(asked) for asked in scenario.asked),
            *(self._press_cancel(pressed) for pressed in scenario.pressed),
            *(self._apply_event(event) for event in scenario.events),
            *(self._do_by_hand(done) for done in scenario.by_hand),
        ]
        for script in scripts:
            self.loop.spawn(None, script)
        await asyncio.sleep(scenario.ends)
        self._end_faults()
        deadline = self.loop.time() + scenario.settles
        quiet_since = None
        while self.loop.time() < deadline:
            await asyncio.sleep(QUIET_SECONDS / 2)
            if not self._quiet():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = self.loop.time()
            elif self.loop.time() - quiet_since >= QUIET_SECONDS:
                return True
        return False

    def _end_faults(self) -> None:
        self.note("from here on nothing fails")
        self._settling = True
        self.environment.api.faults_ended = True
        self.environment.discord.closed_channels.clear()
        self.environment.discord.archived.clear()
        for life in self.lives:
            life.dies_at_step, life.steps_with_faults = NEVER, life.steps

    def _quiet(self) -> bool:
        """Whether nothing is left to do. Leases of dead processes on finished work don't count."""
        if any(life.paused for life in self.lives) or self.environment.disk.holder is not None:
            return False
        for machine in self.machines:
            if machine.process is None or not machine.process.is_idle:
                return False
        return self.environment.disk.ask(UNDONE) == [(0,)]

    def _rows(self) -> Iterator[str]:
        for table in ("accounts", "entries", "generations", "images", "audit", "outbox"):
            for row in self.environment.disk.ask(f"SELECT * FROM {table} ORDER BY 1, 2"):
                yield f"{table}: {row}"

    def _end_tasks(self) -> None:
        """End every task, so that garbage collection runs no code of them later."""
        for life in self.lives:
            life.is_over, life.paused = True, False
            life.run_backlog(self.loop)
        for _ in range(50):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(self.loop.create_task(asyncio.sleep(0.001)))
        self.environment.disk.close()
        self.loop.close()


_runs = itertools.count(1)


def play(scenario: Scenario, *, record: bool = False) -> Verdict:
    """Run *scenario*. With *record* its history is kept."""
    logging.disable(logging.NOTSET if record else logging.CRITICAL)
    gc.disable()
    try:
        return Run(scenario, record=record).play()
    finally:
        if next(_runs) % 20 == 0:
            gc.collect()
        gc.enable()
        logging.disable(logging.NOTSET)


@contextmanager
def _product_log(run: Run) -> Iterator[None]:
    """Add the product's log lines to the history."""

    class HistoryHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            interaction = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                interaction += f" [{type(record.exc_info[1]).__name__}: {record.exc_info[1]}]"
            run.note(f"  {record.name.rpartition('.')[2]}: {interaction}")

    logger = logging.getLogger("qwen_imagine")
    before, handler, propagate = logger.level, HistoryHandler(), logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagate
