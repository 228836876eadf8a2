"""The image service on its bad days, with the real bot: what the person reads and what it costs (docs/bad-days.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.side_by_side import HELD, PAID, RETURNED, Books, Stage, Story, tell
from tests.e2e.trial import buttons, gallery, open_trial, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORIES: dict[str, Story] = {}
MOVERS: dict[str, Story] = {}  # these move the clock
NO_IMAGE = {
    Mood.SILENT: "didn't confirm",  # first, since it takes the POST's whole 30 s
    Mood.BAD_REQUEST: "can't make this",
    Mood.KEY_REFUSED: "The bot's owner was told",
    Mood.EMPTY_ACCOUNT: "account at the image service is empty",
    Mood.DECLINED: "declined this prompt: Content policy violation detected",
    Mood.OTHER_WORDS_FAILED: "declined this prompt: Content policy violation detected",
    Mood.NO_URL: "without an image",
    Mood.NOT_AN_IMAGE: "not an image that can be posted",
    Mood.REDIRECT: "not an image that can be posted",
    Mood.REDIRECT_LOOP: "not an image that can be posted",
    Mood.BOMB: "not an image that can be posted",
    Mood.ERROR_BEFORE: "didn't confirm",
    Mood.ERROR_AFTER: "didn't confirm",
    Mood.GARBAGE: "didn't confirm",
}
DEADLINE_SECONDS = 600
IMAGE_ALL_THE_SAME = (
    Mood.FAST,
    Mood.STRANGE_STATUS,
    Mood.SEVERAL_URLS,
    Mood.CHALLENGE,
    Mood.REDIRECTED,
    Mood.OTHER_WORDS,
)


def story(told: Story) -> Story:
    STORIES[told.__name__] = told
    return told


def mover(told: Story) -> Story:
    MOVERS[told.__name__] = told
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("api")
    settings = {"CREDITS_PER_PERIOD": "1000", "MAX_IMAGES_PER_USER": "30", "QWEN_MAX_TASKS": "100"}
    async with open_trial(folder, **settings, TASK_DEADLINE_SECONDS=str(DEADLINE_SECONDS)) as trial:
        yield Stage(trial, Books(folder / "bot.sqlite3"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endings(stage: Stage) -> dict[str, BaseException | None]:
    return await tell(stage, STORIES, MOVERS)


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
async def a_task_that_is_not_known_for_two_polls(stage: Stage) -> None:
    asked = await stage.ask("sam", mood=Mood.LOST_TASK)
    task = stage.task_of(asked)
    await stage.until(lambda: len(stage.trial.box.images.polls.get(task.task_id, [])) >= 2)
    task.kept_mood = Mood.NORMAL
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID


@story
async def a_picture_that_drips_at_first(stage: Stage) -> None:
    asked = await stage.ask("sam", mood=Mood.DRIP)
    task = stage.task_of(asked)
    await stage.until(lambda: stage.trial.box.images.polls.get(task.task_id))
    await asyncio.sleep(0.5)  # the download has begun
    task.kept_mood = Mood.NORMAL
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID


@mover
async def a_slow_image_of_a_minute(stage: Stage) -> None:
    asked = await stage.ask("jonas", "sketches", mood=Mood.SLOW)
    task, images, clock = stage.task_of(asked), stage.trial.box.images, stage.trial.box.clock
    assert 50_000 <= task.due_at_ms - task.accepted_at_ms <= 70_000
    first = await stage.trial.card_saying("jonas", asked, "Painting")
    async with stage.the_clock():  # most of its minute passes in two leaps: for the bot, and for the image
        clock.advance(40)
        images.advance(40)
        slow = await stage.trial.card_saying("jonas", asked, "taking longer than usual")
        assert (buttons(slow), stage.books.money(asked)) == (buttons(first), [HELD])
        clock.advance(20)
        images.advance(20)
        card = await stage.trial.card("jonas", asked)
    assert card["id"] == first["id"]
    assert stage.books.money(asked) == PAID
    jonas = stage.trial.box.discord.actor("jonas")
    [ping] = await jonas.wait_for(lambda: [each for each in jonas.messages("sketches") if each["mentions"]])
    assert ping["message_reference"]["message_id"] == card["id"]
    assert [person["id"] for person in ping["mentions"]] == [str(stage.trial.box.discord.people["jonas"].id)]


@mover
async def pending_past_its_deadline_and_then_a_success(stage: Stage) -> None:
    asked = await stage.ask("jonas", mood=Mood.STUCK)
    images, task, clock = stage.trial.box.images, stage.task_of(asked), stage.trial.box.clock
    await stage.until(lambda: len(images.polls.get(task.task_id, [])) >= 2)
    task.next_polls = [Mood.GARBAGE, Mood.ERROR_BEFORE, Mood.BUSY]  # and nobody is the wiser
    await stage.until(lambda: not task.next_polls)
    assert (stage.books.states(asked), stage.books.money(asked)) == (["running"], [HELD])
    async with stage.the_clock():
        clock.advance(DEADLINE_SECONDS)
        card = await stage.trial.card_saying("jonas", asked, "took longer than an image may take")
        assert "Your 5 credits were returned." in text(card)
        task.kept_mood = Mood.NORMAL
        clock.advance(60)  # past its end it is looked at once a minute
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
    first, second = stage.posts_of(asked)
    assert first.status == 429
    assert second.at_ms - first.at_ms >= 7000


@pytest.mark.parametrize("name", [*STORIES, *MOVERS])
async def test_when(endings: dict[str, BaseException | None], name: str) -> None:
    ending = endings[name]
    if ending is not None:
        raise ending


async def test_the_owner_was_told_once_for_each_matter(stage: Stage, endings: dict[str, BaseException | None]) -> None:
    olga = stage.trial.box.discord.actor("olga")
    await olga.wait_for(lambda: len(olga.messages("dm")) >= 2)
    assert len(olga.messages("dm")) == 2


async def test_at_the_end_everything_adds_up_and_one_post_an_image_was_made(
    stage: Stage, endings: dict[str, BaseException | None]
) -> None:
    refused_once = 2  # by too many requests, and by a challenge page
    stage.books.assert_sound()
    stage.trial.assert_nobody_was_wronged(posts=len(STORIES) + len(MOVERS) + refused_once)
    assert stage.faults_of_our_own() == []
