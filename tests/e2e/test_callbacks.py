"""Callbacks of the image API to the real bot: on time, never, twice, too early, forged, after a POST that got 500."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from sandbox.__main__ import find_callback_settings
from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import RunningBot, gallery, open_bot

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAINTING_SECONDS = 6.0
BACKSTOP_SECONDS = 10.0  # when a bot that has learned no times yet polls by itself
MOODS = (
    Mood.NORMAL,
    Mood.CALLBACK_LOST,
    Mood.CALLBACK_TWICE,
    Mood.CALLBACK_EARLY,
    Mood.CALLBACK_AHEAD,
    Mood.CALLBACK_FORGED,
    Mood.ERROR_AFTER,
)


@dataclass
class CallbackScenarios:
    """One image for each mood, all requested at once so that the tests wait at the same time."""

    bot: RunningBot
    folder: Path
    asked: dict[Mood, tuple[str, int]]

    async def card(self, mood: Mood) -> dict:
        return await self.bot.card(*self.asked[mood])

    def poll_ages(self, mood: Mood) -> list[float]:
        """The age of the task at each of its polls, in seconds."""
        task = next(task for task in self.bot.box.images.tasks.values() if task.body.prompt == mood.value)
        return [(at_ms - task.accepted_at_ms) / 1000 for at_ms in self.bot.box.images.polls[task.task_id]]

    def log_of(self, mood: Mood) -> list[str]:
        """What the bot logged about the image of this mood, in order: calls, polls and result."""
        log = (self.folder / "bot.log").read_text("utf-8")
        return re.findall(rf"image {self.asked[mood][1]}-0: (.*)", log)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scenarios(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CallbackScenarios]:
    folder = tmp_path_factory.mktemp("callbacks")
    async with open_bot(folder, **find_callback_settings(), MAX_IMAGES_PER_USER="20", LOG_LEVEL="DEBUG") as bot:
        bot.box.images.seconds_per_image = (PAINTING_SECONDS, PAINTING_SECONDS)
        asked = {}
        for number, mood in enumerate(MOODS, 1):
            person = "mira" if mood is Mood.ERROR_AFTER else "jonas"
            bot.box.images.set_mood(mood, 1)
            asked[mood] = (person, await bot.imagine(person, prompt=mood.value, size="768*1024"))
            await bot.box.discord.actor(person).wait_for(lambda posts=number: len(bot.box.images.posts) == posts)
        yield CallbackScenarios(bot, folder, asked)


async def test_a_callback_names_the_task_of_a_post_that_got_500_and_its_image_is_free(
    scenarios: CallbackScenarios,
) -> None:
    bot, asked = scenarios.bot, scenarios.asked[Mood.ERROR_AFTER]
    await bot.card_saying(*asked, "didn't confirm")
    assert "50 of 50 credits" in await bot.credits("mira")
    assert len(gallery(await scenarios.card(Mood.ERROR_AFTER))) == 1
    assert "50 of 50 credits" in await bot.credits("mira")


async def test_a_callback_on_time_is_followed_by_one_poll_that_finds_the_image(scenarios: CallbackScenarios) -> None:
    for mood in (Mood.NORMAL, Mood.CALLBACK_TWICE):
        await scenarios.card(mood)
        (age,) = scenarios.poll_ages(mood)
        assert age >= PAINTING_SECONDS
        assert [line for line in scenarios.log_of(mood) if "called" in line or "ready" in line] == [
            "the service called back",
            "running -> succeeded (ready after 1 poll(s), 5 credits)",
        ]


async def test_an_early_or_forged_callback_causes_one_poll_at_once_and_one_five_seconds_later(
    scenarios: CallbackScenarios,
) -> None:
    for mood in (Mood.CALLBACK_EARLY, Mood.CALLBACK_FORGED):
        assert len(gallery(await scenarios.card(mood))) == 1
        early, *later = scenarios.poll_ages(mood)
        assert len(later) <= 2, "the second one by the true call"
        assert all(age - early >= 5.0 for age in later)


async def test_a_callback_before_the_status_changes_is_followed_by_a_second_poll_after_five_seconds(
    scenarios: CallbackScenarios,
) -> None:
    assert len(gallery(await scenarios.card(Mood.CALLBACK_AHEAD))) == 1
    first, *later = scenarios.poll_ages(Mood.CALLBACK_AHEAD)
    assert first >= PAINTING_SECONDS
    assert [age - first >= 5.0 for age in later] in ([], [True])


async def test_an_image_whose_callback_is_lost_is_found_by_the_backstop_poll(scenarios: CallbackScenarios) -> None:
    await scenarios.card(Mood.CALLBACK_LOST)
    first, *_ = scenarios.poll_ages(Mood.CALLBACK_LOST)
    assert first >= BACKSTOP_SECONDS
    assert not any("called back" in line for line in scenarios.log_of(Mood.CALLBACK_LOST))
    assert "20 of 50 credits" in await scenarios.bot.credits("jonas")


async def test_calls_with_unknown_tokens_change_nothing_and_no_token_is_in_any_file(
    scenarios: CallbackScenarios,
) -> None:
    images = scenarios.bot.box.images
    urls = [str(post.body["callback_url"]) for post in images.posts if isinstance(post.body, dict)]
    assert len(set(urls)) == len(MOODS)
    polls = {task_id: len(polls) for task_id, polls in images.polls.items()}
    base, _, _ = urls[0].partition("/callbacks/")
    async with aiohttp.ClientSession() as session:
        for url in [*urls, f"{base}/callbacks/nobody"]:
            async with session.post(url, json={"data": {"task_id": "nothing"}}) as answer:
                assert answer.status == 404
        async with session.get(f"{base}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "well\n")
    assert {task_id: len(polls) for task_id, polls in images.polls.items()} == polls
    tokens = [url.rpartition("/")[2] for url in urls]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    kept = [path for path in scenarios.folder.rglob("*") if path.suffix in (".log", ".sqlite3", ".sqlite3-wal")]
    assert {path.suffix for path in kept} >= {".log", ".sqlite3"}
    written = b"".join(path.read_bytes() for path in kept)
    assert not [token for token in tokens if token.encode() in written]
    scenarios.bot.assert_rules_kept(posts=len(MOODS))
