"""What takes long leaves the event loop free: a heartbeat of the gateway never waits for it."""

from __future__ import annotations

import asyncio

from images.reencoder import Reencoder
from qwen.models import OutputFormat
from tests.unit.test_shrinking import KIB, PNG


async def test_the_loop_turns_while_an_image_is_encoded_anew() -> None:
    """In a thread, by a library that gives the lock of the interpreter back: many turns, whatever it takes."""
    fitting = asyncio.create_task(Reencoder().fit(PNG, 60 * KIB, OutputFormat.PNG))
    turns = 0
    while not fitting.done():
        await asyncio.sleep(0)
        turns += 1
    assert await fitting is not None and turns > 20
