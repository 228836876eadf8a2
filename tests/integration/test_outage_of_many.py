"""64 images are ready and Discord doesn't answer: the worker does everything else, and calls come back one by one.

The real worker, ledger and delivery, over HTTP. A Discord that takes calls and never answers stands for one that gives
5xx: discord.py 2.7.1 tries such a call for 25 s.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from generations.model import Origin, Request, State
from generations.worker.loop import MAX_STEPS
from store.database import open_database
from tests.captured_log import captured_log
from tests.doubles import FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService, requester_of
from tests.integration.discord_rest import DiscordRest, a_discord
from tests.worker.conftest import WorkerHarness
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons

CHANNEL = 2
FIRST_CARD = 10_000


class Crowd(WorkerHarness):
    """A workshop whose people have cards of their own, on one Discord."""

    rest: DiscordRest

    async def ask(self, number: int) -> int:
        """Request an image as one more person, confirm the card, and return the generation's id."""
        token = f"token-{number}"
        origin = Origin(self.new_id(), 1, 1000 + number, CHANNEL, 3, token, 10 * 1024 * 1024)
        accepted = await self.generations.request(
            Request(prompt="a lighthouse", seed=number), origin, requester_of(origin)
        )
        self.rest.add_message(FIRST_CARD + number, CHANNEL)
        await self.generations.confirm_card(accepted.generation.id, FIRST_CARD + number)
        return accepted.generation.id

    async def until(self, happened: Callable[[], object]) -> None:
        """Wake the worker until something has happened."""
        async with asyncio.timeout(60):
            while not happened():
                self.worker.nudge()
                await asyncio.sleep(0.01)

    async def still(self) -> None:
        """Do what is due, and wait until every call has ended."""
        while await self.worker.step():
            pass
        await asyncio.sleep(0.02)


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    clock = ManualClock()
    async with a_discord() as (rest, client), open_database(f"sqlite:///{tmp_path}/crowd.db") as database:
        await database.migrate()
        made = Crowd(
            database, clock, ScriptedService(clock), FakeImageStore(), FakeDelivery(), FakeOperator(), max_in_flight=200
        )
        made.rest = rest
        made.delivery = DiscordDelivery(client, clock, buttons=card_buttons)  # type: ignore[assignment]
        made.restart()
        yield made
        rest.gate.set()
        await made.worker.drain()
        await made.delivery.drain()  # type: ignore[attr-defined]


async def test_in_an_outage_64_ready_cards_hold_one_step_and_come_back_in_turn(crowd: Crowd) -> None:
    asked = [await crowd.ask(number) for number in range(MAX_STEPS)]
    await crowd.still()
    assert len(crowd.service.posts) == MAX_STEPS
    crowd.rest.fault(".", 500, drop=True, times=1000)
    await crowd.pass_time(8)
    assert {state for one in asked for state in await crowd.states(one)} == {State.SUCCEEDED}

    crowd.rest.faults.clear()
    crowd.rest.gate.clear()
    crowd.rest.most_at_once = 0
    crowd.clock.advance(10)  # every one of them is due again
    running = asyncio.create_task(crowd.worker.run())
    await crowd.until(lambda: crowd.rest.most_at_once)
    newcomer = await crowd.ask(MAX_STEPS)
    await crowd.until(lambda: len(crowd.service.posts) == MAX_STEPS + 1)
    assert crowd.rest.most_at_once == 1, "one call is enough to see whether Discord is back"

    crowd.rest.gate.set()
    await crowd.worker.drain()
    await running
    edits = Counter[int]()
    for second in range(90):
        before = len(crowd.rest.edits())
        crowd.clock.advance(1)
        await crowd.still()
        edits[second] = len(crowd.rest.edits()) - before
    for one in (*asked, newcomer):
        assert await crowd.states(one) == [State.DELIVERED]
    assert [len(message["attachments"]) for message in crowd.rest.messages.values()] == [1] * (MAX_STEPS + 1)
    assert max(edits.values()) <= MAX_STEPS / 3, "Discord takes 50 calls a second of a bot"
    for person in range(MAX_STEPS + 1):
        assert await crowd.money(1000 + person) == (45, 0)


async def test_while_discord_is_away_few_lines_are_logged_a_minute_for_any_number_of_cards(crowd: Crowd) -> None:
    asked = [await crowd.ask(number) for number in range(16)]
    await crowd.still()
    crowd.rest.fault(".", 500, drop=True, times=100_000)
    with captured_log(crowd.clock, "qwen_imagine", "discord") as log:
        minutes: list[int] = []
        for _ in range(2):
            before = len(log.lines())
            for _ in range(12):
                crowd.clock.advance(5)
                await crowd.still()
            minutes.append(len(log.lines()) - before)
        assert {state for one in asked for state in await crowd.states(one)} == {State.SUCCEEDED}
        moves = [move for move in log.moves() if move[2] == "succeeded"]
        assert len(moves) == len(asked)
    assert minutes[0] <= len(moves) + 5 and minutes[1] <= 4, (minutes, log.messages())
