"""The real bot stopped by SIGTERM: what is in flight ends or is left to the next start, and no answer is waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.image_api.moods import Mood
from tests.e2e.side_by_side import Books, Stage
from tests.e2e.trial import READY_SECONDS, open_trial

NEVER_SECONDS = 3600.0


async def test_a_stop_on_purpose_finishes_what_is_in_flight_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async with open_trial(tmp_path) as trial:
        asked = await trial.imagine("mira", prompt="a patient snail", size="768*1024")
        await trial.card_saying("mira", asked, "Painting")
        await trial.box.bot.stop()
        assert any("stopped" in line for line in trial.box.bot.log)
        await trial.box.bot.start()
        await trial.box.bot.wait_ready(READY_SECONDS)
        await trial.card("mira", asked)
        trial.assert_nobody_was_wronged(posts=1)


async def test_a_stop_while_nothing_answers_ends_by_itself_and_waits_for_no_answer(tmp_path: Path) -> None:
    async with open_trial(tmp_path) as trial:
        stage = Stage(trial, Books(tmp_path / "bot.sqlite3"))
        asked = await stage.ask("mira", mood=Mood.STUCK)
        await trial.card_saying("mira", asked, "Painting")
        calls = len(trial.box.discord.requests)
        trial.box.discord.faults.rest("*", ".", delay_seconds=NEVER_SECONDS, times=None)
        stage.task_of(asked).kept_mood = Mood.NORMAL
        await stage.state(asked, "succeeded")
        await asyncio.sleep(1)  # the upload has begun, and nobody answers it
        await trial.box.bot.stop(timeout_seconds=NEVER_SECONDS)  # unit/test_draining.py keeps the deadline of 25 s
        assert trial.box.bot.log[-1] == "[sandbox] ended with exit code 0"
        assert any("stopping: 1 steps cut off" in line for line in trial.box.bot.log)
        assert any("stopped" in line for line in trial.box.bot.log)
        assert len(trial.box.discord.requests) >= calls
