"""The image service on its bad days, with the real bot: what the person reads and what it costs (docs/bad-days.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.side_by_side import PAID, RETURNED, Books, Stage, Story, tell
from tests.e2e.trial import buttons, gallery, open_trial, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORIES: dict[str, Story] = {}
NO_IMAGE = {
    Mood.BAD_REQUEST: "can't make this",
    Mood.KEY_REFUSED: "The bot's owner was told",
    Mood.EMPTY_ACCOUNT: "account at the image service is empty",
    Mood.DECLINED: "declined this prompt: Content policy violation detected",
    Mood.NO_URL: "without an image",
    Mood.NOT_AN_IMAGE: "not an image that can be posted",
    Mood.REDIRECT: "not an image that can be posted",
    Mood.BOMB: "not an image that can be posted",
    Mood.ERROR_BEFORE: "didn't confirm",
    Mood.ERROR_AFTER: "didn't confirm",
    Mood.GARBAGE: "didn't confirm",
    Mood.SILENT: "didn't confirm",
}
DEADLINE_SECONDS = 120
IMAGE_ALL_THE_SAME = (Mood.FAST, Mood.STRANGE_STATUS, Mood.SEVERAL_URLS)


def story(told: Story) -> Story:
    STORIES[told.__name__] = told
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("api")
    settings = {"CREDITS_PER_PERIOD": "1000", "MAX_IMAGES_PER_USER": "30", "QWEN_MAX_TASKS": "100"}
    async with open_trial(folder, **settings, TASK_DEADLINE_SECONDS=str(DEADLINE_SECONDS)) as trial:
        yield Stage(trial, Books(folder / "bot.sqlite3"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endings(stage: Stage) -> dict[str, BaseException | None]:
    return await tell(stage, STORIES)


def ends_without_an_image(mood: Mood, words: str) -> Story:
    async def told(stage: Stage) -> None:
        asked = await stage.ask("mira", mood=mood)
        card = await stage.trial.card_saying("mira", asked, words)
        assert "Your 5 credits were returned." in text(card)
        assert gallery(card) == []
        assert stage.books.money(asked) == RETURNED

    return told


def ends_with_an_image(mood: Mood) -> Story:
    async def told(stage: Stage) -> None:
        asked = await stage.ask("jonas", mood=mood)
        await stage.trial.card("jonas", asked)
        assert stage.books.money(asked) == PAID

    return told


STORIES |= {f"{mood}_and_no_image": ends_without_an_image(mood, words) for mood, words in NO_IMAGE.items()}
STORIES |= {f"{mood}_and_an_image_all_the_same": ends_with_an_image(mood) for mood in IMAGE_ALL_THE_SAME}


@story
async def an_image_of_thirty_mebibytes(stage: Stage) -> None:
    asked = await stage.ask("mira", mood=Mood.HUGE_IMAGE)
    card = await stage.trial.card_saying("mira", asked, "too large")
    assert "Open the image" in buttons(card)
    assert stage.books.money(asked) == PAID


@story
async def a_task_that_is_not_known_for_two_looks(stage: Stage) -> None:
    asked = await stage.ask("sam", mood=Mood.LOST_TASK)
    task = stage.task_of(asked)
    await stage.until(lambda: len(stage.trial.box.images.looks.get(task.task_id, [])) == 2)
    task.kept_mood = Mood.NORMAL
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID


@story
async def a_picture_that_drips_at_first(stage: Stage) -> None:
    asked = await stage.ask("sam", mood=Mood.DRIP)
    task = stage.task_of(asked)
    await stage.until(lambda: stage.trial.box.images.looks.get(task.task_id))
    await asyncio.sleep(0.5)  # the download has begun
    task.kept_mood = Mood.NORMAL
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID


@story
async def pending_past_its_deadline_and_then_a_success(stage: Stage) -> None:
    asked = await stage.ask("jonas", mood=Mood.STUCK)
    images, task = stage.trial.box.images, stage.task_of(asked)
    await stage.until(lambda: len(images.looks.get(task.task_id, [])) == 2, 30)
    for mood in (Mood.GARBAGE, Mood.ERROR_BEFORE, Mood.BUSY):  # they strike looks now, and nobody is the wiser
        images.set_mood(mood, 1)
        await stage.until(lambda: images.mood is Mood.NORMAL, 30)
        assert stage.books.states(asked) == ["running"]
    await stage.until(lambda: (stage.books.count("submitting"), stage.books.count("running")) == (0, 1), 60)
    stage.trial.box.clock.advance(DEADLINE_SECONDS)  # only when everybody else is done
    card = await stage.trial.card_saying("jonas", asked, "took longer than an image may take")
    assert "Your 5 credits were returned." in text(card)
    task.kept_mood = Mood.NORMAL
    stage.trial.box.clock.advance(9)
    card = await stage.trial.card("jonas", asked)
    assert "It arrived after its credits had been returned, so it is free." in text(card)
    assert "0 credits" in text(card)
    assert stage.books.money(asked) == RETURNED


@story  # the last one: for seven seconds nothing is asked of the service
async def too_many_requests_with_a_time_to_wait(stage: Stage) -> None:
    asked = await stage.ask("sam", mood=Mood.BUSY_WAIT)
    assert "Sending" in text(await stage.trial.answer("sam", asked))
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID
    first, second = [post for post in stage.trial.box.images.posts if stage.prompts[asked] in str(post.body)]
    assert first.status == 429
    assert second.at_ms - first.at_ms >= 7000


@pytest.mark.parametrize("name", STORIES)
async def test_when(endings: dict[str, BaseException | None], name: str) -> None:
    ending = endings[name]
    if ending is not None:
        raise ending


async def test_the_owner_was_told_once_for_each_matter(stage: Stage, endings: dict[str, BaseException | None]) -> None:
    olga = stage.trial.box.discord.actor("olga")
    told = await olga.wait_for(lambda: olga.messages("dm"))
    assert len(told) == 2


async def test_at_the_end_everything_adds_up_and_one_post_an_image_was_made(
    stage: Stage, endings: dict[str, BaseException | None]
) -> None:
    refused_once = 1
    stage.books.assert_sound()
    stage.trial.assert_nobody_was_wronged(posts=len(STORIES) + refused_once)
    assert stage.faults_of_our_own() == []
