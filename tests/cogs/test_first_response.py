"""The first response to a Discord that does not answer or can't be reached, which simcord can't simulate."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from discord_api.snowflakes import snowflake_at
from generations.errors import DeliveryDelayed
from generations.model import Generation, Image, Origin, Progress, Request
from generations.service import Accepted
from limits.model import Requester
from tests.doubles import START_MS, FakeDelivery, ManualClock
from ui.interactions.buttons import card_buttons
from ui.interactions.errors import CardRefused, RequestFailed
from ui.interactions.first_response import FirstResponse

BORN = snowflake_at(START_MS)


class Counter:
    """Accepts every request and records what became of it."""

    def __init__(self) -> None:
        self.abandoned: list[int] = []
        self.left_open: list[int] = []  # abandoned, but Discord may have a card of it
        self.confirmed: list[tuple[int, int]] = []
        self.on_abandon: Callable[[], Awaitable[None]] | None = None

    async def request(self, request: Request, origin: Origin, requester: Requester) -> Accepted:
        images = (Image(origin.interaction_id, 0, request.seed),)
        return Accepted(Generation(origin.interaction_id, request, origin, START_MS, images), None, 0)

    async def confirm_card(self, generation_id: int, message_id: int) -> None:
        self.confirmed.append((generation_id, message_id))

    async def abandon(self, generation_id: int, *, card: bool) -> None:
        if self.on_abandon is not None:
            await self.on_abandon()
        self.abandoned.append(generation_id)
        if card:
            self.left_open.append(generation_id)


class ScriptedResponse:
    """An interaction's response that does what a test sets."""

    def __init__(self, doing: Callable[[], Awaitable[Any]]) -> None:
        self._doing = doing
        self.tries = 0
        self.cut_off = False

    async def send_message(self, **_: Any) -> Any:
        self.tries += 1
        try:
            return await self._doing()
        except asyncio.CancelledError:
            self.cut_off = True
            raise


def interaction(response: ScriptedResponse) -> Any:
    return SimpleNamespace(
        id=BORN,
        application_id=1,
        user=SimpleNamespace(id=2),
        channel=None,
        channel_id=3,
        guild_id=None,
        token="token",
        filesize_limit=10,
        locale=discord.Locale.british_english,
        context=discord.app_commands.AppCommandContext(dm_channel=True),
        response=response,
        extras={},
    )


def first_response(counter: Counter, clock: ManualClock) -> FirstResponse:
    return FirstResponse(counter, FakeDelivery(), clock, lambda _: Progress(), buttons=card_buttons)  # type: ignore[arg-type]


async def silence() -> None:
    await asyncio.Event().wait()


def failing(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


REQUEST = Request("a lighthouse")


async def test_without_a_response_of_discord_in_three_seconds_the_worker_asks_for_the_card() -> None:
    counter, clock, response = Counter(), ManualClock(), ScriptedResponse(silence)
    going = asyncio.create_task(first_response(counter, clock).respond(interaction(response), REQUEST))
    await turns()
    clock.advance(2.9)
    await turns()
    assert not going.done()
    clock.advance(0.2)
    await going
    await turns()
    assert response.cut_off and response.tries == 1
    assert counter.abandoned == [] and counter.confirmed == []


async def test_where_discord_was_not_reached_the_request_is_undone() -> None:
    counter, clock = Counter(), ManualClock()
    response = ScriptedResponse(failing(OSError(errno.ECONNREFUSED, "refused")))
    with pytest.raises(CardRefused) as raised:
        await first_response(counter, clock).respond(interaction(response), REQUEST)
    assert raised.value.nothing_held and counter.abandoned == [BORN] and not counter.left_open


async def test_after_a_broken_connection_the_worker_asks_for_the_card() -> None:
    counter, clock = Counter(), ManualClock()
    await first_response(counter, clock).respond(
        interaction(ScriptedResponse(failing(ConnectionResetError()))), REQUEST
    )
    assert counter.abandoned == [] and counter.confirmed == []


async def test_an_undo_that_takes_too_long_goes_on_and_is_reported_as_unsure() -> None:
    counter, clock = Counter(), ManualClock()
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    counter.on_abandon = wait
    response = ScriptedResponse(failing(OSError(errno.ECONNREFUSED, "refused")))
    going = asyncio.create_task(first_response(counter, clock).respond(interaction(response), REQUEST))
    await turns()
    clock.advance(1.1)
    with pytest.raises(CardRefused) as raised:
        await going
    assert not raised.value.nothing_held
    gate.set()
    await turns()
    assert counter.abandoned == [BORN]


async def test_a_response_without_a_message_id_is_left_to_the_worker() -> None:
    counter, clock = Counter(), ManualClock()

    async def answer() -> Any:
        return SimpleNamespace(message_id=None)

    await first_response(counter, clock).respond(interaction(ScriptedResponse(answer)), REQUEST)
    assert counter.abandoned == [] and counter.confirmed == []


async def test_a_fault_after_the_request_was_accepted_undoes_it_and_has_the_worker_ask_for_a_card() -> None:
    counter, clock = Counter(), ManualClock()

    def broken_progress(accepted: Accepted) -> Progress:
        raise DeliveryDelayed(1)

    broken = FirstResponse(counter, FakeDelivery(), clock, broken_progress, buttons=card_buttons)  # type: ignore[arg-type]
    with pytest.raises(RequestFailed) as raised:
        await broken.respond(interaction(ScriptedResponse(silence)), REQUEST)
    assert raised.value.nothing_held and counter.abandoned == [BORN] == counter.left_open
