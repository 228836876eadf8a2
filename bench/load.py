"""Send commands at a steady rate to one bot, wait until their images are posted, and say what was seen."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.bots import RunningBot
from bench.databases import Databases
from bench.figures import Figures, mean, percentile, read_busy_cores_seconds
from bench.standins import Command, StandIns

SETTLE_SECONDS = 2.0  # from READY to the first command; the idle memory is read at its end
CHECK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """*wait_seconds*: how long after the last image was ready the bot may still post; *has_images*: False for a bot
    that only answers."""

    per_second: float
    seconds: float
    has_images: bool = True
    wait_seconds: float = 60.0

    @property
    def commands(self) -> int:
        return round(self.per_second * self.seconds)


async def run_load(running: RunningBot, standins: StandIns, load: Load, databases: Databases) -> Figures:
    """Run *load* and return its figures. Those "an image" are those of one command."""
    await asyncio.sleep(SETTLE_SECONDS)
    idle_mb, _ = running.memory_mb()
    cpu, database_cpu = running.cpu_seconds(), databases.cpu_seconds()
    busy, cores_busy, began = time.process_time(), read_busy_cores_seconds(), time.monotonic()
    commands = await send_commands(standins, load.commands, load.per_second)
    busy_share = (time.process_time() - busy) / (time.monotonic() - began)
    cores_busy = (read_busy_cores_seconds() - cores_busy) / (time.monotonic() - began)
    sending_seconds = time.monotonic() - began
    await _until_done(commands, load)
    count = len(commands)
    figures = {
        "commands": count,
        "sent_per_second": count / sending_seconds,
        "idle_mb": idle_mb,
        "peak_mb": running.memory_mb()[1],
        "cpu_ms": (running.cpu_seconds() - cpu) * 1000 / count,
        "calls": standins.calls / count,
        "standins_busy": busy_share,
        "cores_busy": cores_busy,
        **answers(commands),
    }
    if load.has_images:
        figures |= {"polls": standins.polls / count, **posts(commands)}
    if running.bot.database == "PostgreSQL":
        figures["database_cpu_ms"] = (databases.cpu_seconds() - database_cpu) * 1000 / count
        figures["whole_cpu_ms"] = figures["cpu_ms"] + figures["database_cpu_ms"]
    return figures


async def send_commands(standins: StandIns, count: int, per_second: float, first: int = 0) -> list[Command]:
    """Send *count* commands, spread evenly."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    commands: list[Command] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
        commands.append(await standins.send_command(first + number))
    return commands


async def _until_done(commands: list[Command], load: Load) -> None:
    """Wait until every image is posted, or the last one was ready *wait_seconds* ago."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        now = time.monotonic()
        last = max(command.sent_at for command in commands)
        if load.has_images:
            last = max([last, *(command.ready_at for command in commands if command.ready_at < float("inf"))])
        done = (command.posted_at if load.has_images else command.answered_at for command in commands)
        if all(at <= now for at in done) or now > last + load.wait_seconds:
            return


def answers(commands: list[Command]) -> Figures:
    """Return how soon the commands were answered, by the stand-in's clock."""
    waits = [(command.answered_at - command.sent_at) * 1000 for command in commands]
    in_time = [wait for wait in waits if wait < float("inf")]
    return {
        "answered": len(in_time),
        "answer_p50_ms": percentile(in_time, 0.5),
        "answer_p99_ms": percentile(in_time, 0.99),
    }


def posts(commands: list[Command]) -> Figures:
    """Return how soon the images were posted, from the moment at which the image API had them."""
    waits = [command.posted_at - command.ready_at for command in commands if command.posted_at < float("inf")]
    return {
        "posted": len(waits),
        "ready_posted_s": mean(waits),
        "ready_posted_p99_s": percentile(waits, 0.99),
    }
