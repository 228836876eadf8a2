"""Measure, inside the bot process, how late a timer of its event loop fires, every 10 ms.

The bench puts this folder on the bot's PYTHONPATH; Python imports a module of this name at start by itself.
Appends one line a second to the file that BENCH_PROBE_FILE names: unix milliseconds, then each delay in microseconds.
"""

from __future__ import annotations

import os
import time
from asyncio import base_events
from typing import Any

EVERY_SECONDS = 0.01


def _install(path: str) -> None:
    run_forever = base_events.BaseEventLoop.run_forever
    delays: list[int] = []

    def tick(loop: Any, wanted: float) -> None:
        now = loop.time()
        delays.append(max(0, round((now - wanted) * 1_000_000)))
        if len(delays) >= 100:
            with open(path, "a", encoding="ascii") as file:
                file.write(f"{time.time_ns() // 1_000_000} {' '.join(map(str, delays))}\n")
            delays.clear()
        following = loop.time() + EVERY_SECONDS
        loop.call_at(following, tick, loop, following)

    def probed(self: Any) -> None:
        self.call_soon(tick, self, self.time())
        run_forever(self)

    base_events.BaseEventLoop.run_forever = probed  # type: ignore[method-assign]


if _path := os.environ.get("BENCH_PROBE_FILE"):
    _install(_path)
