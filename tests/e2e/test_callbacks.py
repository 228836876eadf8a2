"""The image service calls the real bot back: on time, never, twice, too early, falsely, and for a lost task."""

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
from tests.e2e.trial import Trial, gallery, open_trial

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAINTING_SECONDS = 6.0
BACKSTOP_SECONDS = 10.0  # when a bot that has learned nothing yet looks by itself
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
class Stories:
    """One image for each mood, all asked for at once so that the tests wait side by side."""

    trial: Trial
    folder: Path
    asked: dict[Mood, tuple[str, int]]

    async def card(self, mood: Mood) -> dict:
        return await self.trial.card(*self.asked[mood])

    def poll_ages(self, mood: Mood) -> list[float]:
        """How old the task was at each of its looks, in seconds."""
        task = next(task for task in self.trial.box.images.tasks.values() if task.body.prompt == mood.value)
        return [(at_ms - task.accepted_at_ms) / 1000 for at_ms in self.trial.box.images.polls[task.task_id]]

    def log_of(self, mood: Mood) -> list[str]:
        """What the bot logged of the image of this mood, in order: its calls, its polls, and what came of it."""
        told = (self.folder / "bot.log").read_text("utf-8")
        return re.findall(rf"image {self.asked[mood][1]}-0: (.*)", told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stories]:
    folder = tmp_path_factory.mktemp("callbacks")
    async with open_trial(folder, **find_callback_settings(), MAX_IMAGES_PER_USER="20", LOG_LEVEL="DEBUG") as trial:
        trial.box.images.seconds_per_image = (PAINTING_SECONDS, PAINTING_SECONDS)
        asked = {}
        for number, mood in enumerate(MOODS, 1):
            person = "mira" if mood is Mood.ERROR_AFTER else "jonas"
            trial.box.images.set_mood(mood, 1)
            asked[mood] = (person, await trial.imagine(person, prompt=mood.value, size="768*1024"))
            await trial.box.discord.actor(person).wait_for(lambda posts=number: len(trial.box.images.posts) == posts)
        yield Stories(trial, folder, asked)


async def test_a_task_lost_by_a_500_is_brought_back_by_its_call_and_is_free(stories: Stories) -> None:
    trial, asked = stories.trial, stories.asked[Mood.ERROR_AFTER]
    await trial.card_saying(*asked, "didn't confirm")
    assert "50 of 50 credits" in await trial.credits("mira")
    assert len(gallery(await stories.card(Mood.ERROR_AFTER))) == 1
    assert "50 of 50 credits" in await trial.credits("mira")


async def test_a_call_on_time_is_followed_by_the_one_poll_that_brings_the_image(stories: Stories) -> None:
    for mood in (Mood.NORMAL, Mood.CALLBACK_TWICE):
        await stories.card(mood)
        (age,) = stories.poll_ages(mood)
        assert age >= PAINTING_SECONDS
        assert [line for line in stories.log_of(mood) if "called" in line or "ready" in line] == [
            "the service called back",
            "ready after 1 poll(s), 5 credits",
        ]


async def test_an_early_or_a_forged_call_costs_a_poll_at_once_and_one_five_seconds_later_and_nothing_more(
    stories: Stories,
) -> None:
    for mood in (Mood.CALLBACK_EARLY, Mood.CALLBACK_FORGED):
        assert len(gallery(await stories.card(mood))) == 1
        early, *later = stories.poll_ages(mood)
        assert len(later) <= 2, "the second one by the true call"
        assert all(age - early >= 5.0 for age in later)


async def test_a_call_ahead_of_the_status_is_followed_by_one_more_poll_after_five_seconds_or_more(
    stories: Stories,
) -> None:
    assert len(gallery(await stories.card(Mood.CALLBACK_AHEAD))) == 1
    first, *later = stories.poll_ages(Mood.CALLBACK_AHEAD)
    assert first >= PAINTING_SECONDS
    assert [age - first >= 5.0 for age in later] in ([], [True])


async def test_a_lost_call_is_made_up_for_by_the_bots_own_poll(stories: Stories) -> None:
    await stories.card(Mood.CALLBACK_LOST)
    first, *_ = stories.poll_ages(Mood.CALLBACK_LOST)
    assert first >= BACKSTOP_SECONDS
    assert not any("called back" in line for line in stories.log_of(Mood.CALLBACK_LOST))
    assert "20 of 50 credits" in await stories.trial.credits("jonas")


async def test_calls_that_nobody_waits_for_change_nothing_and_tokens_are_written_nowhere(stories: Stories) -> None:
    images = stories.trial.box.images
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
    kept = [path for path in stories.folder.rglob("*") if path.suffix in (".log", ".sqlite3", ".sqlite3-wal")]
    assert {path.suffix for path in kept} >= {".log", ".sqlite3"}
    written = b"".join(path.read_bytes() for path in kept)
    assert not [token for token in tokens if token.encode() in written]
    stories.trial.assert_nobody_was_wronged(posts=len(MOODS))
