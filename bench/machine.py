"""What a run was measured on: date, machine, versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("discord.py", "aiohttp", "SQLAlchemy", "asyncpg")


def describe(postgresql: str) -> dict[str, str]:
    """Return what there is to know, by heading. *postgresql*: the server's version, empty if it was not used."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    databases = f"SQLite {sqlite3.sqlite_version}" + (f", PostgreSQL {postgresql}" if postgresql else "")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, {libraries}",
        "databases": f"{databases}; one fsync takes {_fsync_ms():.1f} ms",
    }


def load_average() -> float:
    """Return how many processes ran or waited for a core in the last minute."""
    return os.getloadavg()[0]


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "?"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")


def _fsync_ms() -> float:
    """Return the median time of an fsync after 4 KiB, in the folder where the databases are made."""
    waits: list[float] = []
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        for _ in range(21):
            file.write(bytes(4096))
            file.flush()
            began = time.monotonic()
            os.fsync(file.fileno())
            waits.append((time.monotonic() - began) * 1000)
    return statistics.median(waits)
