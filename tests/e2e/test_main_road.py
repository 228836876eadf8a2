"""/imagine from the keystroke to the posted image, with the real bot process."""

from __future__ import annotations

import pytest

from tests.e2e.discord_document import faults_in
from tests.e2e.running_bot import RunningBot, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # the fastest size to draw


async def test_a_portrait_png_arrives_in_the_message_of_the_first_response(bot: RunningBot) -> None:
    asked = await bot.imagine("mira", prompt="a lighthouse in a storm", size="1024*1536", format="png", seed=42)
    first = await bot.answer("mira", asked)
    assert "a lighthouse in a storm" in text(first)
    assert "5 credits held" in text(first)
    assert gallery(first) == []
    card = await bot.card("mira", asked)
    assert card["id"] == first["id"]
    assert "1024×1536 · seed 42 · png" in text(card)
    image_file = await bot.image_file(gallery(card)[0])
    assert (image_file.format, image_file.size) == ("PNG", (1024, 1536))
    assert gallery(card)[0]["description"] == "AI-generated image: a lighthouse in a storm"
    assert "995 of 1000 credits" in await bot.credits("mira")
    assert bot.edits(int(first["id"]))[-1].files, "the last edit is the image"


async def test_four_images_are_in_one_gallery_with_consecutive_seeds(bot: RunningBot) -> None:
    asked = await bot.imagine("jonas", prompt="four foxes", count=4, seed=7, size=SMALL, spoiler=True)
    card = await bot.card("jonas", asked, image_files=4)
    assert "seeds 7–10" in text(card)
    assert all(item["spoiler"] for item in gallery(card))
    assert len({item["media"]["url"] for item in gallery(card)}) == 4
    posts = [post for post in bot.box.images.posts if "four foxes" in str(post)]
    assert len(posts) == 4


async def test_a_private_image_is_seen_by_the_requester_alone(bot: RunningBot) -> None:
    asked = await bot.imagine("mira", prompt="a secret garden", private=True, size=SMALL)
    card = await bot.card("mira", asked)
    assert card["x_sandbox"]["ephemeral"]
    others = bot.box.discord.actor("jonas").messages("gallery")
    assert card["id"] not in [message["id"] for message in others]


PROMPTS = {
    "emoji": "🦊" * 2000,
    "right to left": "\u202e\u2066evil\u2069 gnp.exe",
    "path": "../../x",
    "combining marks": "Z" + "\u0351" * 400,
}


async def test_prompts_at_the_limits_of_a_message_and_of_a_file_name_are_accepted_by_discord(bot: RunningBot) -> None:
    asked = {name: await bot.imagine("olga", prompt=prompt[:2000], size=SMALL) for name, prompt in PROMPTS.items()}
    cards = {name: await bot.card("olga", interaction_id) for name, interaction_id in asked.items()}
    for name, card in cards.items():
        assert card["mentions"] == [], name
        assert not card["mention_everyone"], name
    names = [item["media"]["url"].split("?")[0].rsplit("/", 1)[1] for card in cards.values() for item in gallery(card)]
    assert all(name.isascii() and ".." not in name for name in names)


async def test_every_request_of_this_bot_is_valid_by_discords_document(bot: RunningBot) -> None:
    requests = bot.box.discord.requests
    assert len(requests) > 20
    assert faults_in(requests) == set()


async def test_at_the_end_each_image_was_posted_once_and_no_rule_was_broken(bot: RunningBot) -> None:
    bot.assert_rules_kept(posts=1 + 4 + 1 + len(PROMPTS))
