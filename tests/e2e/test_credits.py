"""Fifty credits a day: ten images, and the eleventh is refused with the time of the refill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.trial import Trial, buttons, open_trial, text

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trial(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    """A bot with the default limits."""
    async with open_trial(tmp_path_factory.mktemp("credits")) as opened:
        yield opened


async def test_one_image_of_ten_leaves_forty_five_credits(trial: Trial) -> None:
    await trial.card("mira", await trial.imagine("mira", prompt="the first", size="768*1024"))
    assert "45 of 50 credits" in await trial.credits("mira")


async def test_a_waiting_image_can_be_cancelled_by_its_requester_and_by_no_stranger(trial: Trial) -> None:
    asked = await trial.imagine("jonas", prompt="one too many", count=4, size="768*1024")
    card = await trial.card_saying("jonas", asked, "of yours in line")
    assert buttons(card) == ["Cancel"]
    mira, jonas = trial.box.discord.actor("mira"), trial.box.discord.actor("jonas")
    refused = await mira.press(int(card["id"]), "Cancel")
    assert "Only" in text(await trial.answer("mira", refused))
    await jonas.press(int(card["id"]), "Cancel")
    card = await trial.card_saying("jonas", asked, "Cancelled before it was sent")
    assert "Your 5 credits were returned." in text(card)
    await trial.card("jonas", asked, image_files=3)
    assert "35 of 50 credits" in await trial.credits("jonas")


async def test_the_eleventh_image_is_refused_privately_with_the_time_of_the_refill(trial: Trial) -> None:
    asked = [await trial.imagine("mira", prompt=f"number {number}", size="768*1024") for number in range(2, 11)]
    refusal = await trial.answer("mira", await trial.imagine("mira", prompt="the eleventh"))
    assert refusal["x_sandbox"]["ephemeral"]
    assert "needs 5 credits" in text(refusal)
    assert "<t:" in text(refusal)
    assert ":R>" in text(refusal)
    await asyncio.gather(*(trial.card("mira", interaction_id, seconds=60) for interaction_id in asked))
    assert "0 of 50 credits" in await trial.credits("mira")


async def test_after_midnight_the_credits_are_back(trial: Trial) -> None:
    trial.box.clock.advance(24 * 3600)
    await asyncio.sleep(0.2)  # the bot's clock reads the new time within 50 ms
    assert "50 of 50 credits" in await trial.credits("mira")


async def test_at_the_end_one_post_an_image_and_no_rule_broken(trial: Trial) -> None:
    trial.assert_nobody_was_wronged(posts=1 + 3 + 9)
