"""Runs one scenario from its first event to the silence after its last fault, and keeps its history."""

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
from functools import cache
from typing import Any

from tests.simulation.calls import Call, Calls
from tests.simulation.discord_world import FIRST_CHANNEL, FIRST_PERSON, DiscordWorld, Interaction
from tests.simulation.disk import Databases, Disk
from tests.simulation.image_api import ImageApi
from tests.simulation.invariants import check
from tests.simulation.loop import LIFE, NEVER, Deadlock, Life, VirtualLoop
from tests.simulation.process import Process, World
from tests.simulation.scenario import FAULTS, Asked, Event, Pressed, Scenario, Window

SETTLE_SECONDS = 1.5 * 3600.0
QUIET_SECONDS = 10.0  # nothing may be left to do for so long
# A kept image is asked about now and then for as long as it is kept: its generation alone keeps nobody busy.
UNDONE = """
    SELECT count(*) FROM generations WHERE due_at_ms IS NOT NULL AND (revision > published_revision OR EXISTS (
        SELECT 1 FROM images WHERE generation_id = generations.id AND due_at_ms IS NOT NULL AND state <> 'undelivered'
    ) OR NOT EXISTS (SELECT 1 FROM images WHERE generation_id = generations.id AND state = 'undelivered'))
"""
NEXT_NOON = datetime(2027, 1, 15, tzinfo=UTC)  # the end of a day and of an hour


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one run. *broken*: the sentences of the invariants that did not hold."""

    scenario: Scenario
    broken: tuple[str, ...]
    history: tuple[str, ...]
    steps: int
    seconds: float
    steps_of_lives: tuple[int, ...]  # as long as a life was in danger

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()


@dataclass(slots=True)
class Slot:
    """A machine: its wall clock outlives the processes that run on it."""

    number: int
    offset_ms: int = 0
    life: Life | None = None
    process: Process | None = None
    context: contextvars.Context | None = None


class Run:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, databases: Databases, *, record: bool) -> None:
        self.scenario = scenario
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda loop, context: None)  # what the dead leave unfinished
        self.history: list[str] = []
        self._record = record
        self._dice = {kind: random.Random(f"{scenario.seed} {kind}") for kind in FAULTS}
        start_ms = round(NEXT_NOON.timestamp() * 1000 - scenario.boundary_at * 1000)
        disk = Disk(databases.template, random.Random(f"{scenario.seed} disk"), lambda: self.trouble("database"))
        api = ImageApi(
            self.loop,
            scenario.seed,
            scenario.outcomes,
            scenario.paints,
            self.trouble,
            self.note,
            scenario.sizes,
            scenario.task_limit,
        )
        self.calls = Calls(self.loop, scenario.seed, scenario.calls, api, self._call)
        api.on_take = self.calls.plan
        discord = DiscordWorld(
            self.loop, scenario.seed, start_ms, self.trouble, self.note, api.task_shown, scenario.bot_limit
        )
        discord.closed_dms = {FIRST_PERSON + person for person in scenario.closed_dms}
        discord.secluded = {FIRST_CHANNEL + channel for channel in scenario.secluded}
        self.world = World(scenario, self.loop, disk, databases, api, discord, start_ms)
        for person, ping in enumerate(scenario.pings):
            disk.set_ping(FIRST_PERSON + person, ping)
        self.slots = [Slot(number) for number in range(scenario.processes)]
        self.lives: list[Life] = []
        self.died_at: dict[str, float] = {}
        self.paused: list[tuple[str, float, float]] = []
        self.interactions: dict[int, Interaction] = {}  # by the number of the request
        self._settling = False
        self._moments: Counter[tuple[str, str]] = Counter()
        self._outside = contextvars.copy_context()

    # -- what goes wrong ---------------------------------------------------------------

    def trouble(self, kind: str) -> str | None:
        """What goes wrong with a call of this *kind* that is about to be made; None: nothing."""
        now = self.loop.time()
        if now >= self.scenario.ends:
            return None
        self.moment("commit" if kind == "database" else kind)
        for window in self.scenario.windows:
            if window.kind == kind and window.begins <= now < window.ends and self._hit(window):
                return window.way or self._dice[kind].choice(FAULTS[kind])
        return None

    def _hit(self, window: Window) -> bool:
        return self._dice[window.kind].random() < window.probability

    def note(self, text: str) -> None:
        if self._record:
            self.history.append(f"{self.loop.time():9.3f}  {text}")

    def moment(self, kind: str) -> None:
        """A life is about to do something at which a crash may be aimed."""
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

    def start(self, slot: Slot) -> None:
        number = len(self.lives)
        life = Life(f"life-{number}")
        life.on_death = lambda life: self._died(slot, life)
        life.on_sleep = self._stop
        for crash in self.scenario.crashes:
            if crash.life == number and not crash.moment:
                life.dies_at_step, life.sleeps = crash.step, crash.sleeps
        if self._settling:
            life.dies_at_step = NEVER
        self.lives.append(life)
        slot.life, slot.process = life, None
        self.note(f"{life.name} starts")
        self.loop.spawn(life, self._boot(slot, life))

    async def _boot(self, slot: Slot, life: Life) -> None:
        slot.process = Process(self.world, life, slot.offset_ms)
        slot.context = contextvars.copy_context()
        try:
            await slot.process.run()
        except Exception as error:
            self.note(f"{life.name} ends by itself: {type(error).__name__}: {error}")
            life.die()

    def _died(self, slot: Slot, life: Life) -> None:
        self.note(f"{life.name} is dead after {life.steps} steps")
        self.died_at[life.name] = self.loop.time()
        self.world.disk.forget(life)
        number = self.lives.index(life)
        delays = [crash.restart_after for crash in self.scenario.crashes if crash.life == number]
        slot.process = None
        self.loop.call_later(min(delays, default=1.0), self._restart, slot, life, context=self._outside)

    def _restart(self, slot: Slot, life: Life) -> None:
        if slot.life is life:
            self.start(slot)

    def _in(self, slot: Slot, work: Callable[[Process], Any]) -> bool:
        """Have a process do something; False: nobody is there."""
        process = slot.process
        if process is None or slot.context is None or process.life.dead:
            return False
        context = slot.context.copy()
        self.loop.create_task(work(process), context=context)
        return True

    def _deliver(self, first: int, work: Callable[[Process], Any]) -> None:
        """An event goes to the machine it belongs to, or to another one that is up, or to nobody."""
        for shift in range(len(self.slots)):
            if self._in(self.slots[(first + shift) % len(self.slots)], work):
                return
        self.note("nobody is there to take an event")

    def _call(self, first: int, call: Call) -> None:
        self._deliver(first, lambda process: process.called(call))

    # -- what people and operators do ---------------------------------------------------------------

    async def _ask(self, asked: Asked) -> None:
        await asyncio.sleep(asked.at)
        interaction = self.world.discord.new_interaction(asked.person, asked.channel, asked.number, asked.limit)
        self.interactions[asked.number] = interaction
        self.note(f"person {asked.person} asks for {asked.count} image(s): request {asked.number}, {interaction.id}")
        if asked.late:
            await asyncio.sleep(asked.late)
        self._deliver(asked.number, lambda process: process.imagine(asked, interaction))
        if asked.again_after is not None:
            await asyncio.sleep(asked.again_after)
            self.note(f"the event of request {asked.number} comes again")
            self._deliver(asked.number + 1, lambda process: process.imagine(asked, interaction))

    async def _reencoder(self, pressed: Pressed) -> None:
        await asyncio.sleep(pressed.at)
        card = self._card_of(pressed.number)
        if card is None or card.deleted or not card.versions[-1].cancellable:
            return
        told = self.interactions[pressed.number]
        press = self.world.discord.new_interaction(pressed.person, told.channel_id - FIRST_CHANNEL, None)
        self.note(f"person {pressed.person} presses Cancel on request {pressed.number}")
        shown = self.world.discord.shown(card)
        self._deliver(pressed.number, lambda process: process.press(told.id, press, shown))

    def _card_of(self, number: int) -> Any:
        told = self.interactions.get(number)
        return self.world.discord.messages.get(told.message_id or 0) if told else None

    async def _happen(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        self.note(f"{event}")
        slot = self.slots[event.target % len(self.slots)]
        match event.kind:
            case "drain":
                await self._drain(slot, event.amount)
            case "pause":
                self._pause(slot, event.amount)
            case "jump":
                slot.offset_ms += round(event.amount * 1000)
                if slot.process is not None:
                    slot.process.clock.offset_ms = slot.offset_ms
            case "close":
                self.world.discord.closed_channels.add(FIRST_CHANNEL + event.target)
                await asyncio.sleep(event.amount)
                self.world.discord.closed_channels.discard(FIRST_CHANNEL + event.target)
            case "archive":
                self.world.discord.archived.add(FIRST_CHANNEL + event.target)
            case "delete":
                card = self._card_of(event.target)
                if card is not None:
                    card.deleted = True
            case _:
                self._deliver(event.target, lambda process: process.balance(FIRST_PERSON + event.target))

    async def _drain(self, slot: Slot, pause: float) -> None:
        life, process = slot.life, slot.process
        if life is None or process is None or life.dead:
            return
        done = asyncio.Event()

        async def drain(process: Process) -> None:
            try:
                await process.drain()
            finally:
                self.loop.call_soon(done.set)

        self._in(slot, drain)
        try:
            await asyncio.wait_for(done.wait(), 30.0)  # SIGKILL follows
        except TimeoutError:
            self.note(f"{life.name} did not stop in time")
        if not life.dead:
            self.note(f"{life.name} has drained")
            life.on_death = lambda life: None
            life.die()
            self.died_at[life.name] = self.loop.time()
            self.world.disk.forget(life)
            slot.process = None
            self.loop.call_later(pause, self._restart, slot, life, context=self._outside)

    def _pause(self, slot: Slot, seconds: float) -> None:
        if slot.life is not None and not self._settling:
            self._stop(slot.life, seconds)

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
                broken = tuple(check(self)) if settled else ("it never comes to rest", *check(self))
            except Deadlock:
                broken = ("everybody waits for nothing",)
        if self.loop.faults:
            raise self.loop.faults[0]
        verdict = Verdict(
            self.scenario,
            broken,
            (*self.history, *self._rows()) if self._record else (),
            sum(life.steps for life in self.lives),
            self.loop.time(),
            tuple(life.steps_in_danger for life in self.lives),
        )
        self._bury()
        return verdict

    async def _script(self) -> bool:
        scenario = self.scenario
        for slot in self.slots:
            self.start(slot)
        plans = [
            *(self._ask(asked) for asked in scenario.asked),
            *(self._reencoder(pressed) for pressed in scenario.pressed),
            *(self._happen(event) for event in scenario.events),
        ]
        for plan in plans:
            self.loop.spawn(None, plan)
        await asyncio.sleep(scenario.ends)
        self._heal()
        deadline = self.loop.time() + SETTLE_SECONDS
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

    def _heal(self) -> None:
        self.note("from here on nothing fails")
        self._settling = True
        self.world.api.healed = True
        self.world.discord.closed_channels.clear()
        self.world.discord.archived.clear()
        for life in self.lives:
            life.dies_at_step, life.steps_in_danger = NEVER, life.steps

    def _quiet(self) -> bool:
        """Whether nobody has anything left to do. A lease that a dead process left on finished work means nothing."""
        if any(life.paused for life in self.lives) or self.world.disk.holder is not None:
            return False
        for slot in self.slots:
            if slot.process is None or not slot.process.rests:
                return False
        return self.world.disk.ask(UNDONE) == [(0,)]

    def _rows(self) -> Iterator[str]:
        for table in ("accounts", "entries", "generations", "images"):
            for row in self.world.disk.ask(f"SELECT * FROM {table} ORDER BY 1, 2"):
                yield f"{table}: {row}"

    def _bury(self) -> None:
        """Let every task end, so that nothing is left for the garbage collector to run."""
        for life in self.lives:
            life.buried, life.paused = True, False
            life.run_backlog(self.loop)
        for _ in range(50):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(self.loop.create_task(asyncio.sleep(0.001)))
        self.world.disk.sqlite.close()
        self.loop.close()


@cache
def databases() -> Databases:
    return Databases()


_runs = itertools.count(1)


def play(scenario: Scenario, *, record: bool = False) -> Verdict:
    """Run *scenario*. With *record* its history is kept."""
    logging.disable(logging.NOTSET if record else logging.CRITICAL)
    gc.disable()
    try:
        return Run(scenario, databases(), record=record).play()
    finally:
        if next(_runs) % 20 == 0:
            gc.collect()
        gc.enable()
        logging.disable(logging.NOTSET)


@contextmanager
def _product_log(run: Run) -> Iterator[None]:
    """The product's own log lines become part of the history."""

    class Scribe(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                told += f" [{type(record.exc_info[1]).__name__}: {record.exc_info[1]}]"
            run.note(f"  {record.name.rpartition('.')[2]}: {told}")

    logger = logging.getLogger("qwen_imagine")
    before, scribe, propagate = logger.level, Scribe(), logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(scribe)
    try:
        yield
    finally:
        logger.removeHandler(scribe)
        logger.setLevel(before)
        logger.propagate = propagate
