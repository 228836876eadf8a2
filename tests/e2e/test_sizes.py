"""Images that are too large for where they are to be posted, with the real bot: smaller, then a link; never lost."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.image_api.moods import Mood
from tests.e2e.trial import Json, Trial, buttons, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

PORTRAIT = "1024*1536"
DEFAULT_LIMIT = 10 * 1024 * 1024


async def asked_within(trial: Trial, limit: int, person: str, **options: str | int) -> int:
    """/imagine where a file may have *limit* bytes, which is what its card keeps to for ever."""
    discord = trial.box.discord
    discord.set_attachment_size_limit(limit)
    try:
        asked = await trial.imagine(person, size=PORTRAIT, seed=42, **options)
        await trial.answer(person, asked)
    finally:
        discord.set_attachment_size_limit(DEFAULT_LIMIT)
    return asked


def file_of(card: Json, position: int = 0) -> str:
    return gallery(card)[position]["media"]["url"].split("?")[0].rsplit("/", 1)[1]


def from_portrait(size: tuple[int, int]) -> str:
    """What became of 1024×1536, as the card says it."""
    after = f"{size[0]}×{size[1]}"
    return after if size == (1024, 1536) else f"1024×1536 → {after}"


async def test_a_large_png_is_posted_as_a_webp_and_the_card_says_so(trial: Trial) -> None:
    asked = await asked_within(trial, 40_000, "mira", prompt="a large lighthouse", format="png")
    card = await trial.card("mira", asked)
    assert file_of(card) == "a-large-lighthouse-42-1024x1536.webp"
    picture = await trial.picture(gallery(card)[0])
    assert (picture.format, picture.size) == ("WEBP", (1024, 1536))
    assert "Re-encoded to fit: webp, 1024×1536" in text(card)
    assert gallery(card)[0]["description"] == "a large lighthouse"


async def test_a_large_jpeg_stays_one_and_gets_smaller_steps_where_it_must(trial: Trial) -> None:
    first = await asked_within(trial, 30_000, "jonas", prompt="a jpeg within little", format="jpeg")
    second = await asked_within(trial, 12_000, "sam", prompt="a private one", format="jpeg", private=True)
    cards = await asyncio.gather(trial.card("jonas", first), trial.card("sam", second))
    for card in cards:
        picture = await trial.picture(gallery(card)[0])
        assert picture.format == "JPEG"
        assert f"Re-encoded to fit: jpeg, {from_portrait(picture.size)}\n" in text(card)
    assert "→" in text(cards[1])


async def test_an_image_that_fits_nowhere_becomes_a_link_and_is_paid_for(trial: Trial) -> None:
    asked = await asked_within(trial, 200, "olga", prompt="a lighthouse in a keyhole")
    card = await trial.card_saying("olga", asked, "too large to be posted here")
    assert gallery(card) == []
    assert "Open the image" in buttons(card)
    assert "995 of 1000 credits" in await trial.credits("olga")


async def test_an_image_of_thirty_megabytes_becomes_a_link_without_being_fetched(trial: Trial) -> None:
    trial.box.images.set_mood(Mood.HUGE_IMAGE, 1)
    asked = await trial.imagine("olga", prompt="a lighthouse as large as a house")
    card = await trial.card_saying("olga", asked, "too large to be posted here")
    assert "Open the image" in buttons(card)
    assert "The link leads to the image service and expires soon." in text(card)
    assert "990 of 1000 credits" in await trial.credits("olga")


async def test_discord_refused_nothing_since_all_was_decided_before(trial: Trial) -> None:
    trial.assert_nobody_was_wronged(posts=5)
    refused = [request for request in trial.box.discord.requests if request.status >= 400]
    assert refused == []
