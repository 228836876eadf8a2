"""Killed, stopped and started again: every image arrives, in its own message, once, charged once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.e2e.trial import READY_SECONDS, gallery, open_trial, text


async def test_killed_while_an_image_is_made_it_arrives_in_the_same_message_charged_once(tmp_path: Path) -> None:
    async with open_trial(tmp_path) as trial:
        asked = await trial.imagine("mira", prompt="a phoenix", size="1024*1536", format="png")
        first = await trial.card_saying("mira", asked, "Painting")
        await trial.box.bot.kill()
        await asyncio.sleep(3)
        await trial.box.bot.start()
        await trial.box.bot.wait_ready(READY_SECONDS)
        card = await trial.card("mira", asked)
        assert card["id"] == first["id"]
        assert "45 of 50 credits" in await trial.credits("mira")
        assert (
            len([message for message in trial.box.discord.actor("mira").messages("gallery") if gallery(message)]) == 1
        )
        trial.assert_nobody_was_wronged(posts=1)


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


async def test_after_fifteen_minutes_the_bot_edits_the_card_by_itself(tmp_path: Path) -> None:
    async with open_trial(tmp_path, TASK_DEADLINE_SECONDS="3600") as trial:
        trial.box.images.seconds_per_image = (8.0, 8.0)
        asked = await trial.imagine("mira", prompt="a slow sunrise", size="768*1024")
        first = await trial.card_saying("mira", asked, "Painting")
        trial.box.clock.advance(16 * 60)
        card = await trial.card("mira", asked)
        assert card["id"] == first["id"]
        assert trial.edits(int(first["id"]))[-1].path.startswith("/channels/")
        trial.assert_nobody_was_wronged(posts=1)


async def test_a_private_image_that_outlives_its_token_comes_as_a_direct_message(tmp_path: Path) -> None:
    async with open_trial(tmp_path, TASK_DEADLINE_SECONDS="3600") as trial:
        trial.box.images.seconds_per_image = (8.0, 8.0)
        asked = await trial.imagine("mira", prompt="a late secret", private=True, size="768*1024")
        await trial.card_saying("mira", asked, "Painting")
        trial.box.clock.advance(16 * 60)
        mira = trial.box.discord.actor("mira")
        sent = await mira.wait_for(lambda: [m for m in mira.messages("dm") if gallery(m) or m["attachments"]], 45)
        assert len(sent) == 1
        assert "a late secret" in text(sent[0])
