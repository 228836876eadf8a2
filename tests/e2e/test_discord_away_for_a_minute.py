"""Discord answers every call with 500 for a whole minute, with the real bot: what people see, what the ledger holds.

The minute is a real one: discord.py's own waits are what is to be shown here, and no clock of ours reaches them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.image_api.moods import Mood
from tests.e2e.side_by_side import HELD, PAID, RETURNED, Books, Stage
from tests.e2e.trial import Json, Trial, gallery, open_trial, text

AWAY_SECONDS = 60.0
BACK_SECONDS = 240.0  # a card that was put off comes back in 61 s at most, and one is tried each 30 s


async def test_every_call_gets_500_for_a_minute(tmp_path: Path) -> None:
    async with open_trial(tmp_path) as trial:
        stage = Stage(trial, Books(tmp_path / "bot.sqlite3"))
        ready = {"mira": await painting(stage, "mira", "gallery"), "sam": await painting(stage, "sam", "sketches")}
        declined, _ = await painting(stage, "jonas", "gallery")
        requests, began = trial.box.discord.requests, len(trial.box.discord.requests)

        trial.box.discord.faults.rest("*", ".", status=500, times=None)
        for asked, _ in ready.values():
            stage.task_of(asked).kept_mood = Mood.NORMAL
        stage.task_of(declined).kept_mood = Mood.DECLINED
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(AWAY_SECONDS))
            for asked, _ in ready.values():
                tasks.create_task(made_and_charged_meanwhile(stage, asked))
            tasks.create_task(declined_and_returned_meanwhile(stage, declined))
            late = tasks.create_task(typed_meanwhile(stage))
        for person, asked in (*((person, asked) for person, (asked, _) in ready.items()), ("jonas", declined)):
            assert_unchanged(trial, person, asked)
        meanwhile = requests[began:]
        trial.box.discord.faults.clear()

        for person, (asked, first) in ready.items():
            card = await trial.card(person, asked, seconds=BACK_SECONDS)
            assert card["id"] == first["id"]
            await stage.state(asked, "delivered")
            assert stage.books.money(asked) == PAID, "charged once"
            token = trial.box.discord.actor(person).interaction(asked).token
            uploads = [request for request in requests if request.files and token in request.path]
            assert [upload.status for upload in uploads if upload.status != 500] == [200], "posted once"
        told = await trial.card_saying("jonas", declined, "declined this prompt", seconds=BACK_SECONDS)
        assert gallery(told) == []
        await stage.state(late.result(), "cancelled", seconds=BACK_SECONDS)
        assert trial.box.discord.actor("olga").answer(late.result()) is None
        assert [stage.books.money(asked) for asked in (declined, late.result())] == [RETURNED, RETURNED]

        assert {request.status for request in meanwhile} == {500}
        assert meanwhile[-1].at_ms - meanwhile[0].at_ms > 0.75 * AWAY_SECONDS * 1000, "it was tried all the time"
        stage.books.assert_sound()
        trial.assert_nobody_was_wronged(posts=3)
        assert stage.faults_of_our_own() == []


async def painting(stage: Stage, person: str, channel: str) -> tuple[int, Json]:
    """A card that goes on saying so until the image's task is told to come to its end."""
    asked = await stage.ask(person, channel, mood=Mood.STUCK)
    return asked, await stage.trial.card_saying(person, asked, "Painting")


async def made_and_charged_meanwhile(stage: Stage, asked: int) -> None:
    await stage.state(asked, "succeeded")
    assert stage.books.money(asked) == PAID


async def declined_and_returned_meanwhile(stage: Stage, asked: int) -> None:
    await stage.state(asked, "failed")
    assert stage.books.money(asked) == RETURNED


async def typed_meanwhile(stage: Stage) -> int:
    """A command in the outage: its card never stands, so no image is asked for, and nothing stays held."""
    asked = await stage.ask("olga", taken=False)
    olga = stage.trial.box.discord.actor("olga")
    assert await olga.wait_for(lambda: olga.error(asked)) == "The application did not respond"
    assert stage.books.money(asked) == [HELD]
    return asked


def assert_unchanged(trial: Trial, person: str, asked: int) -> None:
    """What people see at the end of the minute: their cards as they were."""
    card = trial.box.discord.actor(person).answer(asked)
    assert card is not None
    assert "Painting" in text(card)
    assert gallery(card) == []
