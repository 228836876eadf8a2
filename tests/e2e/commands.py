"""Runs one command of bot.py to its end, as a process that is forked from one that has imported bot.py.

To import it takes most of the time of a command. A whole `python bot.py` is what open_bot of running_bot.py starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from settings import PREFIXES, SETTINGS

BOT = Path(__file__).resolve().parents[2] / "bot.py"
SECRETS = {"DISCORD_TOKEN": "canary-token", "QWEN_API_KEY": "sk-canary"}
NOWHERE = {"DISCORD_API_URL": "http://127.0.0.1:9/api/v10", "DISCORD_GATEWAY_URL": "ws://127.0.0.1:9/"}
LONGEST_SECONDS = 180
POLL_SECONDS = 0.02

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["bot"])


@dataclass(frozen=True)
class Ended:
    code: int | None
    said: str  # to standard error
    written: str = ""  # to standard output


async def run_bot(folder: Path, *words: str, until: str | None = None, **settings: str) -> Ended:
    """Run bot.py in *folder* with only these settings, to its end; with *until*, send SIGTERM once it prints that."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith(PREFIXES)  # an unknown name among these is warned about
    }
    with tempfile.TemporaryDirectory(prefix="qi-command-") as streams:
        written, said = os.path.join(streams, "stdout"), os.path.join(streams, "stderr")
        arguments = (folder, words, {**environment, **settings}, written, said)
        process = _processes.Process(target=_become_the_bot, args=arguments)
        await asyncio.to_thread(process.start)  # the first one waits for the import
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while process.is_alive():
                    if until is not None and until in _read(said):
                        process.terminate()
                        until = None
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            process.kill()
            process.join()
        ended = Ended(process.exitcode, _read(said), _read(written))
        process.close()
        return ended


def _read(path: str) -> str:
    """Read a stream of the process; empty: it has not opened it."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _become_the_bot(
    folder: Path, words: tuple[str, ...], environment: Mapping[str, str], written: str, said: str
) -> None:
    """Do what `python bot.py` with these *words* does, with its streams in the two files."""
    for number, path in ((1, written), (2, said)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ModuleNotFoundError):  # as Python does at its start: it moves a sandbox's clock
        importlib.import_module("sitecustomize")
    import bot

    sys.exit(bot.main([*words]))
