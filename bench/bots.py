"""The bots that are measured, each as a process of its own in an empty folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.databases import Databases
from bench.figures import read_cpu_seconds, read_memory_mb
from bench.standins import HOST, StandIns

HERE = Path(__file__).parent
READY_SECONDS = 60.0
SETTINGS = {
    "QWEN_MAX_TASKS": "10000",
    "MAX_QUEUE": "100000",
    "REQUESTS_PER_MINUTE": "0",
}


@dataclass(frozen=True, slots=True)
class Bot:
    """What is started. *database*: "SQLite", "PostgreSQL", or "" for none; *callbacks*: the image API can call it;
    *processes*: with more than one, each has a shard of its own."""

    name: str
    script: Path
    database: str = ""
    callbacks: bool = False
    processes: int = 1

    def shards_of(self, process: int) -> dict[str, str]:
        """Return the settings that say which shard a process has."""
        if self.processes == 1:
            return {}
        number, count = str(process), str(self.processes)
        return {"SHARD_COUNT": count, "SHARD_PROCESS": number, "SHARD_PROCESSES": count}


FLOOR = Bot("floor", HERE / "floor_bot.py")
NAIVE = Bot("naive", HERE / "naive_bot.py")
SQLITE = Bot("SQLite", HERE.parent / "bot.py", "SQLite")
POSTGRESQL = Bot("PostgreSQL", HERE.parent / "bot.py", "PostgreSQL")
SQLITE_CALLBACKS = Bot("SQLite, callbacks", HERE.parent / "bot.py", "SQLite", callbacks=True)


@dataclass(frozen=True, slots=True)
class RunningBot:
    """A bot that is connected. *start_seconds*: from the start of its last process to READY."""

    bot: Bot
    pids: Sequence[int]
    start_seconds: float

    def cpu_seconds(self) -> float:
        """Return the processor time of its processes."""
        return sum(map(read_cpu_seconds, self.pids))

    def memory_mb(self) -> tuple[float, float]:
        """Return the resident memory of its processes now, and the sum of their maxima, in MiB."""
        now, most = zip(*map(read_memory_mb, self.pids), strict=True)
        return sum(now), sum(most)


@contextlib.asynccontextmanager
async def open_folder(bot: Bot, databases: Databases) -> AsyncIterator[tuple[Path, dict[str, str]]]:
    """Make an empty folder and database for *bot*. Yield the folder, and the settings that name the database."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        match bot.database:
            case "SQLite":
                yield folder, {"DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite3'}"}
            case "PostgreSQL":
                async with databases.open_postgresql() as address:
                    yield folder, {"DATABASE_URL": address}
            case _:
                yield folder, {}


@contextlib.asynccontextmanager
async def open_bot(
    bot: Bot, standins: StandIns, folder: Path, settings: Mapping[str, str]
) -> AsyncIterator[RunningBot]:
    """Start the processes of *bot* in *folder*, one after another, and wait until each is connected; kill them when
    the block ends. Raises RuntimeError."""
    async with contextlib.AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(
                _open_process(bot, standins, folder, {**settings, **bot.shards_of(number)}, f"log-{number}")
            )
            for number in range(bot.processes)
        ]
        yield RunningBot(bot, [pid for pid, _ in started], started[-1][1])


@contextlib.asynccontextmanager
async def _open_process(
    bot: Bot, standins: StandIns, folder: Path, settings: Mapping[str, str], log_name: str
) -> AsyncIterator[tuple[int, float]]:
    """Start one process and wait until it is connected. Yield its id, and the seconds that took."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {**SETTINGS, **standins.settings(), **settings}
    if bot.callbacks:
        port = _free_port()
        environment |= {"PUBLIC_URL": f"http://{HOST}:{port}", "PORT": str(port)}
    standins.ready.clear()
    with (folder / log_name).open("ab") as log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(bot.script), cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            if not await _is_ready(process, standins):
                raise RuntimeError(f"{bot.name} did not become ready:\n{_read(folder / log_name)[-4000:]}")
            yield process.pid, standins.ready_at - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            _print_faults(bot, standins, folder / log_name)


async def _is_ready(process: asyncio.subprocess.Process, standins: StandIns) -> bool:
    """Wait until the bot has been sent READY. Return False if it is too late or the process has ended."""
    waits = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(standins.ready.wait())]
    await asyncio.wait(waits, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return standins.ready.is_set()


def _print_faults(bot: Bot, standins: StandIns, log: Path) -> None:
    """Print what shows that the figures are not those of a bot that works."""
    lines = [line for line in _read(log).splitlines() if "ERROR" in line or "WARNING" in line]
    for line in [*dict.fromkeys(standins.unknown), *lines][:5]:
        print(f"  {bot.name}: {line}", file=sys.stderr)


def _read(log: Path) -> str:
    return log.read_text("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return listening.getsockname()[1]
