"""The bot's processes of a run: where each lives, and where it can be called back."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from sandbox.bot_process import BotProcess
from sandbox.world import HOST, Sandbox

# Below those that the system gives to connections, so that a bot which was killed finds its own free.
PORTS = range(12_000, 30_000)


def folder_of(folder: Path, process: int) -> Path:
    """Where a process of the run in *folder* keeps its own, its log too."""
    return folder / f"process-{process}"


def find_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports were found")


def make_bot(box: Sandbox, script: Path, folder: Path, ports: list[int]) -> BotProcess:
    """A bot that is not started yet. *ports*: where it is called back, the first counts; none: it is not called."""
    folder.mkdir()
    own = {"PUBLIC_URL": f"http://{HOST}:{ports[0]}", "PORT": str(ports[0])} if ports else {}

    def environment() -> dict[str, str]:
        return {**box.bot_environment(), **own}

    return BotProcess(script, environment=environment, data_dir=folder, now_ms=box.clock.now_ms)
