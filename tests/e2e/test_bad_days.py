"""The image service on its bad days: what the person reads, and that nothing was charged."""

from __future__ import annotations

import pytest

from sandbox.image_api.moods import Mood
from tests.e2e.trial import Trial, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (Mood.BAD_REQUEST, "can't make this"),
        (Mood.KEY_REFUSED, "The bot's owner was told"),
        (Mood.EMPTY_ACCOUNT, "account at the image service is empty"),
        (Mood.ERROR_AFTER, "didn't confirm"),
        (Mood.DECLINED, "declined this prompt: Content policy violation detected"),
        (Mood.NO_URL, "without an image"),
        (Mood.NOT_AN_IMAGE, "not an image"),
        (Mood.REDIRECT, "not an image that can be posted"),
    ],
)
async def test_a_failure_is_told_in_words_and_the_credits_come_back(trial: Trial, mood: Mood, words: str) -> None:
    posts = len(trial.box.images.posts)
    trial.box.images.set_mood(mood)
    asked = await trial.imagine("mira", prompt=f"a bad day called {mood.value}", size="768*1024")
    card = await trial.card_saying("mira", asked, words)
    trial.box.images.set_mood(Mood.NORMAL)
    assert "Your 5 credits were returned." in text(card)
    assert gallery(card) == []
    assert "1000 of 1000 credits" in await trial.credits("mira")
    assert len(trial.box.images.posts) == posts + 1


@pytest.mark.parametrize("mood", [Mood.STRANGE_STATUS, Mood.SEVERAL_URLS])
async def test_an_odd_answer_still_ends_in_one_image(trial: Trial, mood: Mood) -> None:
    trial.box.images.set_mood(mood)
    asked = await trial.imagine("jonas", prompt=f"an odd day called {mood.value}", size="768*1024")
    await trial.card("jonas", asked)
    trial.box.images.set_mood(Mood.NORMAL)


async def test_the_owner_was_told_once_for_each_matter(trial: Trial) -> None:
    olga = trial.box.discord.actor("olga")
    told = await olga.wait_for(lambda: olga.messages("dm"))
    assert len(told) == 2


async def test_at_the_end_no_rule_was_broken(trial: Trial) -> None:
    trial.assert_nobody_was_wronged(posts=10)
