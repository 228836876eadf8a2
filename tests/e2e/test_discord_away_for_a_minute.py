"""Discord answers every call with 500 for a whole minute, with the real bot: what people see, what the ledger holds.

The minute is real time: discord.py's own waits are tested here, and no test clock changes them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import Json, RunningBot, gallery, open_bot, text
from tests.e2e.scenarios import HELD, PAID, RETURNED, BotDatabase, SharedBot

AWAY_SECONDS = 60.0
BACK_SECONDS = 240.0  # a delayed card is tried again within 61 s, one card each 30 s


async def test_every_call_gets_500_for_a_minute(tmp_path: Path) -> None:
    async with open_bot(tmp_path) as bot:
        shared = SharedBot(bot, BotDatabase(tmp_path / "bot.sqlite3"))
        ready = {"mira": await painting(shared, "mira", "gallery"), "sam": await painting(shared, "sam", "sketches")}
        declined, _ = await painting(shared, "jonas", "gallery")
        requests, began = bot.box.discord.requests, len(bot.box.discord.requests)

        bot.box.discord.faults.rest("*", ".", status=500, times=None)
        for asked, _ in ready.values():
            shared.task_of(asked).kept_mood = Mood.NORMAL
        shared.task_of(declined).kept_mood = Mood.DECLINED
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(AWAY_SECONDS))
            for asked, _ in ready.values():
                tasks.create_task(image_made_and_charged_in_the_outage(shared, asked))
            tasks.create_task(image_declined_and_refunded_in_the_outage(shared, declined))
            late = tasks.create_task(command_typed_in_the_outage(shared))
        for person, asked in (*((person, asked) for person, (asked, _) in ready.items()), ("jonas", declined)):
            assert_unchanged(bot, person, asked)
        meanwhile = requests[began:]
        bot.box.discord.faults.clear()

        for person, (asked, first) in ready.items():
            card = await bot.card(person, asked, seconds=BACK_SECONDS)
            assert card["id"] == first["id"]
            await shared.state(asked, "delivered")
            assert shared.rows.entries(asked) == PAID, "charged once"
            token = bot.box.discord.actor(person).interaction(asked).token
            uploads = [request for request in requests if request.files and token in request.path]
            assert [upload.status for upload in uploads if upload.status != 500] == [200], "posted once"
        ending = await bot.card_saying("jonas", declined, "declined this prompt", seconds=BACK_SECONDS)
        assert gallery(ending) == []
        await shared.state(late.result(), "cancelled", seconds=BACK_SECONDS)
        assert bot.box.discord.actor("olga").answer(late.result()) is None
        assert [shared.rows.entries(asked) for asked in (declined, late.result())] == [RETURNED, RETURNED]

        assert {request.status for request in meanwhile} == {500}
        assert meanwhile[-1].at_ms - meanwhile[0].at_ms > 0.75 * AWAY_SECONDS * 1000, "it was tried all the time"
        shared.rows.assert_balanced()
        bot.assert_rules_kept(posts=3)
        assert shared.own_faults() == []


async def painting(shared: SharedBot, person: str, channel: str) -> tuple[int, Json]:
    """Ask for an image that stays "Painting" until the test ends its task; return the interaction's id and the card."""
    asked = await shared.ask(person, channel, mood=Mood.STUCK)
    return asked, await shared.bot.card_saying(person, asked, "Painting")


async def image_made_and_charged_in_the_outage(shared: SharedBot, asked: int) -> None:
    await shared.state(asked, "succeeded")
    assert shared.rows.entries(asked) == PAID


async def image_declined_and_refunded_in_the_outage(shared: SharedBot, asked: int) -> None:
    await shared.state(asked, "failed")
    assert shared.rows.entries(asked) == RETURNED


async def command_typed_in_the_outage(shared: SharedBot) -> int:
    """Type a command in the outage: there is never a card, so no image is requested and nothing stays held."""
    asked = await shared.ask("olga", taken=False)
    olga = shared.bot.box.discord.actor("olga")
    assert await olga.wait_for(lambda: olga.error(asked)) == "The application did not respond"
    assert shared.rows.entries(asked) == [HELD]
    return asked


def assert_unchanged(bot: RunningBot, person: str, asked: int) -> None:
    """Assert that the card has not changed at the end of the minute."""
    card = bot.box.discord.actor(person).answer(asked)
    assert card is not None
    assert "Painting" in text(card)
    assert gallery(card) == []
