"""From the keystroke to the posted image, with the real bot process: nothing between but sockets."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.discord_document import faults_in
from tests.e2e.trial import Trial, buttons, gallery, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # drawn fastest


async def test_a_portrait_png_arrives_in_the_message_that_was_the_first_answer(trial: Trial) -> None:
    asked = await trial.imagine("mira", prompt="a lighthouse in a storm", size="1024*1536", format="png", seed=42)
    first = await trial.answer("mira", asked)
    assert "a lighthouse in a storm" in text(first)
    assert "5 credits held" in text(first)
    assert gallery(first) == []
    card = await trial.card("mira", asked)
    assert card["id"] == first["id"]
    assert "1024×1536 · seed 42 · png" in text(card)
    image_file = await trial.image_file(gallery(card)[0])
    assert (image_file.format, image_file.size) == ("PNG", (1024, 1536))
    assert gallery(card)[0]["description"] == "a lighthouse in a storm"
    assert "995 of 1000 credits" in await trial.credits("mira")
    assert trial.edits(int(first["id"]))[-1].files, "the last edit is the image"


async def test_four_images_fill_one_gallery_with_seeds_that_follow_each_other(trial: Trial) -> None:
    asked = await trial.imagine("jonas", prompt="four foxes", count=4, seed=7, size=SMALL, spoiler=True)
    card = await trial.card("jonas", asked, image_files=4)
    assert "seeds 7–10" in text(card)
    assert all(item["spoiler"] for item in gallery(card))
    assert len({item["media"]["url"] for item in gallery(card)}) == 4
    posts = [post for post in trial.box.images.posts if "four foxes" in str(post)]
    assert len(posts) == 4


async def test_a_private_image_is_seen_by_the_requester_alone(trial: Trial) -> None:
    asked = await trial.imagine("mira", prompt="a secret garden", private=True, size=SMALL)
    card = await trial.card("mira", asked)
    assert card["x_sandbox"]["ephemeral"]
    others = trial.box.discord.actor("jonas").messages("gallery")
    assert card["id"] not in [message["id"] for message in others]


async def test_it_works_in_a_direct_message_in_a_thread_and_where_only_the_person_brought_it(trial: Trial) -> None:
    places = ("dm", "sketches", "pier", "after-dark")
    asked = [await trial.imagine("sam", place, prompt=f"a boat at {place}", size=SMALL) for place in places]
    cards = await asyncio.gather(*(trial.card("sam", interaction_id) for interaction_id in asked))
    assert [len(gallery(card)) for card in cards] == [1] * 4


async def test_where_the_bot_may_not_post_it_says_so_before_anything_is_held(trial: Trial) -> None:
    before = len(trial.box.images.posts)
    asked = await trial.imagine("olga", "no-posting", prompt="a wasted image")
    refusal = await trial.answer("olga", asked)
    assert refusal["x_sandbox"]["ephemeral"]
    assert "Attach Files" in text(refusal)
    assert "Nothing was charged." in text(refusal)
    assert "1000 of 1000 credits" in await trial.credits("olga")
    assert len(trial.box.images.posts) == before


HOSTILE = {
    "emoji": "🦊" * 2000,
    "right to left": "\u202e\u2066evil\u2069 gnp.exe",
    "back-ticks": "``` code ``` `x` ````",
    "pings": "@everyone @here <@1> <@&2> <#3> </imagine:4>",
    "masked link": "[free nitro](https://example.com/a) https://example.com/b",
    "zero width": "a\u200bb\u200cc\u200dd\ufeff",
    "path": "../../x",
    "one character": "x",
    "markdown": "# big **bold** ||hidden|| > quote\n-# small <t:0:R> \\",
    "combining marks": "Z" + "\u0351" * 400,
}


async def test_hostile_prompts_are_shown_inert_and_ping_nobody(trial: Trial) -> None:
    asked = {name: await trial.imagine("olga", prompt=prompt[:2000], size=SMALL) for name, prompt in HOSTILE.items()}
    cards = {name: await trial.card("olga", interaction_id) for name, interaction_id in asked.items()}
    for name, card in cards.items():
        assert card["mentions"] == [], name
        assert not card["mention_everyone"], name
        assert "](https://example.com/a)" not in text(card).replace("\\]", ""), name
        assert "```" not in text(card).replace("\\`", ""), name
    names = [item["media"]["url"].split("?")[0].rsplit("/", 1)[1] for card in cards.values() for item in gallery(card)]
    assert all(name.isascii() and ".." not in name for name in names)


async def test_a_finished_card_offers_no_cancel(trial: Trial) -> None:
    card = await trial.card("mira", await trial.imagine("mira", prompt="a quiet end", size=SMALL))
    assert "Cancel" not in buttons(card)


async def test_every_request_of_this_bot_fits_discords_own_document(trial: Trial) -> None:
    requests = trial.box.discord.requests
    assert len(requests) > 40
    assert faults_in(requests) == set()


async def test_at_the_end_one_post_an_image_and_no_rule_broken(trial: Trial) -> None:
    trial.assert_nobody_was_wronged(posts=1 + 4 + 1 + 4 + len(HOSTILE) + 1)
