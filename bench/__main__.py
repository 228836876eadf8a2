"""`python -m bench`: print figures of the real bot process under load.

1. 5,000 images in flight when the bot starts (as after a restart): event loop delay, polls a second, memory.
2. 200 commands within one second, beside that. 3. All tasks finish at once: how soon the images are posted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import read_cpu_seconds, read_memory_mib, read_stall
from bench.seeding import CREDITS, seed_images
from bench.standins import StandIns, open_standins
from discord_api.snowflakes import snowflake_time_ms
from sandbox.bot_process import BotProcess
from sandbox.clock import SandboxClock, system_now_ms
from sandbox.world import BOT_SCRIPT
from tests.chaos.postgres import open_postgres

PROBE = Path(__file__).with_name("probe")
READY_SECONDS = 60.0
WARM_UP_SECONDS = 10.0
PEOPLE = ("mira", "jonas", "sam", "olga")
LATEST_ANSWER_MS = 3000


@dataclass
class Bench:
    standins: StandIns
    bot: BotProcess
    probe_file: Path
    images: int

    @property
    def pid(self) -> int:
        assert self.bot.pid is not None, list(self.bot.log)[-20:]
        return self.bot.pid


async def in_flight(bench: Bench, seconds: float) -> None:
    await asyncio.sleep(WARM_UP_SECONDS)
    polls, edits, cpu, since_ms = bench.standins.polls, bench.standins.edits, read_cpu_seconds(bench.pid), now_ms()
    await asyncio.sleep(seconds)
    spent = read_cpu_seconds(bench.pid) - cpu
    now_mib, most_mib = read_memory_mib(bench.pid)
    stall = read_stall(bench.probe_file, since_ms=since_ms, until_ms=now_ms())
    print(f"{bench.images} images in flight for {seconds:.0f} s: {stall}")
    print(
        f"  {(bench.standins.polls - polls) / seconds:.0f} polls a second, closest two of one task "
        f"{bench.standins.closest_polls_seconds:.2f} s apart; {(bench.standins.edits - edits) / seconds:.0f} edits a "
        f"second; memory {now_mib:.0f} MiB, most {most_mib:.0f} MiB; processor {spent / seconds:.0%}"
    )


async def commands(bench: Bench, count: int) -> None:
    """Send *count* commands, spread evenly over one second: every fourth is /credits, the rest /imagine."""
    discord = bench.standins.discord
    loop = asyncio.get_running_loop()
    began, since_ms = loop.time(), now_ms()
    requests: dict[int, str] = {}
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / count - loop.time()))
        person = PEOPLE[number % len(PEOPLE)]
        actor = discord.actor(person)
        if number % 4 == 3:
            requests[await actor.command("gallery", "credits")] = person
        else:
            requests[await actor.command("gallery", "imagine", prompt=f"bench {number}")] = person
    sending_seconds = loop.time() - began
    await asyncio.sleep(LATEST_ANSWER_MS / 1000 + 1)
    answers = [request for request in discord.requests if request.path.endswith("/callback")]
    first: dict[int, int] = {}
    for request in answers:
        interaction_id = int(request.path.split("/")[2])
        if interaction_id in requests and request.status < 300:
            first.setdefault(interaction_id, request.at_ms)
    waits = sorted(at_ms - snowflake_time_ms(interaction_id) for interaction_id, at_ms in first.items())
    too_late = sum(_code(request.response) == 10062 for request in answers)
    stall = read_stall(bench.probe_file, since_ms=since_ms, until_ms=now_ms())
    print(
        f"{count} commands within {sending_seconds:.1f} s: {len(waits)} answered within 3 s, {count - len(waits)} not; "
        f"10062 {too_late} times; median {_share(waits, 0.5)} ms, p99 {_share(waits, 0.99)} ms, "
        f"most {_share(waits, 1.0)} ms; {stall}"
    )


async def all_done(bench: Bench, timeout_seconds: float) -> None:
    began, since_ms = time.monotonic(), now_ms()
    bench.standins.finished = True
    while bench.standins.images < bench.images and time.monotonic() - began < timeout_seconds:  # noqa: ASYNC110 - the stand-ins only count
        await asyncio.sleep(0.5)
    seconds = time.monotonic() - began
    stall = read_stall(bench.probe_file, since_ms=since_ms, until_ms=now_ms())
    now_mib, most_mib = read_memory_mib(bench.pid)
    print(
        f"all done at once: {bench.standins.images} images posted within {seconds:.0f} s, "
        f"{bench.standins.images / seconds:.0f} a second; {stall}; memory {now_mib:.0f} MiB, most {most_mib:.0f} MiB"
    )


@contextlib.asynccontextmanager
async def open_bench(images: int, *, postgresql: bool, folder: Path) -> AsyncIterator[Bench]:
    async with contextlib.AsyncExitStack() as stack:
        address = f"sqlite:///{folder / 'bench.sqlite3'}"
        if postgresql:
            address = (await stack.enter_async_context(open_postgres())).address
        standins = await stack.enter_async_context(open_standins())
        settings = {
            **standins.settings(),
            "DATABASE_URL": address,
            "QWEN_MAX_TASKS": str(max(images, 20)),
            "MAX_IMAGES_PER_USER": "20",
            "MAX_QUEUE": "100000",
            "REQUESTS_PER_MINUTE": "0",
            "CREDITS_PER_PERIOD": str(CREDITS),
            "TASK_DEADLINE_SECONDS": "86400",
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(PROBE),
            "BENCH_PROBE_FILE": str(folder / "probe"),
        }
        await seed_images(address, images, now_ms())
        bot = BotProcess(
            BOT_SCRIPT,
            environment=lambda: settings,
            data_dir=folder,
            now_ms=SandboxClock().now_ms,
            is_connected=lambda: standins.discord.is_connected,
        )
        await bot.start()
        stack.push_async_callback(bot.kill)
        await bot.wait_ready(READY_SECONDS)
        yield Bench(standins, bot, folder / "probe", images)


def now_ms() -> int:
    return system_now_ms()


def _code(body: object) -> object:
    return body.get("code") if isinstance(body, dict) else None


def _share(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else -1


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--commands", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the images stay in flight")
    parser.add_argument("--timeout", type=float, default=120.0, help="how long to wait until all are posted")
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL instead of SQLite")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with open_bench(chosen.images, postgresql=chosen.postgresql, folder=Path(folder)) as bench:
            if chosen.images:
                await in_flight(bench, chosen.seconds)
            await commands(bench, chosen.commands)
            if chosen.images:
                await all_done(bench, chosen.timeout)
            print("\n".join(line for line in bench.bot.log if "ERROR" in line or "Traceback" in line))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
