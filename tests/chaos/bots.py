"""Make the bot processes of a run: their folders and the ports on which the image API calls them back."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from sandbox.bot_process import BotProcess
from sandbox.world import HOST, Sandbox

# Below the ephemeral ports, so that no connection takes the port of a bot that was killed.
PORTS = range(12_000, 30_000)


def folder_of(folder: Path, process: int) -> Path:
    """Return the folder of one process of the run in *folder*; its log is in it."""
    return folder / f"process-{process}"


def find_ports(count: int) -> list[int]:
    """Return *count* free ports. Raises OSError when too few are found."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports were found")


def make_bot(box: Sandbox, script: Path, folder: Path, ports: list[int]) -> BotProcess:
    """Make a bot process without starting it. *ports*: the first is its callback port; empty: no callbacks."""
    folder.mkdir()
    own = {"PUBLIC_URL": f"http://{HOST}:{ports[0]}", "PORT": str(ports[0])} if ports else {}

    def environment() -> dict[str, str]:
        return {**box.bot_environment(), **own}

    return BotProcess(script, environment=environment, data_dir=folder, now_ms=box.clock.now_ms)
