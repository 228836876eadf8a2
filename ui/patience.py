"""Waiting for a while without giving up on what is waited for. Knows no Discord and no database."""

from __future__ import annotations

import asyncio
from typing import Any

from generations.clock import Clock

PATIENCE_SECONDS = 1.0  # as long as this an answer may take before the person is told that one is coming


async def done_within(task: asyncio.Future[Any], seconds: float, clock: Clock) -> bool:
    """Whether *task* ended within *seconds*. It goes on either way, and its result or exception stays with it."""
    timer = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return task.done()
