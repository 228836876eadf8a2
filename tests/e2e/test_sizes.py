"""Images that are too large for their channel, with the real bot: made smaller, or linked to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import Json, RunningBot, buttons, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

PORTRAIT = "1024*1536"
TOO_LARGE = "too large to be posted here"
DEFAULT_LIMIT = 10 * 1024 * 1024


async def ask_with_limit(bot: RunningBot, limit: int, person: str, **options: Any) -> int:
    """Type /imagine where a file may have *limit* bytes, and return the interaction's id."""
    discord = bot.box.discord
    discord.set_attachment_size_limit(limit)
    try:
        asked = await bot.imagine(person, size=PORTRAIT, seed=42, **options)
        await bot.answer(person, asked)
    finally:
        discord.set_attachment_size_limit(DEFAULT_LIMIT)
    return asked


def file_of(card: Json, position: int = 0) -> str:
    return gallery(card)[position]["media"]["url"].split("?")[0].rsplit("/", 1)[1]


def from_portrait(size: tuple[int, int]) -> str:
    """The card's note for an image of 1024×1536 that now has *size*."""
    after = f"{size[0]}×{size[1]}"
    return after if size == (1024, 1536) else f"1024×1536 → {after}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cards(bot: RunningBot) -> dict[str, Json]:
    """The cards of all tests here, made at the same time."""
    mira = await ask_with_limit(bot, 40_000, "mira", prompt="a large lighthouse", format="png")
    jonas = await ask_with_limit(bot, 45_000, "jonas", prompt="a jpeg within little", format="jpeg")
    sam = await ask_with_limit(bot, 20_000, "sam", prompt="a private one", format="jpeg", private=True)
    keyhole = await ask_with_limit(bot, 200, "olga", prompt="a lighthouse in a keyhole")
    images = bot.box.images
    await bot.box.discord.actor("olga").wait_for(lambda: len(images.posts) == 4)  # the mood is for the next image alone
    images.set_mood(Mood.HUGE_IMAGE, 1)
    house = await bot.imagine("olga", prompt="a lighthouse as large as a house")
    found = await asyncio.gather(
        bot.card("mira", mira),
        bot.card("jonas", jonas),
        bot.card("sam", sam),
        bot.card_saying("olga", keyhole, TOO_LARGE),
        bot.card_saying("olga", house, TOO_LARGE),
    )
    return dict(zip(("png", "jpeg", "smaller jpeg", "keyhole", "house"), found, strict=True))


async def test_a_large_png_is_posted_as_a_webp_and_the_card_says_so(bot: RunningBot, cards: dict[str, Json]) -> None:
    card = cards["png"]
    assert file_of(card) == "a-large-lighthouse-42-1024x1536.webp"
    image_file = await bot.image_file(gallery(card)[0])
    assert (image_file.format, image_file.size) == ("WEBP", (1024, 1536))
    assert "Re-encoded to fit: webp, 1024×1536" in text(card)
    assert gallery(card)[0]["description"] == "AI-generated image: a large lighthouse"


@pytest.mark.parametrize("which", ["jpeg", "smaller jpeg"])
async def test_a_large_jpeg_stays_a_jpeg_and_is_made_smaller_if_needed(
    bot: RunningBot, cards: dict[str, Json], which: str
) -> None:
    image_file = await bot.image_file(gallery(cards[which])[0])
    assert image_file.format == "JPEG"
    assert f"Re-encoded to fit: jpeg, {from_portrait(image_file.size)}\n" in text(cards[which])
    assert (image_file.size < (1024, 1536)) is (which == "smaller jpeg")


@pytest.mark.parametrize("which", ["keyhole", "house"])
async def test_an_image_that_fits_nowhere_becomes_a_link(cards: dict[str, Json], which: str) -> None:
    """Also an image of 33 MiB, which is not downloaded."""
    assert gallery(cards[which]) == []
    assert "Open the image" in buttons(cards[which])
    assert "The link leads to the image service and expires soon." in text(cards[which])


async def test_a_linked_image_is_paid_for(bot: RunningBot, cards: dict[str, Json]) -> None:
    assert "990 of 1000 credits" in await bot.credits("olga")


async def test_discord_refused_no_upload(bot: RunningBot, cards: dict[str, Json]) -> None:
    bot.assert_rules_kept(posts=5)
    refused = [request for request in bot.box.discord.requests if request.status >= 400]
    assert refused == []
