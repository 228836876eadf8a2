"""Read figures of the bot process from outside: event loop delays, memory, processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stall:
    """How late a timer that is due every 10 ms fired, in milliseconds."""

    samples: int
    median: float
    p99: float
    most: float

    def __str__(self) -> str:
        return (
            f"stall p50 {self.median:.1f} ms, p99 {self.p99:.1f} ms, most {self.most:.1f} ms ({self.samples} samples)"
        )


def read_stall(probe_file: Path, *, since_ms: int, until_ms: int) -> Stall:
    """Return the delays of the seconds that ended between two times (unix milliseconds)."""
    delays: list[float] = []
    for line in probe_file.read_text("ascii").splitlines():
        at_ms, *micros = line.split()
        if since_ms <= int(at_ms) <= until_ms:
            delays += [int(micro) / 1000 for micro in micros]
    delays.sort()
    if not delays:
        return Stall(0, 0.0, 0.0, 0.0)
    return Stall(len(delays), delays[len(delays) // 2], delays[int(len(delays) * 0.99)], delays[-1])


def read_memory_mib(pid: int) -> tuple[float, float]:
    """Return resident memory now and its maximum, in MiB (proc(5): VmRSS, VmHWM)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    now, most = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def read_cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads since the start (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
