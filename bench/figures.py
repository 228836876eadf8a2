"""Figures of runs: percentiles, medians over runs, and what /proc says of a bot's process."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Figures = Mapping[str, float]  # by name; the name ends with the unit
Place = tuple[str, str]  # case and bot, such as ("20/s for 10 s", "naive")
Results = Mapping[Place, Figures]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that *share* of *values* are not above, by nearest rank; nan without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def mean(values: Sequence[float]) -> float:
    """Return the mean; nan without values."""
    return statistics.fmean(values) if values else math.nan


def medians(seen: Iterable[tuple[Place, Figures]]) -> Results:
    """Return the median of each figure over all that were seen in its place; nan and inf count as unseen."""
    values: dict[Place, dict[str, list[float]]] = {}
    for place, figures in seen:
        for name, value in figures.items():
            values.setdefault(place, {}).setdefault(name, []).extend([value] if math.isfinite(value) else [])
    return {
        place: {name: statistics.median(found) for name, found in named.items() if found}
        for place, named in values.items()
    }


@dataclass(frozen=True, slots=True)
class Stall:
    """How late a timer that is due every 10 ms fired, in milliseconds."""

    median: float
    p99: float
    most: float


def read_stall(probe_file: Path, *, since_ms: int, until_ms: int) -> Stall:
    """Return the delays of the seconds that ended between two times (unix milliseconds)."""
    delays: list[float] = []
    for line in probe_file.read_text("ascii").splitlines():
        at_ms, *micros = line.split()
        if since_ms <= int(at_ms) <= until_ms:
            delays += [int(micro) / 1000 for micro in micros]
    return Stall(percentile(delays, 0.5), percentile(delays, 0.99), percentile(delays, 1.0))


def read_memory_mb(pid: int) -> tuple[float, float]:
    """Return resident memory now and its maximum, in MiB (proc(5): VmRSS, VmHWM)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    now, most = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def read_busy_cores_seconds() -> float:
    """Return the processor time of everything that runs on this machine, since its start (proc(5): /proc/stat)."""
    user, nice, system, _idle, _waiting, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def read_cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads since the start (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
