"""Run real bot processes in a sandbox, and carry out a plan there.

Each action is recorded in a Timeline; the verdict is made elsewhere (verdict.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.bot_process import BotProcess, BotState
from sandbox.image_api import Mood, Post
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.state.snowflakes import shard_of
from sandbox.world import CLOCK_FILE, Sandbox
from tests.chaos.bots import find_ports, folder_of, make_bot
from tests.chaos.plan import (
    Action,
    CheckCredits,
    DiscordTrouble,
    Event,
    Imagine,
    Kill,
    Order,
    RestartDatabase,
    RollingRestart,
    SetMood,
    Stop,
    StopWhilePosting,
)
from tests.chaos.postgres import Postgres, open_postgres
from tests.chaos.timeline import Timeline
from tests.chaos.watch import DatabaseWatch
from tests.chaos.worlds import World

READY_SECONDS = 60.0
SECONDS_PER_IMAGE = (1.0, 5.0)
ANSWER_SECONDS = (0.05, 0.5)  # as over a real network, so that a kill can happen during a request
STOP_PHASE_ANSWER_SECONDS = (2.0, 3.0)  # long enough to stop a process before the answer comes, also on a busy machine
POSTER_SECONDS = 10.0  # how long to wait for a POST; requests come more often
NO_DATABASE = "the database can't be opened"
MAX_CONCURRENCY = 2  # buckets of IDENTIFYs; each has shards of every process
IDENTIFY_SPACING_MS = 4_000  # Discord's 5 s, and a second for a stand-in that reads an IDENTIFY late on a busy machine
MOST_IDENTIFIES = 100_000  # a day; a bot sends a thirty-second part of them in an hour, and a run has dozens of starts
SETTINGS = {
    "QWEN_MAX_TASKS": "16",
    "MAX_IMAGES_PER_USER": "5",
    "MAX_QUEUE": "40",
    "REQUESTS_PER_MINUTE": "0",
    "CREDITS_PER_PERIOD": "5000",
    "TASK_DEADLINE_SECONDS": "40",  # short, so that deadlines pass and late images come
    "LOG_LEVEL": "INFO",
}
CROWD_SETTINGS = {
    "QWEN_MAX_TASKS": "100",
    "MAX_IMAGES_PER_USER": "100",
    "MAX_QUEUE": "400",
}


@dataclass(slots=True)
class Place:
    """Where one process runs: *bot* is its number, *spare* that of the one that may take its place. Who holds *lock*
    kills, stops or replaces it."""

    bot: int
    spare: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that Discord delivered: a session of its shard was open. *place*: whose; *at_ms*: monotonic, by the
    clock of the image API."""

    person: str
    place: Place
    at_ms: int


@dataclass
class Experiment:
    """The processes and stand-ins of one run. `counts`: how many actions of each kind. `bots`: one for each place, then
    their spares."""

    world: World
    folder: Path
    box: Sandbox
    bots: list[BotProcess]
    address: str
    postgres: Postgres | None
    ports: list[int]  # the callback port of each bot; empty without callbacks
    timeline: Timeline
    places: list[Place]
    watch: DatabaseWatch | None = None
    counts: Counter[str] = field(default_factory=Counter)
    asked: dict[int, Imagine] = field(default_factory=dict)  # by interaction id
    cancels: dict[int, int] = field(
        default_factory=dict
    )  # interaction id of the button press -> interaction id of the request
    delivered: dict[int, Command] = field(default_factory=dict)  # by interaction id; only where shards are divided
    unexpected_ends: list[str] = field(default_factory=list)
    _is_restarting: bool = True
    _kept_down: set[int] = field(default_factory=set)

    def poster_of(self, post: Post) -> int | None:
        """Return which process sent *post*, by the port of its callback URL; None where that can't be told."""
        if len(self.bots) == 1:
            return 0
        url = str(post.body.get("callback_url")) if isinstance(post.body, dict) else ""
        return next((number for number, port in enumerate(self.ports) if f":{port}/" in url), None)

    def log_of(self, process: int) -> list[str]:
        """Return the log lines of one bot over all its starts."""
        log = folder_of(self.folder, process) / "bot.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []

    async def run_plan(self, plan: list[Event]) -> None:
        """Start each action at its time, and watch the database; return when all have ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.timeline.begin()
        watching = asyncio.create_task(self.watch.run()) if self.watch else None
        async with asyncio.TaskGroup() as actions:
            for event in plan:
                await asyncio.sleep(max(0.0, began + event.at_seconds - loop.time()))
                actions.create_task(self.do(event.action))
        if watching is not None:
            watching.cancel()

    async def do(self, action: Action) -> None:
        match action:
            case Kill():
                await self._kill(action)
            case Stop(process, seconds):
                async with self.places[process].lock:
                    await self._stop(self.places[process].bot, seconds)
            case RollingRestart(orders):
                await self._roll(orders)
            case StopWhilePosting():
                await self._stop_while_posting(action)
            case RestartDatabase():
                await self._restart_database(action)
            case SetMood(mood):
                self.timeline.note(f"mood {mood.value}", mood=mood)
                self.box.images.set_mood(mood)
            case DiscordTrouble(kind):
                self._trouble_discord(kind)
            case Imagine():
                await self._imagine(action)
            case CheckCredits(person, channel):
                await self._command(person, channel, "credits")
                self.counts["/credits"] += 1

    def clear_faults(self) -> None:
        """End every fault of the stand-ins."""
        self.timeline.note("no more faults", mood=Mood.NORMAL)
        self.box.images.set_mood(Mood.NORMAL)
        self.box.discord.faults.clear()

    async def restart_ended_bots(self) -> None:
        """Start every process that ended again, as a host does, until the run closes."""
        while self._is_restarting:
            for number, bot in enumerate(self.bots):
                if number not in self._kept_down and bot.state in (BotState.DIED, BotState.STOPPED):
                    self._note_end(number, list(bot.log)[-4:])
                    await bot.start()
            await asyncio.sleep(1.0)

    def _note_end(self, number: int, last_lines: list[str]) -> None:
        """Count an end. A bot may end with a sentence when it starts without a database; other ends are unexpected."""
        if self.postgres is not None and any(NO_DATABASE in line for line in last_lines):
            self.counts["starts without a database"] += 1
        else:
            self.unexpected_ends.append(f"process {number}: {' | '.join(last_lines)}")

    # -- faults -----------------------------------------------------------------------------------------------

    async def _kill(self, action: Kill) -> None:
        place = self.places[action.process]
        async with place.lock:
            self._kept_down.add(place.bot)
            self.timeline.note(f"kill -9 of process {place.bot}", killed=place.bot)
            await self.bots[place.bot].kill()
            self.counts["kills"] += 1
            await asyncio.sleep(action.down_seconds)
            await self._start(place.bot)

    async def _start(self, number: int) -> None:
        self.timeline.note(f"start of process {number}")
        await self.bots[number].start()
        self._kept_down.discard(number)

    async def _stop(self, number: int, seconds: float) -> None:
        group = self.bots[number].pid
        if group is None:
            return
        self.counts["stops"] += 1
        self.timeline.note(f"SIGSTOP of process {number}", stopped=number)
        self._signal(group, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.timeline.note(f"SIGCONT of process {number}", resumed=number)
            self._signal(group, signal.SIGCONT)

    async def _roll(self, orders: Sequence[Order]) -> None:
        for place, order in zip(self.places, orders, strict=True):
            async with place.lock:
                old, self.counts["replaced"] = place.bot, self.counts["replaced"] + 1
                if order == "start, stop":
                    place.bot, place.spare = place.spare, place.bot
                    await self._start_and_wait(place.bot)
                self._kept_down.add(old)
                self.timeline.note(f"SIGTERM of process {old}")
                await self.bots[old].stop()
                self.timeline.note(f"end of process {old}")
                if order == "stop, start":
                    await self._start_and_wait(place.bot)

    async def _start_and_wait(self, number: int) -> None:
        """Start a process and wait until it is ready, however often it ends because the database is away."""
        await self._start(number)
        try:
            async with asyncio.timeout(READY_SECONDS):
                while self.bots[number].state is not BotState.RUNNING:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.unexpected_ends.append(f"process {number} was not ready after {READY_SECONDS:.0f} s")

    async def _stop_while_posting(self, action: StopWhilePosting) -> None:
        self.box.images.answer_seconds = STOP_PHASE_ANSWER_SECONDS
        try:
            poster = await self._next_poster()
        finally:
            self.box.images.answer_seconds = ANSWER_SECONDS
        if poster is not None:
            self.counts["stops within a POST"] += 1
            await self._stop(poster, action.seconds)

    async def _next_poster(self) -> int | None:
        """Return which process sends the next POST that is taken; None after POSTER_SECONDS."""
        posts = self.box.images.posts
        seen, until = len(posts), asyncio.get_running_loop().time() + POSTER_SECONDS
        while asyncio.get_running_loop().time() < until:
            posters = (self.poster_of(post) for post in posts[seen:] if post.status == 200)
            if (poster := next((each for each in posters if each is not None), None)) is not None:
                return poster
            seen = len(posts)
            await asyncio.sleep(0.005)
        return None

    @staticmethod
    def _signal(group: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

    async def _restart_database(self, action: RestartDatabase) -> None:
        assert self.postgres is not None
        self.counts["database restarts"] += 1
        self.timeline.note("PostgreSQL ends")
        await self.postgres.stop_immediately()
        await asyncio.sleep(action.down_seconds)
        await self.postgres.start()
        self.timeline.note("PostgreSQL is back")

    def _trouble_discord(self, kind: str) -> None:
        faults = self.box.discord.faults
        edits, answers = r"/messages/", r"/callback"
        troubles: dict[str, Callable[[], object]] = {
            "reconnect": faults.gateway_reconnect,
            "cut": partial(faults.gateway_close, 4000),
            "drop": partial(faults.gateway_close, 1006),
            "edits_fail": partial(faults.rest, "PATCH", edits, times=4, status=503),
            "edits_unheard": partial(faults.rest, "PATCH", edits, times=2, drop="after"),
            "answers_unheard": partial(faults.rest, "POST", answers, times=1, drop="after"),
            "event_twice": partial(faults.gateway_repeat, times=2),
        }
        self.counts["troubles of Discord"] += 1
        self.timeline.note(f"Discord: {kind}")
        troubles[kind]()

    # -- requests ------------------------------------------------------------------------------------------------

    async def _imagine(self, action: Imagine) -> None:
        actor = self.box.discord.actor(action.person)
        interaction_id = await self._command(action.person, action.channel, "imagine", **action.options)
        self.asked[interaction_id] = action
        self.counts["requests"] += 1
        if action.cancel_after_seconds is None:
            return
        await asyncio.sleep(action.cancel_after_seconds)
        card = actor.answer(interaction_id)
        if card is None:
            return
        with contextlib.suppress(Refused):  # no image waits any more
            self.cancels[await actor.press(int(card["id"]), "Cancel")] = interaction_id
            self.counts["cancels"] += 1

    async def _command(self, person: str, channel: str, name: str, **options: Any) -> int:
        """Type a command, and note it if it was sent on an open session. Return the interaction's id."""
        actor = self.box.discord.actor(person)
        place = self._heard_by(actor.find_channel(channel).guild_id)
        interaction_id = await actor.command(channel, name, **options)
        if place is not None:
            self.delivered[interaction_id] = Command(person, place, self.timeline.now_ms)
            self.counts["delivered"] += 1
        return interaction_id

    def _heard_by(self, guild_id: int | None) -> Place | None:
        """Return the place of the guild's shard, None while it has no session with a socket, or where no shards are
        divided."""
        if not self.world.shards:
            return None
        shard_id = shard_of(guild_id, self.world.shards)
        is_open = shard_id in self.box.discord.gateway.connected_shards
        return self.places[self.world.process_of(shard_id)] if is_open else None

    def keep_down(self, numbers: Iterable[int]) -> None:
        """Do not start these processes when they have ended."""
        self._kept_down.update(numbers)

    async def close(self) -> None:
        """Stop the bots while the database still answers."""
        self._is_restarting = False
        await asyncio.gather(*(bot.stop(25) for bot in self.bots))


@contextlib.asynccontextmanager
async def open_experiment(folder: Path, world: World, *, seed: int, bot_script: Path) -> AsyncIterator[Experiment]:
    """Open a run whose bots are ready and have synced their commands."""
    async with contextlib.AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(open_postgres()) if world.postgresql else None
        address = postgres.address if postgres else f"sqlite:///{folder / 'bot.sqlite3'}"
        settings = {**SETTINGS, **(CROWD_SETTINGS if world.commands_per_second else {}), "DATABASE_URL": address}
        box = await stack.enter_async_context(
            Sandbox(data_dir=folder, bot_settings=settings, seed=seed, seconds_per_image=SECONDS_PER_IMAGE)
        )
        if postgres:
            await postgres.follow_clock(folder / CLOCK_FILE)
        box.images.answer_seconds = ANSWER_SECONDS
        _limit_identifies(box, world)
        experiment = _make_experiment(folder, world, box, address, postgres, bot_script)
        stack.push_async_callback(experiment.close)
        running = experiment.bots[: world.places]
        for bot in running:
            await bot.start()
            if not world.shards:
                await bot.wait_ready(READY_SECONDS)
        await asyncio.gather(*(bot.wait_ready(READY_SECONDS) for bot in running))
        restarting = asyncio.create_task(experiment.restart_ended_bots())
        stack.callback(restarting.cancel)
        yield experiment


def _make_experiment(
    folder: Path, world: World, box: Sandbox, address: str, postgres: Postgres | None, bot_script: Path
) -> Experiment:
    """Make the processes of a run, none of which is started, and where shards are divided a spare for each."""
    count = world.places * (2 if world.shards else 1)
    ports: list[int] = find_ports(count) if world.callbacks else []
    bots = [
        make_bot(box, bot_script, folder_of(folder, number), world, number % world.places, port)
        for number, port in itertools.zip_longest(range(count), ports)
    ]
    experiment = Experiment(
        *(world, folder, box, bots, address, postgres, ports, Timeline(box.images.now_ms, box.clock.now_ms)),
        places=[Place(number, number + world.places) for number in range(world.places)],
        watch=DatabaseWatch(address) if world.postgresql else None,
    )
    experiment.keep_down(range(world.places, count))
    return experiment


def _limit_identifies(box: Sandbox, world: World) -> None:
    """Have the local Discord recommend the shards of *world*, and watch how soon they are started."""
    if world.shards:
        gateway = box.discord.gateway
        gateway.shards, gateway.max_concurrency = world.shards, MAX_CONCURRENCY
        gateway.identify_spacing_ms, gateway.most_identifies = IDENTIFY_SPACING_MS, MOST_IDENTIFIES
