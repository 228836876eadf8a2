"""An hour in which Discord answers nothing: the real worker, ledger and delivery over HTTP, with a manual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from generations.model import Ending, State
from images.image_memory import ImageMemory
from qwen.models import TaskStatus
from store.database import open_database
from tests.doubles import FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService, task
from tests.integration.discord_rest import DiscordRest, a_discord
from tests.worker.conftest import WorkerHarness
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons

CARD, CHANNEL = 777, 2  # where the workshop's requests have theirs
MINUTE, HOUR = 60, 3600


class Town(WorkerHarness):
    """A workshop whose cards stand on a Discord."""

    rest: DiscordRest

    def discord_goes_away(self) -> None:
        self.rest.fault(".", 500, drop=True, times=1_000_000)

    def discord_comes_back(self) -> None:
        self.rest.faults.clear()
        self.rest.calls.clear()

    def images_on_the_card(self) -> int:
        return len(self.rest.messages[CARD]["attachments"])

    def words_on_the_card(self) -> str:
        return str(self.rest.messages[CARD]["components"])


async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    clock = ManualClock()
    async with a_discord() as (rest, client), open_database(f"sqlite:///{tmp_path}/town.db") as database:
        await database.migrate()
        town = Town(database, clock, ScriptedService(clock), FakeImageStore(), FakeDelivery(), FakeOperator())
        town.rest = rest
        town.delivery = DiscordDelivery(client, clock, buttons=card_buttons)  # type: ignore[assignment]
        town.restart()
        rest.add_message(CARD, CHANNEL)
        yield town
        await town.delivery.drain()  # type: ignore[attr-defined]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with aclosing(a_town(tmp_path)) as opened:  # type: ignore[type-var]
        async for made in opened:
            yield made


async def test_an_image_made_in_the_hour_arrives_within_a_minute_of_its_end_charged_once(town: Town) -> None:
    generation_id = await town.imagine()
    await town.worker.step()
    town.discord_goes_away()
    await town.pass_time(HOUR, stride=10)
    assert await town.states(generation_id) == [State.SUCCEEDED]
    assert await town.money() == (45, 0)
    assert 60 <= len(town.rest.edits()) <= 200, "no hammering, and no giving up"
    assert len(town.image_store.downloads) == 1
    town.discord_comes_back()
    await town.pass_time(MINUTE + 5, stride=5)
    assert await town.states(generation_id) == [State.DELIVERED]
    assert town.images_on_the_card() == 1
    assert len(town.rest.edits()) == 1
    assert await town.money() == (45, 0)
    assert len(town.service.posts) == 1


async def test_five_images_made_in_the_hour_are_downloaded_once_each(town: Town) -> None:
    asked = [await town.imagine(user_id=1000 + person) for person in range(5)]
    await town.worker.step()
    town.discord_goes_away()
    await town.pass_time(HOUR, stride=30)
    assert [await town.states(one) for one in asked] == [[State.SUCCEEDED]] * 5
    assert len(town.rest.edits()) <= 200, "all of them together are as patient as one"
    town.discord_comes_back()
    await town.pass_time(2 * MINUTE, stride=5)
    assert [await town.states(one) for one in asked] == [[State.DELIVERED]] * 5
    assert len(town.image_store.downloads) == 5


async def test_five_images_for_which_there_is_no_memory_are_not_downloaded_at_each_try(town: Town) -> None:
    town.context.images = ImageMemory(1)
    for person in range(5):
        await town.imagine(user_id=1000 + person)
    await town.worker.step()
    town.discord_goes_away()
    await town.pass_time(10 * MINUTE, stride=10)
    tries = len(town.rest.edits())
    assert len(town.image_store.downloads) <= 5 + tries, "one for each call that was made, and no more"
    assert 10 <= tries <= 40


async def test_an_image_made_in_the_hour_arrives_from_another_process_too(town: Town) -> None:
    generation_id = await town.imagine()
    await town.worker.step()
    town.discord_goes_away()
    await town.pass_time(HOUR, stride=60)
    town.restart()
    town.discord_comes_back()
    await town.pass_time(MINUTE + 5, stride=5)
    assert await town.states(generation_id) == [State.DELIVERED]
    assert town.images_on_the_card() == 1
    assert await town.money() == (45, 0)


async def test_credits_are_returned_at_once_and_the_ending_is_published_after_the_hour(town: Town) -> None:
    generation_id = await town.imagine()
    town.service.on_poll = [task(TaskStatus.FAILED, error="Content policy violation detected")]
    await town.worker.step()
    town.discord_goes_away()
    await town.pass_time(20, stride=5)
    assert await town.states(generation_id) == [State.FAILED]
    assert await town.money() == (50, 0)
    await town.pass_time(HOUR, stride=60)
    assert (await town.load(generation_id)).is_unpublished
    town.discord_comes_back()
    await town.pass_time(MINUTE + 5, stride=5)
    assert not (await town.load(generation_id)).is_unpublished
    assert "declined this prompt" in town.words_on_the_card()


async def test_an_unconfirmed_card_is_asked_for_until_discord_answers(town: Town) -> None:
    generation_id = await town.imagine(answered=False)
    town.discord_goes_away()
    await town.pass_time(10 * MINUTE, stride=5)
    assert (town.service.posts, await town.money()) == ([], (45, 5))
    assert len(town.rest.calls) <= 2 * 60 + 2, "every ten seconds; aiohttp sends a GET that got no answer once more"
    town.discord_comes_back()
    town.rest.messages[CARD]["components"] = [{"type": 17, "components": [{"type": 10, "content": "Sending…"}]}]
    await town.pass_time(30, stride=5)
    assert await town.states(generation_id) == [State.DELIVERED]
    assert await town.money() == (45, 0)


async def test_an_unconfirmed_card_that_discord_never_returns_costs_nothing(town: Town) -> None:
    generation_id = await town.imagine(answered=False)
    town.discord_goes_away()
    await town.pass_time(HOUR, stride=60)
    assert (await town.load(generation_id)).images[0].ending is Ending.NOT_ANSWERED
    assert await town.money() == (50, 0)
    assert town.service.posts == []
