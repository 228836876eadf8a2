"""Every kind of place that Discord has, with the real bot: commands answer, and the images reach their person."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.trial import LONG_SECONDS, Json, Trial, buttons, gallery, text
from ui.texts.places import LEAVING

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # drawn fastest
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
TOKEN_ONLY = ("boat-crew", "mira-and-jonas", "pier", "quay", "slipway")  # where the bot is no member, and knows it
BEYOND_TEXT = ("summer-poster", "lounge", "boat-crew", "mira-and-jonas", "quay", "slipway", "night-watch")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cards(trial: Trial) -> dict[str, Json]:
    """A finished card of mira's in each place, all made side by side."""
    asked = {place: await trial.imagine("mira", place, prompt=f"for {PLACES[place]}", size=SMALL) for place in PLACES}
    made = await asyncio.gather(*(trial.card("mira", asked[place]) for place in PLACES))
    return dict(zip(PLACES, made, strict=True))


async def own_page(trial: Trial, place: str, command: str) -> Json:
    """The answer to one of mira's commands, once there is more of it than "thinking…"."""
    mira = trial.box.discord.actor("mira")
    asked = await mira.command(place, command)

    def answered() -> Json | None:
        found = mira.answer(asked)
        return found if found is not None and not found["x_sandbox"]["loading"] else None

    answer = await mira.wait_for(answered)
    assert text(answer) or answer["attachments"]
    return answer


def by_the_bot_itself(trial: Trial, place: str) -> list[str]:
    """What the bot asked of that place's messages with its own token."""
    path = f"/channels/{trial.box.discord.channels[place].id}/messages"
    return [request.method for request in trial.box.discord.requests if request.path.startswith(path)]


@pytest.mark.parametrize("place", PLACES)
async def test_the_image_arrives_on_the_card_where_it_was_asked_for(
    trial: Trial, cards: dict[str, Json], place: str
) -> None:
    card = cards[place]
    assert f"for {PLACES[place]}" in text(card) and buttons(card) == RESULT
    assert (await trial.image_file(gallery(card)[0])).size == (768, 1024)
    on_screen = [message["id"] for message in trial.box.discord.actor("mira").messages(place)]
    assert card["id"] in on_screen


async def test_where_external_apps_may_not_speak_nobody_else_sees_the_card(
    trial: Trial, cards: dict[str, Json]
) -> None:
    assert cards["quay"]["x_sandbox"]["ephemeral"]
    assert trial.box.discord.actor("jonas").messages("quay") == []
    assert not cards["pier"]["x_sandbox"]["ephemeral"]


@pytest.mark.parametrize("place", BEYOND_TEXT)
async def test_every_command_of_ones_own_pages_answers_there_and_for_that_person_only(
    trial: Trial, cards: dict[str, Json], place: str
) -> None:
    for command in OWN_PAGES:
        answer = await own_page(trial, place, command)
        assert answer["x_sandbox"]["ephemeral"], command


async def test_in_a_group_another_member_presses_again_and_pays_alone(trial: Trial, cards: dict[str, Json]) -> None:
    jonas = trial.box.discord.actor("jonas")
    pressed = await jonas.press(int(cards["boat-crew"]["id"]), "Again")
    card = await trial.card("jonas", pressed)
    assert "for a group" in text(card) and f"<@{jonas.person.id}>" in text(card)
    assert "995 of 1000 credits" in await trial.credits("jonas")


async def test_where_it_is_no_member_the_bot_never_tries_its_own_token(trial: Trial, cards: dict[str, Json]) -> None:
    assert {place: by_the_bot_itself(trial, place) for place in TOKEN_ONLY} == {place: [] for place in TOKEN_ONLY}


async def test_after_fifteen_minutes_a_member_bot_edits_the_card_itself_and_a_guest_writes_to_the_person(
    trial: Trial,
) -> None:
    """The guest's card has said so in time."""
    box = trial.box
    sam, olga, jonas, mira = (box.discord.actor(name) for name in ("sam", "olga", "jonas", "mira"))
    before = by_the_bot_itself(trial, "night-watch")
    box.images.set_mood(Mood.STUCK)
    people = {"lounge": sam, "summer-poster": sam, "boat-crew": olga, "slipway": jonas, "night-watch": mira}
    asked = {
        place: await trial.imagine(actor.person.name, place, prompt=f"slow for {place}", size=SMALL)
        for place, actor in people.items()
    }
    for place, actor in people.items():
        await trial.card_saying(actor.person.name, asked[place], "Painting")
    box.clock.advance(13 * 60 + 10)
    guests = {"boat-crew": olga, "slipway": jonas, "night-watch": mira}
    for place, actor in guests.items():
        await trial.card_saying(actor.person.name, asked[place], LEAVING)
    tried = by_the_bot_itself(trial, "night-watch")[len(before) :]
    assert tried == ["PATCH"]  # which tells the bot that it is not there
    box.clock.advance(2 * 60)
    box.images.set_mood(Mood.NORMAL)

    async def direct_message(place: str) -> Json:
        def arrived() -> Json | None:
            found = (each for each in guests[place].messages("dm") if f"slow for {place}" in text(each))
            return next((message for message in found if gallery(message)), None)

        return await guests[place].wait_for(arrived, LONG_SECONDS)

    *direct, lounge, poster = await asyncio.gather(
        *map(direct_message, guests),
        trial.card("sam", asked["lounge"]),
        trial.card("sam", asked["summer-poster"]),
    )
    assert all(buttons(message) == RESULT for message in direct)
    assert not any(LEAVING in text(card) for card in (*direct, lounge, poster))
    for place in ("lounge", "summer-poster"):
        assert "PATCH" in by_the_bot_itself(trial, place)
    assert by_the_bot_itself(trial, "boat-crew") == by_the_bot_itself(trial, "slipway") == []
    assert by_the_bot_itself(trial, "night-watch")[len(before) :] == tried


@pytest.mark.parametrize("place", ["pier", "quay", "dm"])
async def test_later_a_card_can_be_deleted_where_the_bot_is_no_member_and_where_only_one_person_sees_it(
    trial: Trial, cards: dict[str, Json], place: str
) -> None:
    """The token that made the card is dead by now."""
    mira = trial.box.discord.actor("mira")
    sure = await question(trial, place, cards[place])
    await mira.press(sure, "Delete")
    await mira.wait_for(lambda: "was removed" in text(mira.message(sure)))
    assert cards[place]["id"] not in [message["id"] for message in mira.messages(place)]


async def question(trial: Trial, place: str, card: Json) -> int:
    """The private "sure?" after mira's press on Delete; its message id."""
    mira = trial.box.discord.actor("mira")
    before = {message["id"] for message in mira.messages(place)}
    await mira.press(int(card["id"]), "Delete")

    def asked() -> list[Json]:
        new = [message for message in mira.messages(place) if message["id"] not in before]
        return [message for message in new if buttons(message) == ["Delete", "Keep"]]

    (found,) = await mira.wait_for(asked)
    assert found["x_sandbox"]["ephemeral"]
    return int(found["id"])


async def test_at_the_end_no_rule_was_broken(trial: Trial) -> None:
    trial.assert_nobody_was_wronged(posts=len(PLACES) + 1 + 5)
