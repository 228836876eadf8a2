"""Buttons, forms and "Imagine this" with the real bot, which is killed between any two steps of a story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.trial import READY_SECONDS, Json, Trial, buttons, open_trial, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # drawn fastest
RESULT = ["Again", "Edit", "Details", "Delete"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trial(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    """A bot that may start again at once, as often as a test kills it."""
    async with open_trial(tmp_path_factory.mktemp("buttons"), MAX_IMAGES_PER_USER="20") as opened:
        opened.box.discord.gateway.identify_spacing_ms = 0
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cards(trial: Trial) -> dict[str, Json]:
    """One finished card of each place, by place; all made side by side."""
    places = {"gallery": "mira", "pier": "jonas", "dm": "mira", "studio": "sam"}
    asked = {
        place: await trial.imagine(
            person, place, prompt=f"a boat at {place}", size=SMALL, format="png", seed=42, private=place == "studio"
        )
        for place, person in places.items()
    }
    made = await asyncio.gather(*(trial.card(places[place], asked[place]) for place in places))
    return dict(zip(places, made, strict=True))


async def restart(trial: Trial) -> None:
    """Kill the bot and start it again."""
    await trial.box.bot.kill()
    await trial.box.bot.start()
    await trial.box.bot.wait_ready(READY_SECONDS)


async def question(trial: Trial, person: str, place: str, card: Json) -> int:
    """The private "sure?" after a press on Delete; its message id."""
    actor = trial.box.discord.actor(person)
    before = {message["id"] for message in actor.messages(place)}
    await actor.press(int(card["id"]), "Delete")

    def asked() -> list[Json]:
        new = [message for message in actor.messages(place) if message["id"] not in before]
        return [message for message in new if buttons(message) == ["Delete", "Keep"]]

    (found,) = await actor.wait_for(asked)
    assert found["x_sandbox"]["ephemeral"]
    return int(found["id"])


async def test_every_result_has_its_buttons_wherever_it_stands(cards: dict[str, Json]) -> None:
    assert {place: buttons(card) for place, card in cards.items()} == dict.fromkeys(cards, RESULT)


async def test_again_and_edit_work_after_a_kill_on_the_credits_of_whoever_presses(
    trial: Trial, cards: dict[str, Json]
) -> None:
    await restart(trial)
    sam, olga = trial.box.discord.actor("sam"), trial.box.discord.actor("olga")
    edit = await olga.press(int(cards["gallery"]["id"]), "Edit")
    form = await olga.wait_for(lambda: olga.form(edit))
    await restart(trial)
    again = await sam.press(int(cards["gallery"]["id"]), "Again")
    sent = await olga.submit(form, {"Prompt": "a red bicycle", "Seed": "7", "Size": ["1024*768"]})
    first, second = await asyncio.gather(trial.card("sam", again), trial.card("olga", sent))
    assert "a boat at gallery" in text(first)
    assert "seed 42" not in text(first)
    assert "a red bicycle" in text(second)
    assert "1024×768 · seed 7 · png" in text(second)
    assert buttons(first) == buttons(second) == RESULT
    assert "40 of 50 credits" in await trial.credits("sam")
    assert "45 of 50 credits" in await trial.credits("olga")


async def test_a_wrong_seed_is_told_and_the_prompt_comes_back_to_be_copied(
    trial: Trial, cards: dict[str, Json]
) -> None:
    olga = trial.box.discord.actor("olga")
    edit = await olga.press(int(cards["gallery"]["id"]), "Edit")
    form = await olga.wait_for(lambda: olga.form(edit))
    before = {message["id"] for message in olga.messages("gallery")}
    await olga.submit(form, {"Prompt": "typed for minutes", "Seed": "many"})

    def told() -> list[Json]:
        found = [message for message in olga.messages("gallery") if message["id"] not in before]
        return found if len(found) == 2 else []

    new = await olga.wait_for(told)
    assert all(message["x_sandbox"]["ephemeral"] for message in new)
    assert "whole number" in text(new[0])
    assert "```\ntyped for minutes\n```" in text(new[1])


async def test_details_are_private_and_work_in_each_place(trial: Trial, cards: dict[str, Json]) -> None:
    for place, person in {"gallery": "jonas", "pier": "mira", "dm": "mira", "studio": "sam"}.items():
        pressed = await trial.box.discord.actor(person).press(int(cards[place]["id"]), "Details")
        details = await trial.answer(person, pressed)
        assert details["x_sandbox"]["ephemeral"], place
        assert f"a boat at {place}" in text(details), place
        assert "Your credits" in text(details), place


async def test_a_stranger_deletes_nothing_and_the_requester_deletes_after_a_kill(
    trial: Trial, cards: dict[str, Json]
) -> None:
    card, mira, jonas = cards["gallery"], trial.box.discord.actor("mira"), trial.box.discord.actor("jonas")
    await jonas.press(int(card["id"]), "Delete")
    await jonas.wait_for(lambda: [m for m in jonas.messages("gallery") if "Only" in text(m)])
    kept = await question(trial, "mira", "gallery", card)
    await mira.press(kept, "Keep")
    await mira.wait_for(lambda: "stays" in text(mira.message(kept)))
    sure = await question(trial, "mira", "gallery", card)
    await restart(trial)
    await mira.press(sure, "Delete")
    await mira.wait_for(lambda: "was removed" in text(mira.message(sure)))
    assert card["id"] not in [message["id"] for message in jonas.messages("gallery")]


@pytest.mark.parametrize(("place", "person"), [("pier", "jonas"), ("studio", "sam"), ("dm", "mira")])
async def test_a_card_can_be_deleted_where_the_bot_is_no_member_and_where_only_one_person_sees_it(
    trial: Trial, cards: dict[str, Json], place: str, person: str
) -> None:
    trial.box.clock.advance(16 * 60)  # the token that made the card is dead
    await asyncio.sleep(0.2)  # the bot's clock reads the new time within 50 ms
    actor = trial.box.discord.actor(person)
    sure = await question(trial, person, place, cards[place])
    await actor.press(sure, "Delete")
    await actor.wait_for(lambda: "was removed" in text(actor.message(sure)))
    assert cards[place]["id"] not in [message["id"] for message in actor.messages(place)]


async def test_imagine_this_makes_a_message_into_an_image_after_a_kill(trial: Trial) -> None:
    mira, jonas = trial.box.discord.actor("mira"), trial.box.discord.actor("jonas")
    said = await mira.say("pier", "a fox in the snow")
    picked = await jonas.message_menu("pier", "Imagine this", said)
    form = await jonas.wait_for(lambda: jonas.form(picked))
    await restart(trial)
    card = await trial.answer("jonas", await jonas.submit(form, {}))
    assert "a fox in the snow" in text(card)
    refused = await jonas.message_menu("pier", "Imagine this", int(card["id"]))
    assert "no text" in text(await trial.answer("jonas", refused))


async def test_a_declined_prompt_can_be_edited(trial: Trial) -> None:
    olga = trial.box.discord.actor("olga")
    trial.box.images.set_mood(Mood.DECLINED)
    asked = await trial.imagine("olga", prompt="something forbidden", size=SMALL)
    card = await trial.card_saying("olga", asked, "declined this prompt")
    trial.box.images.set_mood(Mood.NORMAL)
    assert buttons(card) == ["Edit"]
    edit = await olga.press(int(card["id"]), "Edit")
    form = await olga.wait_for(lambda: olga.form(edit))
    card = await trial.answer("olga", await olga.submit(form, {"Prompt": "something allowed"}))
    assert "something allowed" in text(card)


async def test_at_the_end_one_post_an_image_and_no_rule_broken(trial: Trial) -> None:
    await trial.box.discord.actor("olga").wait_for(lambda: len(trial.box.images.posts) == 9)
    trial.assert_nobody_was_wronged(posts=4 + 2 + 1 + 2)
