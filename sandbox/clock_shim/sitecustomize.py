"""Makes time.time() and time.time_ns() follow the sandbox's clock in the bot process.

The sandbox puts this folder on the bot's PYTHONPATH; Python imports a module of this name at start. It adds the offset
(milliseconds, decimal text) in the file that SANDBOX_CLOCK_FILE names, read again at most every 50 ms; no file means no
offset. Monotonic time does not change, nor does datetime.now(), which asks the system itself.
"""

from __future__ import annotations

import os
import time

_REREAD_NS = 50_000_000


def _install(path: str) -> None:
    real_time, real_time_ns, monotonic_ns = time.time, time.time_ns, time.monotonic_ns
    offset_ns = 0
    next_read_ns = 0

    def current_offset_ns() -> int:
        nonlocal offset_ns, next_read_ns
        now_ns = monotonic_ns()
        if now_ns >= next_read_ns:
            next_read_ns = now_ns + _REREAD_NS
            try:
                with open(path, encoding="ascii") as file:
                    offset_ns = int(file.read()) * 1_000_000
            except (OSError, ValueError):
                pass  # keep the last known offset
        return offset_ns

    def sandbox_time() -> float:
        return real_time() + current_offset_ns() / 1_000_000_000

    def sandbox_time_ns() -> int:
        return real_time_ns() + current_offset_ns()

    time.time, time.time_ns = sandbox_time, sandbox_time_ns


if _clock_file := os.environ.get("SANDBOX_CLOCK_FILE"):
    _install(_clock_file)
