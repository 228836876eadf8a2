"""Images that are too large for where they are to be posted, with the real bot: smaller, then a link; never lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.trial import Json, Trial, buttons, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

PORTRAIT = "1024*1536"
TOO_LARGE = "too large to be posted here"
DEFAULT_LIMIT = 10 * 1024 * 1024


async def asked_within(trial: Trial, limit: int, person: str, **options: Any) -> int:
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cards(trial: Trial) -> dict[str, Json]:
    """All that is asked for here, made at the same time."""
    mira = await asked_within(trial, 40_000, "mira", prompt="a large lighthouse", format="png")
    jonas = await asked_within(trial, 45_000, "jonas", prompt="a jpeg within little", format="jpeg")
    sam = await asked_within(trial, 20_000, "sam", prompt="a private one", format="jpeg", private=True)
    keyhole = await asked_within(trial, 200, "olga", prompt="a lighthouse in a keyhole")
    images = trial.box.images
    await trial.box.discord.actor("olga").wait_for(lambda: len(images.posts) == 4)  # the mood is for the next alone
    images.set_mood(Mood.HUGE_IMAGE, 1)
    house = await trial.imagine("olga", prompt="a lighthouse as large as a house")
    found = await asyncio.gather(
        trial.card("mira", mira),
        trial.card("jonas", jonas),
        trial.card("sam", sam),
        trial.card_saying("olga", keyhole, TOO_LARGE),
        trial.card_saying("olga", house, TOO_LARGE),
    )
    return dict(zip(("png", "jpeg", "smaller jpeg", "keyhole", "house"), found, strict=True))


async def test_a_large_png_is_posted_as_a_webp_and_the_card_says_so(trial: Trial, cards: dict[str, Json]) -> None:
    card = cards["png"]
    assert file_of(card) == "a-large-lighthouse-42-1024x1536.webp"
    image_file = await trial.image_file(gallery(card)[0])
    assert (image_file.format, image_file.size) == ("WEBP", (1024, 1536))
    assert "Re-encoded to fit: webp, 1024×1536" in text(card)
    assert gallery(card)[0]["description"] == "a large lighthouse"


@pytest.mark.parametrize("which", ["jpeg", "smaller jpeg"])
async def test_a_large_jpeg_stays_one_and_gets_smaller_where_it_must(
    trial: Trial, cards: dict[str, Json], which: str
) -> None:
    image_file = await trial.image_file(gallery(cards[which])[0])
    assert image_file.format == "JPEG"
    assert f"Re-encoded to fit: jpeg, {from_portrait(image_file.size)}\n" in text(cards[which])
    assert (image_file.size < (1024, 1536)) is (which == "smaller jpeg")


@pytest.mark.parametrize("which", ["keyhole", "house"])
async def test_an_image_that_fits_nowhere_becomes_a_link(cards: dict[str, Json], which: str) -> None:
    """Also one of thirty megabytes, which is not even fetched."""
    assert gallery(cards[which]) == []
    assert "Open the image" in buttons(cards[which])
    assert "The link leads to the image service and expires soon." in text(cards[which])


async def test_and_it_is_paid_for_since_it_was_made(trial: Trial, cards: dict[str, Json]) -> None:
    assert "990 of 1000 credits" in await trial.credits("olga")


async def test_discord_refused_nothing_since_all_was_decided_before(trial: Trial, cards: dict[str, Json]) -> None:
    trial.assert_nobody_was_wronged(posts=5)
    refused = [request for request in trial.box.discord.requests if request.status >= 400]
    assert refused == []
