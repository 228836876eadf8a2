"""The images of a page of /history: an exception of a background task is retrieved and logged."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from generations.history import Page
from generations.model import Generation, Image, Origin, Request, State
from tests.doubles import START_MS, ManualClock
from ui.delivery.image_urls import FETCH_SECONDS, Seen, Thumbnails

VIEWER = 7


class Channels:
    """A client whose fetch_message() waits for *answer* and then raises an unexpected exception."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    def get_partial_messageable(self, channel_id: int, *, guild_id: int | None) -> Channels:
        return self

    async def fetch_message(self, message_id: int) -> Any:
        await self.answer.wait()
        raise ArithmeticError(f"message {message_id} is of no known shape")

    def is_closed(self) -> bool:
        return False


def page() -> Page:
    origin = Origin(1, 500, VIEWER, 88, 99, "", 10 << 20)
    made = Generation(1, Request("a door"), origin, START_MS, (Image(1, 0, 5, State.DELIVERED),), message_id=2)
    return Page((made,), None, None)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("late", [True, False])
async def test_an_error_of_a_background_task_is_logged(caplog: pytest.LogCaptureFixture, late: bool) -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    clock, channels = ManualClock(), Channels()
    client: Any = channels
    thumbnails = Thumbnails(client, clock)

    async def find() -> list[Seen]:
        return [seen async for seen in thumbnails.find(page(), VIEWER, thumbnails.turned(VIEWER))]

    finding = asyncio.create_task(find())
    await settled()
    if not late:
        channels.answer.set()
    for _ in range(2):
        await settled()
        clock.advance(FETCH_SECONDS)
    assert await finding == []
    channels.answer.set()
    await settled()
    gc.collect()
    assert left == []
    assert "a card's images could not be looked for" in caplog.text and "is of no known shape" in caplog.text
