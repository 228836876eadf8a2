"""The bots that are measured, each as a process of its own in an empty folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.databases import Databases
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
    """What is started. *database*: "SQLite", "PostgreSQL", or "" for none; *callbacks*: the image API can call it."""

    name: str
    script: Path
    database: str = ""
    callbacks: bool = False


FLOOR = Bot("floor", HERE / "floor_bot.py")
NAIVE = Bot("naive", HERE / "naive_bot.py")
SQLITE = Bot("SQLite", HERE.parent / "bot.py", "SQLite")
POSTGRESQL = Bot("PostgreSQL", HERE.parent / "bot.py", "PostgreSQL")
SQLITE_CALLBACKS = Bot("SQLite, callbacks", HERE.parent / "bot.py", "SQLite", callbacks=True)


@dataclass(frozen=True, slots=True)
class RunningBot:
    """A bot that is connected. *start_seconds*: from the start of its process to READY."""

    bot: Bot
    pid: int
    start_seconds: float


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
    """Start *bot* in *folder* and wait until it is connected; kill it when the block ends. Raises RuntimeError."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {**SETTINGS, **standins.settings(), **settings}
    if bot.callbacks:
        port = _free_port()
        environment |= {"PUBLIC_URL": f"http://{HOST}:{port}", "PORT": str(port)}
    standins.ready.clear()
    with (folder / "log").open("ab") as log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(bot.script), cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            if not await _is_ready(process, standins):
                raise RuntimeError(f"{bot.name} did not become ready:\n{_read(folder / 'log')[-4000:]}")
            yield RunningBot(bot, process.pid, standins.ready_at - began)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            _print_faults(bot, standins, folder / "log")


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
