"""/history, /settings, /privacy and /help with the real bot, and what it deletes by itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.running_bot import READY_SECONDS, Json, RunningBot, gallery, open_bot, parts, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = "768*1024"  # the fastest size to draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(folder: Path) -> AsyncIterator[RunningBot]:
    """A bot that can be restarted without waiting for Discord's identify limit."""
    async with open_bot(folder, MAX_IMAGES_PER_USER="20", CREDITS_PER_PERIOD="100", RETENTION_DAYS="1") as opened:
        opened.box.discord.gateway.identify_spacing_ms = 0
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(bot: RunningBot) -> dict[str, int]:
    """Images of several people in several channels, made at the same time; interaction ids by prompt."""
    asked = {f"boat {number}": ("mira", "gallery") for number in range(6)}
    asked |= {"a boat in the dark": ("mira", "dm"), "a boat far away": ("jonas", "pier")}
    ids = {
        prompt: await bot.imagine(person, place, prompt=prompt, size=SMALL) for prompt, (person, place) in asked.items()
    }
    await asyncio.gather(*(bot.card(person, ids[prompt]) for prompt, (person, _) in asked.items()))
    return ids


async def restart(bot: RunningBot) -> None:
    """Kill the bot and start it again."""
    await bot.box.bot.kill()
    await bot.box.bot.start()
    await bot.box.bot.wait_ready(READY_SECONDS)


async def saying(bot: RunningBot, person: str, message_id: int, words: str) -> Json:
    """Wait until the message contains *words*, and return it."""
    actor = bot.box.discord.actor(person)

    def says() -> Json | None:
        message = actor.message(message_id)
        return message if words in text(message) else None

    return await actor.wait_for(says)


async def ask(bot: RunningBot, person: str, place: str, name: str, **options: Any) -> Json:
    """Type a command and return its answer, which must be private."""
    answer = await bot.answer(person, await bot.box.discord.actor(person).command(place, name, **options))
    assert answer["x_sandbox"]["ephemeral"]
    return answer


async def test_history_finds_words(bot: RunningBot, made: dict[str, int]) -> None:
    found = text(await ask(bot, "mira", "dm", "history", search="DARK boat"))
    assert "a boat in the dark" in found and "boat 5" not in found
    assert "None of your images has" in text(await ask(bot, "mira", "gallery", "history", search="100%"))


async def test_history_as_a_user_install_has_links_and_no_images(bot: RunningBot, made: dict[str, int]) -> None:
    listed = await ask(bot, "jonas", "pier", "history")
    assert "a boat far away" in text(listed) and "[card](" in text(listed)
    assert gallery(listed) == []


def picked(message: Json) -> dict[str, str]:
    lists = [part for part in parts(message) if part["type"] == 3]
    return {
        one["custom_id"].removeprefix("settings:"): option["value"]
        for one in lists
        for option in one["options"]
        if option.get("default")
    }


async def test_help_is_one_screen_with_the_limits_of_this_bot(bot: RunningBot) -> None:
    for person, place in (("mira", "gallery"), ("mira", "dm"), ("jonas", "pier")):
        said = text(await ask(bot, person, place, "help"))
        assert "Everybody has 100 credits a day" in said and "</privacy delete:" in said


async def test_everything_works_as_a_user_install(bot: RunningBot, made: dict[str, int]) -> None:
    jonas = bot.box.discord.actor("jonas")
    assert "**1 prompt**" in text(await ask(bot, "jonas", "pier", "privacy show"))
    exported = await jonas.command("pier", "privacy export")
    answer = await jonas.wait_for(lambda: with_files(jonas.answer(exported)))
    content = await download(answer["attachments"][0]["url"])
    assert [one["prompt"] for one in content["generations"]] == ["a boat far away"]
    lists = int((await ask(bot, "jonas", "pier", "settings"))["id"])
    await jonas.press(lists, "settings:ping", ["never"])
    await jonas.wait_for(lambda: picked(jonas.message(lists))["ping"] == "never")
    question = await ask(bot, "jonas", "pier", "privacy delete")
    await jonas.press(int(question["id"]), "Keep it")
    await saying(bot, "jonas", int(question["id"]), "Nothing was deleted")


async def test_a_reported_image_is_removed_by_the_owner_after_a_kill(bot: RunningBot, made: dict[str, int]) -> None:
    discord = bot.box.discord
    sam, olga = discord.actor("sam"), discord.actor("olga")
    card_id = int((await bot.card("mira", made["boat 0"]))["id"])
    opened = await sam.message_menu("gallery", "Report this image", card_id)
    await sam.wait_for(lambda: sam.form(opened))
    thanked = await bot.answer("sam", await sam.submit(opened, {"reason": "hateful", "text": "it mocks *me*"}))
    assert thanked["x_sandbox"]["ephemeral"] and "Thank you" in text(thanked)
    told = await olga.wait_for(lambda: next((one for one in olga.messages("dm") if "boat 0" in text(one)), None))
    await restart(bot)
    await olga.press(int(told["id"]), "Remove")
    await saying(bot, "olga", int(told["id"]), "removed the image")
    assert card_id not in [int(message["id"]) for message in sam.messages("gallery")]


async def test_privacy_shows_exports_and_deletes(bot: RunningBot, made: dict[str, int], folder: Path) -> None:
    mira = bot.box.discord.actor("mira")
    assert "**7 prompts**" in text(await ask(bot, "mira", "gallery", "privacy show"))
    exported = await bot.box.discord.actor("mira").command("dm", "privacy export")
    answer = await mira.wait_for(lambda: with_files(mira.answer(exported)))
    content = await download(answer["attachments"][0]["url"])
    assert sorted(one["prompt"] for one in content["generations"]) == [
        "a boat in the dark",
        *(f"boat {number}" for number in range(6)),
    ]
    question = await ask(bot, "mira", "gallery", "privacy delete")
    await mira.press(int(question["id"]), "Delete everything")
    await saying(bot, "mira", int(question["id"]), "Deleted: 7 prompts")
    assert "No images yet" in text(await ask(bot, "mira", "gallery", "history"))
    assert "65 of 100 credits" in await bot.credits("mira")
    assert prompts_in(folder) == {"a boat far away"}


def with_files(message: Json | None) -> Json | None:
    return message if message is not None and message["attachments"] else None


async def download(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return json.loads(await answer.read())


def prompts_in(folder: Path) -> set[str]:
    """The prompts that the bot's database holds."""
    return column_of(folder, "SELECT prompt FROM generations")


def column_of(folder: Path, query: str) -> set[Any]:
    with closing(sqlite3.connect(f"file:{folder / 'bot.sqlite3'}?mode=ro", uri=True)) as connection:
        return {value for (value,) in connection.execute(query)}


async def test_prompts_are_purged_after_their_time_and_people_who_left_are_deleted(
    bot: RunningBot, made: dict[str, int], folder: Path
) -> None:
    mira, jonas = bot.box.discord.actor("mira"), bot.box.discord.actor("jonas")
    assert "After a day the words and links go by themselves" in text(await ask(bot, "jonas", "pier", "privacy show"))
    assert mira.person.id in column_of(folder, "SELECT user_id FROM entries")
    bot.box.clock.advance(2 * 24 * 3600)
    await restart(bot)
    await jonas.wait_for(lambda: prompts_in(folder) == {""})
    await jonas.wait_for(lambda: mira.person.id not in column_of(folder, "SELECT user_id FROM accounts"))
    assert mira.person.id not in column_of(folder, "SELECT user_id FROM entries")
    assert "No images yet" in text(await ask(bot, "jonas", "pier", "history"))
    assert "100 of 100 credits" in await bot.credits("mira")


async def test_at_the_end_no_rule_was_broken(bot: RunningBot, made: dict[str, int]) -> None:
    bot.assert_rules_kept(posts=len(made))
