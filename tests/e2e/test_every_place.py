"""Every kind of channel that Discord has, with the real bot: commands are answered, and images reach their person."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import LONG_SECONDS, Json, RunningBot, buttons, gallery, text
from ui.texts.places import LEAVING

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # the fastest size to draw
RESULT = ["Again", "Edit", "Details", "Delete"]
OWN_PAGES = ("help", "credits", "history", "settings", "privacy show", "privacy export", "privacy delete")
PLACES = {
    "gallery": "a text channel",
    "after-dark": "an age-restricted channel",
    "sketches": "a thread",
    "summer-poster": "a forum post",
    "lounge": "a voice channel's chat",
    "dm": "a direct message",
    "boat-crew": "a group",
    "mira-and-jonas": "two people's own messages",
    "pier": "a foreign server",
    "quay": "a foreign channel where only the person may see it",
    "slipway": "a server with the commands alone",
    "night-watch": "a private thread without the bot",
}
TOKEN_ONLY = (
    "boat-crew",
    "mira-and-jonas",
    "pier",
    "quay",
    "slipway",
)  # where the bot is no member, as the interaction says
BEYOND_TEXT = ("summer-poster", "lounge", "boat-crew", "mira-and-jonas", "quay", "slipway", "night-watch")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cards(bot: RunningBot) -> dict[str, Json]:
    """A finished card of mira's in each channel, all made at the same time."""
    asked = {place: await bot.imagine("mira", place, prompt=f"for {PLACES[place]}", size=SMALL) for place in PLACES}
    made = await asyncio.gather(*(bot.card("mira", asked[place]) for place in PLACES))
    return dict(zip(PLACES, made, strict=True))


async def own_page(bot: RunningBot, place: str, command: str) -> Json:
    """The answer to one of mira's commands, after "thinking…"."""
    mira = bot.box.discord.actor("mira")
    asked = await mira.command(place, command)

    def answered() -> Json | None:
        found = mira.answer(asked)
        return found if found is not None and not found["x_sandbox"]["loading"] else None

    answer = await mira.wait_for(answered)
    assert text(answer) or answer["attachments"]
    return answer


def by_the_bot_itself(bot: RunningBot, place: str) -> list[str]:
    """The bot's requests to that channel's messages with its own token."""
    path = f"/channels/{bot.box.discord.channels[place].id}/messages"
    return [request.method for request in bot.box.discord.requests if request.path.startswith(path)]


@pytest.mark.parametrize("place", PLACES)
async def test_the_image_arrives_on_the_card_where_it_was_asked_for(
    bot: RunningBot, cards: dict[str, Json], place: str
) -> None:
    card = cards[place]
    assert f"for {PLACES[place]}" in text(card) and buttons(card) == RESULT
    assert (await bot.image_file(gallery(card)[0])).size == (768, 1024)
    on_screen = [message["id"] for message in bot.box.discord.actor("mira").messages(place)]
    assert card["id"] in on_screen


async def test_where_external_apps_may_not_post_only_the_requester_sees_the_card(
    bot: RunningBot, cards: dict[str, Json]
) -> None:
    assert cards["quay"]["x_sandbox"]["ephemeral"]
    assert bot.box.discord.actor("jonas").messages("quay") == []
    assert not cards["pier"]["x_sandbox"]["ephemeral"]


@pytest.mark.parametrize("place", BEYOND_TEXT)
async def test_every_private_command_answers_there_and_for_that_person_only(
    bot: RunningBot, cards: dict[str, Json], place: str
) -> None:
    for command in OWN_PAGES:
        answer = await own_page(bot, place, command)
        assert answer["x_sandbox"]["ephemeral"], command


async def test_in_a_group_the_member_who_presses_again_pays(bot: RunningBot, cards: dict[str, Json]) -> None:
    jonas = bot.box.discord.actor("jonas")
    pressed = await jonas.press(int(cards["boat-crew"]["id"]), "Again")
    card = await bot.card("jonas", pressed)
    assert "for a group" in text(card) and f"<@{jonas.person.id}>" in text(card)
    assert "995 of 1000 credits" in await bot.credits("jonas")


async def test_what_an_admin_denies_binds_buttons_and_forms_at_once_also_in_threads(
    bot: RunningBot, cards: dict[str, Json]
) -> None:
    ada, jonas = bot.box.discord.actor("ada"), bot.box.discord.actor("jonas")
    card = int(cards["sketches"]["id"])
    await ada.permit("Lighthouse", None, ("channel", "gallery", False))
    refused = await jonas.press(card, "Again")
    denied = text(await bot.answer("jonas", refused))
    assert re.search(r"This button needs </imagine:\d+> to be allowed", denied), denied
    await ada.permit("Lighthouse", None)
    opened = await jonas.press(card, "Edit")
    assert await jonas.wait_for(lambda: jonas.form(opened))
    await ada.permit("Lighthouse", "imagine", ("user", "jonas", False))
    refused = await jonas.submit(opened, {"prompt": "a quiet room", "size": [SMALL], "format": ["jpeg"], "seed": ""})
    denied = text(await bot.answer("jonas", refused))
    assert re.search(r"This form needs </imagine:\d+> to be allowed", denied), denied
    await ada.permit("Lighthouse", "imagine")


async def test_where_it_is_no_member_the_bot_never_uses_its_own_token(bot: RunningBot, cards: dict[str, Json]) -> None:
    assert {place: by_the_bot_itself(bot, place) for place in TOKEN_ONLY} == {place: [] for place in TOKEN_ONLY}


async def test_after_fifteen_minutes_the_bot_edits_the_card_where_it_is_a_member_and_else_sends_a_direct_message(
    bot: RunningBot,
) -> None:
    """Where it is no member, the card has said so before."""
    box = bot.box
    sam, olga, jonas, mira = (box.discord.actor(name) for name in ("sam", "olga", "jonas", "mira"))
    before = by_the_bot_itself(bot, "night-watch")
    box.images.set_mood(Mood.STUCK)
    people = {"lounge": sam, "summer-poster": sam, "boat-crew": olga, "slipway": jonas, "night-watch": mira}
    asked = {
        place: await bot.imagine(actor.person.name, place, prompt=f"slow for {place}", size=SMALL)
        for place, actor in people.items()
    }
    for place, actor in people.items():
        await bot.card_saying(actor.person.name, asked[place], "Painting")
    box.clock.advance(13 * 60 + 10)
    guests = {"boat-crew": olga, "slipway": jonas, "night-watch": mira}
    for place, actor in guests.items():
        await bot.card_saying(actor.person.name, asked[place], LEAVING)
    tried = by_the_bot_itself(bot, "night-watch")[len(before) :]
    assert tried == ["PATCH"]  # its answer tells the bot that it is no member
    box.clock.advance(2 * 60)
    box.images.set_mood(Mood.NORMAL)

    async def direct_message(place: str) -> Json:
        def arrived() -> Json | None:
            found = (each for each in guests[place].messages("dm") if f"slow for {place}" in text(each))
            return next((message for message in found if gallery(message)), None)

        return await guests[place].wait_for(arrived, LONG_SECONDS)

    *direct, lounge, poster = await asyncio.gather(
        *map(direct_message, guests),
        bot.card("sam", asked["lounge"]),
        bot.card("sam", asked["summer-poster"]),
    )
    assert all(buttons(message) == RESULT for message in direct)
    assert not any(LEAVING in text(card) for card in (*direct, lounge, poster))
    for place in ("lounge", "summer-poster"):
        assert "PATCH" in by_the_bot_itself(bot, place)
    assert by_the_bot_itself(bot, "boat-crew") == by_the_bot_itself(bot, "slipway") == []
    assert by_the_bot_itself(bot, "night-watch")[len(before) :] == tried


@pytest.mark.parametrize("place", ["pier", "quay", "dm"])
async def test_after_fifteen_minutes_token_only_and_private_cards_can_be_deleted(
    bot: RunningBot, cards: dict[str, Json], place: str
) -> None:
    """The token that made the card has ended by then."""
    mira = bot.box.discord.actor("mira")
    sure = await question(bot, place, cards[place])
    await mira.press(sure, "Delete")
    await mira.wait_for(lambda: "was removed" in text(mira.message(sure)))
    assert cards[place]["id"] not in [message["id"] for message in mira.messages(place)]


async def question(bot: RunningBot, place: str, card: Json) -> int:
    """Press Delete as mira and return the message id of the private confirmation."""
    mira = bot.box.discord.actor("mira")
    before = {message["id"] for message in mira.messages(place)}
    await mira.press(int(card["id"]), "Delete")

    def asked() -> list[Json]:
        new = [message for message in mira.messages(place) if message["id"] not in before]
        return [message for message in new if buttons(message) == ["Delete", "Keep"]]

    (found,) = await mira.wait_for(asked)
    assert found["x_sandbox"]["ephemeral"]
    return int(found["id"])


async def test_what_the_owner_grants_in_a_direct_message_is_in_the_members_credits(bot: RunningBot) -> None:
    olga, ada = bot.box.discord.actor("olga"), bot.box.discord.actor("ada").person.id
    asked = await olga.command("dm", "owner grant", user=str(ada), amount=50, reason="for *your* help")
    answer = await bot.answer("olga", asked)
    assert answer["x_sandbox"]["ephemeral"]
    said = text(answer)
    assert said.startswith(rf"50 bonus credits for <@{ada}>: for \*your\* help. They have 1050 now, 50 of them")
    credits = await bot.credits("ada")
    assert "50 bonus credits" in credits and r"for \*your\* help" in credits
    status = await bot.answer("olga", await olga.command("dm", "owner status"))
    assert "1 bot, 0 workers" in text(status) and "**Database** SQLite" in text(status)


async def test_at_the_end_no_rule_was_broken(bot: RunningBot) -> None:
    bot.assert_rules_kept(posts=len(PLACES) + 1 + 5)
