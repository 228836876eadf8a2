"""Starts, stops and kills the unmodified bot as a process of its own, with a clean environment.

It never starts the bot again by itself, and no process outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

KEPT_LINES = 200
LINE_MAX_CHARACTERS = 4000
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

log = logging.getLogger(__name__)

_READY = re.compile(r"\bready\b", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # discord.py colours its log in a container
_EXIT_WITH_PARENT = Path(__file__).with_name("exit_with_parent.py")


class BotState(StrEnum):
    STOPPED = "stopped"  # never started, or ended as it was asked to
    STARTING = "starting"
    RUNNING = "running"
    DIED = "died"  # killed, or ended by itself with an error


class BotNotReady(Exception):
    """The bot was not ready in time, or ended first. The text ends with the bot's last lines."""


class BotProcess:
    """Runs `python <script> <arguments>` in *data_dir*, so that no .env of a developer is read.

    *environment*: called at each start for the variables beside PATH, HOME and LANG. The bot is running once
    *is_connected* returns true; without it, once it prints a line with the word "ready".
    """

    def __init__(
        self,
        script: Path,
        *,
        environment: Callable[[], Mapping[str, str]],
        data_dir: Path,
        now_ms: Callable[[], int],
        is_connected: Callable[[], bool] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.state = BotState.STOPPED
        self.since_ms = now_ms()
        self.starts = 0
        self.log: deque[str] = deque(maxlen=KEPT_LINES)
        self._script = script.resolve()
        self._environment = environment
        self._data_dir = data_dir
        self._now_ms = now_ms
        self._is_connected = is_connected
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._spawning = asyncio.Lock()
        self._settled = asyncio.Event()  # set when running or ended
        self._wanted_end: BotState | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None where no process runs."""
        return self._process.pid if self._process else None

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    async def start(self) -> None:
        """Start the bot, unless it runs. Wait first for one that is being stopped."""
        if self._wanted_end is not None:
            await self._end()
        async with self._spawning:
            if self._watch is not None:
                return
            self.starts += 1
            self._wanted_end = None
            self._settled.clear()
            self._enter(BotState.STARTING)
            try:
                self._process = await self._spawn()
            except OSError as error:
                self._keep(f"[sandbox] could not be started: {error.strerror}")
                self._enter(BotState.DIED)
                return
            self._keep(f"[sandbox] started, pid {self._process.pid}")
            self._watch = asyncio.create_task(self._watch_over(self._process))

    async def kill(self) -> None:
        """Send SIGKILL to the whole process group and wait for its end."""
        self._wanted_end = BotState.DIED
        await self._end(signal.SIGKILL)

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Send SIGTERM, so that the bot can finish its work; SIGKILL after *timeout_seconds*."""
        self._wanted_end = BotState.STOPPED
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            self._keep(f"[sandbox] still there {timeout_seconds:g} s after SIGTERM: kill -9")
            await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Wait until the bot is running. Raises BotNotReady when it is not within the timeout, or has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._settled.wait()
        if self.state is not BotState.RUNNING:
            last_lines = "\n".join(list(self.log)[-20:])
            raise BotNotReady(
                f"The bot is {self.state.value} after {timeout_seconds:g} s. Its last lines:\n{last_lines}"
            )

    async def _end(self, signal_number: int | None = None) -> None:
        """Send the signal, if any, and wait for the end. The watching task is never cancelled."""
        async with self._spawning:
            watch, process = self._watch, self._process
        if watch is None or process is None:
            return
        if signal_number is not None:
            self._signal_group(process.pid, signal_number)
        await asyncio.shield(watch)

    async def _watch_over(self, process: asyncio.subprocess.Process) -> None:
        """Read the output of one process, note when it runs, and wait for its end."""
        reading = asyncio.create_task(self._read_lines(process))
        readiness = asyncio.create_task(self._become_running())
        code = await process.wait()
        self._signal_group(process.pid, signal.SIGKILL)  # also ends what the bot started
        await asyncio.wait([reading], timeout=2)
        reading.cancel()
        readiness.cancel()
        last_line = self.log[-1]
        self._keep(f"[sandbox] ended by signal {-code}" if code < 0 else f"[sandbox] ended with exit code {code}")
        self._process = self._watch = None
        if code and self._wanted_end is None:
            log.warning("the bot ended by itself, exit code %d; its last line: %s", code, last_line)
        self._enter(self._wanted_end or (BotState.DIED if code else BotState.STOPPED))

    async def _spawn(self) -> asyncio.subprocess.Process:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *[
                sys.executable,
                "-I",
                "-S",
                str(_EXIT_WITH_PARENT),
                str(os.getpid()),
                str(self._script),
                *self._arguments,
            ],
            cwd=self._data_dir,
            env={**kept, "PYTHONUNBUFFERED": "1", **self._environment()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a group of its own: Ctrl-C in the terminal reaches the sandbox only
        )

    async def _become_running(self) -> None:
        if self._is_connected is None:
            return
        while not self._is_connected():  # noqa: ASYNC110 - polling asks nothing more of the other side
            await asyncio.sleep(POLL_SECONDS)
        self._enter(BotState.RUNNING)

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        rest = b""
        while piece := await process.stdout.read(65_536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._take_line(line)
            rest = rest[:LINE_MAX_CHARACTERS]
        if rest:
            self._take_line(rest)

    def _take_line(self, line: bytes) -> None:
        text = _COLOURS.sub("", line.decode("utf-8", "replace")).rstrip("\r")[:LINE_MAX_CHARACTERS]
        self._keep(text)
        if self._is_connected is None and self.state is BotState.STARTING and _READY.search(text):
            self._enter(BotState.RUNNING)

    def _keep(self, line: str) -> None:
        self.log.append(line)
        with contextlib.suppress(OSError), (self._data_dir / "bot.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")  # a full disk must not end the watching task

    def _enter(self, state: BotState) -> None:
        self.state = state
        self.since_ms = self._now_ms()
        if state is not BotState.STARTING:
            self._settled.set()

    def _signal_group(self, process_id: int, signal_number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # a group that is gone: macOS says it is not permitted
            os.killpg(process_id, signal_number)
