"""Pings as replies to cards and as links to them, and none for a private card, with the real bot."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.running_bot import Json, RunningBot, gallery
from ui.texts.history import IMAGES_MISSING

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"


def ping_of(bot: RunningBot, person: str, channel: str, card: Json) -> Json | None:
    """The message that mentions this person as a reply to *card*."""
    actor = bot.box.discord.actor(person)
    for message in actor.messages(channel):
        reference = message.get("message_reference") or {}
        if str(reference.get("message_id")) == str(card["id"]) and message["content"].endswith("ready."):
            return message
    return None


async def pings_always(bot: RunningBot, person: str) -> None:
    """Set pings to always in /settings."""
    actor = bot.box.discord.actor(person)
    settings = await bot.answer(person, await actor.command("gallery", "settings"))
    await actor.press(int(settings["id"]), "settings:ping", ["always"])

    def is_set() -> bool:
        rows = [row["components"][0] for row in settings_of(actor.message(int(settings["id"])))]
        return any(
            option.get("default") and option["value"] == "always"
            for one in rows
            if one["custom_id"] == "settings:ping"
            for option in one["options"]
        )

    await actor.wait_for(is_set)


def settings_of(message: Json) -> list[Json]:
    return [row for part in message["components"] for row in part["components"] if row["type"] == 1]


async def test_people_who_want_it_get_one_ping_as_a_reply_to_their_card(bot: RunningBot) -> None:
    await pings_always(bot, "mira")
    actor = bot.box.discord.actor("mira")

    async def pinged(channel: str) -> None:
        card = await bot.card("mira", await bot.imagine("mira", channel, prompt=f"a boat at {channel}", size=SMALL))
        ping = await actor.wait_for(lambda: ping_of(bot, "mira", channel, card))
        assert [str(person["id"]) for person in ping["mentions"]] == [str(actor.person.id)]
        assert not ping["mention_everyone"]
        assert ping["content"] == f"<@{actor.person.id}> your image is ready."

    await asyncio.gather(*map(pinged, ("gallery", "sketches", "pier", "dm", "slipway", "night-watch")))


async def test_without_read_message_history_the_ping_links_to_the_card_and_history_says_what_is_missing(
    bot: RunningBot,
) -> None:
    actor = bot.box.discord.actor("mira")
    card = await bot.card("mira", await bot.imagine("mira", "ferry", prompt="a boat at the ferry", size=SMALL))
    await actor.wait_for(lambda: [each for each in actor.messages("ferry") if str(card["id"]) in each["content"]])
    asked = await actor.command("gallery", "history", search="ferry")
    page = await bot.card_saying("mira", asked, IMAGES_MISSING)
    assert gallery(page) == []


async def test_a_private_card_has_no_ping(bot: RunningBot) -> None:
    secret = await bot.imagine("mira", prompt="a secret boat", private=True, size=SMALL)
    public = await bot.imagine("mira", prompt="a public boat", size=SMALL)
    private, card = await asyncio.gather(bot.card("mira", secret), bot.card("mira", public))
    actor = bot.box.discord.actor("mira")
    await actor.wait_for(lambda: ping_of(bot, "mira", "gallery", card))
    assert ping_of(bot, "mira", "gallery", private) is None


async def test_at_the_end_no_rule_was_broken(bot: RunningBot) -> None:
    bot.assert_rules_kept(posts=9)
