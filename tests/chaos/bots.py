"""Make the bot processes of a run: their folders and the ports on which the image API calls them back."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from sandbox.bot_process import BotProcess
from sandbox.world import HOST, Sandbox
from tests.chaos.worlds import World

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


def make_bot(box: Sandbox, script: Path, folder: Path, world: World, place: int, port: int | None) -> BotProcess:
    """Make the process of a place without starting it. *port*: where it is called back; None: nowhere."""
    folder.mkdir()
    own = world.settings_of(place)
    if port is not None:
        own |= {"PUBLIC_URL": f"http://{HOST}:{port}", "PORT": str(port)}
    arguments = ["worker"] if place >= world.processes else []

    def environment() -> dict[str, str]:
        return {**box.bot_environment(), **own}

    return BotProcess(script, environment=environment, data_dir=folder, now_ms=box.clock.now_ms, arguments=arguments)
