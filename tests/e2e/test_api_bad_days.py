"""Faults of the image API with the real bot: what the person reads and what it costs (docs/bad-days.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import buttons, gallery, open_bot, text
from tests.e2e.scenarios import HELD, PAID, RETURNED, BotDatabase, Scenario, SharedBot, run_scenarios

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCENARIOS: dict[str, Scenario] = {}
CLOCK_SCENARIOS: dict[str, Scenario] = {}  # these move the clock
NO_IMAGE = {
    Mood.SILENT: "didn't confirm",  # first, since it takes the POST's whole 30 s
    Mood.BAD_REQUEST: "can't make this",
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


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


def clock_scenario(run: Scenario) -> Scenario:
    CLOCK_SCENARIOS[run.__name__] = run
    return run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedBot]:
    folder = tmp_path_factory.mktemp("api")
    settings = {"CREDITS_PER_PERIOD": "1000", "MAX_IMAGES_PER_USER": "30", "QWEN_MAX_TASKS": "100"}
    async with open_bot(folder, **settings, TASK_DEADLINE_SECONDS=str(DEADLINE_SECONDS)) as bot:
        yield SharedBot(bot, BotDatabase(folder / "bot.sqlite3"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endings(shared: SharedBot) -> dict[str, BaseException | None]:
    return await run_scenarios(shared, SCENARIOS, CLOCK_SCENARIOS)


def ends_without_an_image(mood: Mood, words: str) -> Scenario:
    async def run(shared: SharedBot) -> None:
        asked = await shared.ask("mira", mood=mood)
        card = await shared.bot.card_saying("mira", asked, words)
        assert "Your 5 credits were returned." in text(card)
        assert gallery(card) == []
        assert shared.rows.entries(asked) == RETURNED

    return run


def ends_with_an_image(mood: Mood) -> Scenario:
    async def run(shared: SharedBot) -> None:
        asked = await shared.ask("jonas", mood=mood)
        await shared.bot.card("jonas", asked)
        assert shared.rows.entries(asked) == PAID

    return run


SCENARIOS |= {f"{mood}_and_no_image": ends_without_an_image(mood, words) for mood, words in NO_IMAGE.items()}
SCENARIOS |= {f"{mood}_and_an_image_all_the_same": ends_with_an_image(mood) for mood in IMAGE_ALL_THE_SAME}


@scenario
async def an_image_of_thirty_mebibytes(shared: SharedBot) -> None:
    asked = await shared.ask("mira", mood=Mood.HUGE_IMAGE)
    card = await shared.bot.card_saying("mira", asked, "too large")
    assert "Open the image" in buttons(card)
    assert shared.rows.entries(asked) == PAID


@scenario
async def a_task_that_is_not_known_for_two_polls(shared: SharedBot) -> None:
    asked = await shared.ask("sam", mood=Mood.LOST_TASK)
    task = shared.task_of(asked)
    await shared.until(lambda: len(shared.bot.box.images.polls.get(task.task_id, [])) >= 2)
    task.kept_mood = Mood.NORMAL
    await shared.bot.card("sam", asked)
    assert shared.rows.entries(asked) == PAID


@scenario
async def a_download_that_is_very_slow_at_first(shared: SharedBot) -> None:
    asked = await shared.ask("sam", mood=Mood.DRIP)
    task = shared.task_of(asked)
    await shared.until(lambda: shared.bot.box.images.polls.get(task.task_id))
    await asyncio.sleep(0.5)  # the download has begun
    task.kept_mood = Mood.NORMAL
    await shared.bot.card("sam", asked)
    assert shared.rows.entries(asked) == PAID


@clock_scenario
async def a_slow_image_of_a_minute(shared: SharedBot) -> None:
    asked = await shared.ask("jonas", "sketches", mood=Mood.SLOW)
    task, images, clock = shared.task_of(asked), shared.bot.box.images, shared.bot.box.clock
    assert 50_000 <= task.due_at_ms - task.accepted_at_ms <= 70_000
    first = await shared.bot.card_saying("jonas", asked, "Painting")
    async with shared.move_clock():  # most of its minute passes in two jumps, of the bot's clock and of the task
        clock.advance(40)
        images.advance(40)
        slow = await shared.bot.card_saying("jonas", asked, "taking longer than usual")
        assert (buttons(slow), shared.rows.entries(asked)) == (buttons(first), [HELD])
        clock.advance(20)
        images.advance(20)
        card = await shared.bot.card("jonas", asked)
    assert card["id"] == first["id"]
    assert shared.rows.entries(asked) == PAID
    jonas = shared.bot.box.discord.actor("jonas")
    [ping] = await jonas.wait_for(lambda: [each for each in jonas.messages("sketches") if each["mentions"]])
    assert ping["message_reference"]["message_id"] == card["id"]
    assert [person["id"] for person in ping["mentions"]] == [str(shared.bot.box.discord.people["jonas"].id)]


@clock_scenario
async def pending_past_its_deadline_and_then_a_success(shared: SharedBot) -> None:
    asked = await shared.ask("jonas", mood=Mood.STUCK)
    images, task, clock = shared.bot.box.images, shared.task_of(asked), shared.bot.box.clock
    await shared.until(lambda: len(images.polls.get(task.task_id, [])) >= 2)
    task.next_polls = [Mood.GARBAGE, Mood.ERROR_BEFORE, Mood.BUSY]  # none of these is shown to anybody
    await shared.until(lambda: not task.next_polls)
    assert (shared.rows.states(asked), shared.rows.entries(asked)) == (["running"], [HELD])
    async with shared.move_clock():
        clock.advance(DEADLINE_SECONDS)
        card = await shared.bot.card_saying("jonas", asked, "took longer than an image may take")
        assert "Your 5 credits were returned." in text(card)
        task.kept_mood = Mood.NORMAL
        clock.advance(60)  # a given-up task is polled once a minute
        card = await shared.bot.card("jonas", asked)
    assert "It arrived after its credits had been returned, so it is free." in text(card)
    assert "0 credits" in text(card)
    assert shared.rows.entries(asked) == RETURNED


@scenario  # the last one: it stops all POSTs for seven seconds
async def too_many_requests_with_a_time_to_wait(shared: SharedBot) -> None:
    asked = await shared.ask("sam", mood=Mood.BUSY_WAIT)
    await shared.bot.card("sam", asked)
    assert shared.rows.entries(asked) == PAID
    first, second = shared.posts_of(asked)
    assert first.status == 429
    assert second.at_ms - first.at_ms >= 7000


@pytest.mark.parametrize("name", [*SCENARIOS, *CLOCK_SCENARIOS])
async def test_scenario(endings: dict[str, BaseException | None], name: str) -> None:
    ending = endings[name]
    if ending is not None:
        raise ending


async def test_at_the_end_the_ledger_balances_and_each_image_was_posted_once(
    shared: SharedBot, endings: dict[str, BaseException | None]
) -> None:
    refused_once = 2  # by too many requests, and by a challenge page
    shared.rows.assert_balanced()
    shared.bot.assert_rules_kept(posts=len(SCENARIOS) + len(CLOCK_SCENARIOS) + refused_once)
    assert shared.own_faults() == []
