"""The questions that the bench answers. Each yields figures by case and bot; one run of a question asks all bots."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bots import (
    FLOOR,
    NAIVE,
    POSTGRESQL,
    SQLITE,
    SQLITE_CALLBACKS,
    Bot,
    RunningBot,
    open_bot,
    open_folder,
)
from bench.databases import Databases
from bench.figures import Figures, read_stall
from bench.line import measure_rounds
from bench.load import Load, answers, run_load, send_commands
from bench.seeding import CREDITS, seed_images, seed_waiting, seed_waiting_privately
from bench.standins import StandIns, open_standins, task_durations
from bench.tables import Column

PROBE = Path(__file__).with_name("probe")
BOTS = (FLOOR, NAIVE, SQLITE, POSTGRESQL)
TASK_SECONDS = (8, 15, 30)
RATES = (10, 25, 50, 75, 100, 125, 150)
STARTS = 3
CORES_FOR_TWO = 4
MANY = 5000
BURST = "200 in one second"
FLIGHT, BESIDE, ALL_DONE = f"{MANY:,} in flight", "200 commands beside", "all done at once"
FIRST_START, LATER_START = "first start", "later start"
HELD = "held for 20 s"
ONE_PROCESS, TWO_PROCESSES, FOUR_PROCESSES = (
    replace(POSTGRESQL, name=f"{number} process{'es' if number > 1 else ''}", processes=number) for number in (1, 2, 4)
)
ROWS = (1000, 5000, 10_000)
WAIT, WAIT_PRIVATELY, RUN = "waiting", "waiting, no card can be edited", "running"
ENDLESS_SECONDS = 86_400.0
WAITING_IMAGES = 2000
WAITING = f"{WAITING_IMAGES:,} waiting"


@dataclass(frozen=True, slots=True)
class Bench:
    """What every question needs. *quick*: fewer cases, shorter, for a first look; *seed*: of the tasks' durations."""

    databases: Databases
    image: bytes
    quick: bool
    seed: int


Asked = AsyncIterator[tuple[str, Bot, Figures]]


@dataclass(frozen=True, slots=True)
class Question:
    """*text*: what is done, for the document."""

    name: str
    title: str
    text: str
    columns: Sequence[Column]
    ask: Callable[[Bench], Asked]


async def _measure(bench: Bench, bot: Bot, load: Load, task_seconds: float) -> Figures:
    """Start *bot* on an empty database and run *load*."""
    durations = task_durations(task_seconds, bench.seed)
    async with (
        open_folder(bot, bench.databases) as (folder, settings),
        open_standins(durations, bench.image) as standins,
        open_bot(bot, standins, folder, settings) as running,
    ):
        return await run_load(running, standins, load, bench.databases)


async def load(bench: Bench) -> Asked:
    cases = {"20/s for 10 s": (20, 10), "50/s for 20 s": (50, 20), BURST: (200, 1)}
    if bench.quick:
        cases = {"20/s for 5 s": (20, 5)}
    for case, (per_second, seconds) in cases.items():
        for bot in BOTS[:3] if bench.quick else BOTS:
            asked = Load(per_second, seconds, has_images=bot is not FLOOR)
            yield case, bot, await _measure(bench, bot, asked, 3 if bench.quick else 8)


async def ready(bench: Bench) -> Asked:
    """Run the bots side by side: at this rate each takes a few percent of a core, and what is asked takes seconds."""
    bots = (NAIVE, SQLITE, SQLITE_CALLBACKS)
    for task_seconds in (3,) if bench.quick else TASK_SECONDS:
        asked = Load(4, 10 if bench.quick else 60)
        measuring = [_measure(bench, bot, asked, task_seconds) for bot in bots]
        for bot, figures in zip(bots, await asyncio.gather(*measuring), strict=True):
            yield tasks_of(task_seconds), bot, figures


def three_processes(images: int) -> Bot:
    return replace(POSTGRESQL, name=f"{images:,} images", processes=3)


def tasks_of(seconds: int) -> str:
    return f"tasks of {seconds} s"


async def sustained(bench: Bench) -> Asked:
    """Raise the rate until a bot no longer holds it."""
    for bot in (SQLITE,) if bench.quick else BOTS:
        seconds = 10 if bench.quick or bot is FLOOR else 20
        async for asked in _raise_rate(bench, bot, RATES[2:3] if bench.quick else RATES, seconds):
            yield asked


async def _raise_rate(bench: Bench, bot: Bot, rates: Sequence[int], seconds: int) -> Asked:
    held = 0.0
    for per_second in rates:
        asked = Load(per_second, seconds, has_images=bot is not FLOOR, wait_seconds=20)
        figures = await _measure(bench, bot, asked, 3 if bench.quick else 8)
        yield f"{per_second}/s", bot, figures
        if not holds(figures, per_second):
            break
        held = per_second
    yield HELD, bot, {"held_per_second": held}


def holds(figures: Figures, per_second: float) -> bool:
    """Whether everybody was answered and got the image, 5 s after it was ready on average; and whether the bench itself
    sent as many commands as it should."""
    served = min(figures["answered"], figures.get("posted", figures["answered"]))
    in_step = figures["sent_per_second"] >= 0.95 * per_second
    return served == figures["commands"] and figures.get("ready_posted_s", 0.0) <= 5 and in_step


async def start(bench: Bench) -> Asked:
    for bot in BOTS:
        for _ in range(1 if bench.quick else STARTS):
            async with (
                open_folder(bot, bench.databases) as (folder, settings),
                open_standins(task_durations(8, bench.seed), bench.image) as standins,
            ):
                for case in (FIRST_START, LATER_START):
                    async with open_bot(bot, standins, folder, settings) as running:
                        await asyncio.sleep(0.5)
                        cpu_seconds = running.cpu_seconds()
                    yield case, bot, {"start_s": running.start_seconds, "start_cpu_s": cpu_seconds}


async def flight(bench: Bench) -> Asked:
    for bot in (SQLITE,) if bench.quick else (SQLITE, POSTGRESQL):
        async with (
            open_folder(bot, bench.databases) as (folder, settings),
            open_standins(task_durations(8, bench.seed), bench.image) as standins,
        ):
            await seed_images(settings["DATABASE_URL"], MANY, standins, now_ms())
            probe = folder / "probe"
            settings |= {
                "CREDITS_PER_PERIOD": str(CREDITS),
                "TASK_DEADLINE_SECONDS": "86400",
                "PYTHONPATH": str(PROBE),
                "BENCH_PROBE_FILE": str(probe),
            }
            async with open_bot(bot, standins, folder, settings) as running:
                yield FLIGHT, bot, await _in_flight(running, standins, probe, 5 if bench.quick else 30)
                yield BESIDE, bot, await _commands_beside(standins, probe)
                if not bench.quick:
                    yield ALL_DONE, bot, await _all_done(running, standins, probe)


async def _in_flight(running: RunningBot, standins: StandIns, probe: Path, seconds: float) -> Figures:
    await asyncio.sleep(10)  # the first rounds after a start are not the usual ones
    polls, calls, cpu, since_ms = standins.polls, standins.calls, running.cpu_seconds(), now_ms()
    await asyncio.sleep(seconds)
    return {
        "polls_per_second": (standins.polls - polls) / seconds,
        "calls_per_second": (standins.calls - calls) / seconds,
        "closest_polls_s": standins.closest_polls_seconds,
        "core_percent": (running.cpu_seconds() - cpu) / seconds * 100,
        "peak_mb": running.memory_mb()[1],
        **_stall(probe, since_ms),
    }


async def _commands_beside(standins: StandIns, probe: Path) -> Figures:
    since_ms = now_ms()
    commands = await send_commands(standins, 200, 200)
    await asyncio.sleep(4)
    return {**answers(commands), **_stall(probe, since_ms)}


async def _all_done(running: RunningBot, standins: StandIns, probe: Path) -> Figures:
    seeded = [task.command for task in standins.tasks.values() if task.command.ready_at == math.inf]
    began, since_ms = time.monotonic(), now_ms()
    standins.finish_all()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(300):
            while any(command.posted_at == math.inf for command in seeded):  # noqa: ASYNC110 - the stand-ins only note
                await asyncio.sleep(0.2)
    count = sum(command.posted_at < math.inf for command in seeded)
    return {
        "posted": count,
        "posted_per_second": count / (time.monotonic() - began),
        "peak_mb": running.memory_mb()[1],
        **_stall(probe, since_ms),
    }


async def processes(bench: Bench) -> Asked:
    """Raise the rate until so many processes no longer hold it."""
    for bot in (ONE_PROCESS, TWO_PROCESSES) if bench.quick else (ONE_PROCESS, TWO_PROCESSES, FOUR_PROCESSES):
        async for asked in _raise_rate(bench, bot, RATES[1:2] if bench.quick else RATES, 10 if bench.quick else 20):
            yield asked


async def flight3(bench: Bench) -> Asked:
    for state, seed in ((WAIT_PRIVATELY, seed_waiting_privately), (WAIT, seed_waiting), (RUN, seed_images)):
        for count in ROWS[:2] if bench.quick else ROWS:
            bot = three_processes(count)
            async with (
                open_folder(bot, bench.databases) as (folder, settings),
                open_standins(itertools.repeat(ENDLESS_SECONDS), bench.image) as standins,
            ):
                address = settings["DATABASE_URL"]
                await seed(address, count, standins, now_ms())
                settings |= {"CREDITS_PER_PERIOD": str(CREDITS), "TASK_DEADLINE_SECONDS": "86400"}
                settings |= {"QWEN_MAX_TASKS": "20"} if state != RUN else {}
                async with open_bot(bot, standins, folder, settings) as running:
                    yield state, bot, await _traffic(bench, running, standins, address)


async def _traffic(bench: Bench, running: RunningBot, standins: StandIns, address: str) -> Figures:
    """Return what the processes ask of the database, the image API and Discord in a second."""
    await asyncio.sleep(10 if bench.quick else 20)  # the first rounds after a start are not the usual ones
    seconds = 10 if bench.quick else 60

    async def read() -> dict[str, float]:
        own = {"polls": standins.polls, "calls": standins.calls, "cpu": running.cpu_seconds() * 100}
        return own | {"database_cpu": bench.databases.cpu_seconds() * 100} | await bench.databases.counters(address)

    before, began = await read(), time.monotonic()
    await asyncio.sleep(seconds)
    after, lasted = await read(), time.monotonic() - began
    return {f"{name}_per_second": (value - before[name]) / lasted for name, value in after.items()}


async def line(bench: Bench) -> Asked:
    for bot in (SQLITE, POSTGRESQL):
        async with open_folder(bot, bench.databases) as (_, settings):
            yield WAITING, bot, await measure_rounds(settings["DATABASE_URL"], WAITING_IMAGES)


def _stall(probe: Path, since_ms: int) -> Figures:
    stall = read_stall(probe, since_ms=since_ms, until_ms=now_ms())
    return {"stall_p50_ms": stall.median, "stall_p99_ms": stall.p99, "stall_most_ms": stall.most}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


ANSWERED = (
    Column("answered", "answered"),
    Column("first answer p50 ms", "answer_p50_ms", 1),
    Column("p99 ms", "answer_p99_ms", 1),
    Column("p99 ÷ floor", "answer_p99_ms", 1, FLOOR.name),
)
POSTED = (
    Column("posted", "posted"),
    Column("ready → posted s", "ready_posted_s", 2),
    Column("p99 s", "ready_posted_p99_s", 1),
)
CALLS = (Column("polls an image", "polls", 2), Column("Discord calls an image", "calls", 2))
CPU = (
    Column("CPU ms an image", "cpu_ms", 1),
    Column("÷ naive", "cpu_ms", 1, NAIVE.name),
    Column("PostgreSQL's own CPU ms", "database_cpu_ms", 1),
)
MEMORY = (Column("idle MB", "idle_mb"), Column("peak MB", "peak_mb"))
BUSY = (Column("stand-ins' CPU %", "standins_busy", scale=100),)
STALL = (
    Column("stall p50 ms", "stall_p50_ms", 1),
    Column("p99 ms", "stall_p99_ms", 1),
    Column("most ms", "stall_most_ms"),
)

QUESTIONS = (
    Question(
        "load",
        "Commands at a steady rate",
        "Each command starts a task of 8 s. *First answer*: from the event on the gateway to the call that answers it; "
        "an answer after 3 s is refused, as Discord does. *Ready → posted*: from the moment at which the image API has "
        "the image to the moment at which the whole image has reached Discord.",
        (*ANSWERED, *POSTED, *CALLS, *CPU, *MEMORY),
        load,
    ),
    Question(
        "ready",
        "Ready → posted, polls and calls by the time that tasks take",
        "Four commands a second for a minute; the bots run side by side. *Calls*: all requests to Discord about "
        "interactions and messages.",
        (*POSTED, *CALLS),
        ready,
    ),
    Question(
        "sustained",
        "How many images a second",
        "Tasks of 8 s, commands for 20 s, at a rate that is raised until the bot no longer holds it: everybody is "
        "answered within 3 s, every image is posted, and on average not later than 5 s after it was ready. "
        f"{RATES[-1]} a second are the most that are tried. The stand-ins run on the same two cores; where they "
        "take a core, they are the limit.",
        (Column("held images/s", "held_per_second"), *ANSWERED, *POSTED, *CPU[:2], MEMORY[1], *BUSY),
        sustained,
    ),
    Question(
        "start",
        "Start to READY",
        "From the start of the process to the gateway's READY. The first start finds an empty folder or database; the "
        "later one finds what the first one left.",
        (
            Column("seconds", "start_s", 2),
            Column("÷ naive", "start_s", 1, NAIVE.name),
            Column("CPU s", "start_cpu_s", 2),
        ),
        start,
    ),
    Question(
        "flight",
        f"{MANY:,} images in flight",
        f"The bot starts with {MANY:,} running images, as after a restart, and has 10 s to settle; then 200 commands "
        "come within one second; then all tasks end at once. *Stall*: how late a timer of the bot's event loop fires "
        "that is due every 10 ms.",
        (
            *(Column("polls/s", "polls_per_second"), Column("Discord calls/s", "calls_per_second")),
            *(Column("two polls of a task at least s apart", "closest_polls_s", 2), Column("CPU %", "core_percent")),
            *(*ANSWERED[:3], Column("posted", "posted"), Column("images/s", "posted_per_second")),
            *(MEMORY[1], *STALL),
        ),
        flight,
    ),
    Question(
        "processes",
        "One, two and four processes on PostgreSQL",
        "As above: tasks of 8 s, commands for 20 s, at a rate that is raised until it is no longer held. Each process "
        "has a shard of its own, and the commands go to the shards in turn. *Cores busy*: of the whole machine, with "
        "stand-ins and PostgreSQL; where it comes near the number of cores, the machine is the limit, and more "
        "processes only share what one had. Two processes are to hold 1.7 times as much as one where there are "
        f"{CORES_FOR_TWO} cores: one for each of them, for PostgreSQL and for the stand-ins.",
        (
            *(
                Column("held images/s", "held_per_second"),
                Column("÷ 1 process", "held_per_second", 1, ONE_PROCESS.name),
            ),
            *(*ANSWERED[:3], *POSTED, CPU[0], CPU[2], Column("CPU ms an image, both", "whole_cpu_ms", 1)),
            *(MEMORY[1], *BUSY, Column("cores busy", "cores_busy", 1)),
        ),
        processes,
    ),
    Question(
        "flight3",
        f"{ROWS[-1]:,} images in flight over three processes",
        "Three processes on PostgreSQL start with so many images, and nothing else happens: all wait in line behind "
        "20 that run, or all run. Waiting cards are edited to their places, each edit with a question to the rows "
        "before and after it; where no card can be edited (private, with tokens that ran out), what is left is what "
        "waiting itself costs. What they ask for in a second, by PostgreSQL's own counters. *Scans*: of a table or "
        "an index, at least one for each statement that reads a table. *Polls* are of the image API, and each is a few "
        "statements: they grow with the images that run, until the poll budget is used up that all processes share.",
        (
            *(Column("transactions/s", "transactions_per_second"), Column("scans/s", "scans_per_second")),
            Column("scans ÷ 1,000 images", "scans_per_second", 1, three_processes(ROWS[0]).name),
            *(Column("rows read/s", "rows_read_per_second"), Column("rows written/s", "rows_written_per_second")),
            *(Column("polls/s", "polls_per_second"), Column("Discord calls/s", "calls_per_second")),
            *(Column("CPU %", "cpu_per_second"), Column("PostgreSQL's CPU %", "database_cpu_per_second")),
        ),
        flight3,
    ),
    Question(
        "line",
        "A long line",
        f"{WAITING_IMAGES:,} images of 100 people wait, one of them is admitted, and every card is due to be edited to "
        "its new place: how long a round of the worker takes, in the process of the bench, until it is known what each "
        "card has to say.",
        (Column("ms a round", "round_ms", 1), Column("most ms", "round_most_ms", 1)),
        line,
    ),
)
