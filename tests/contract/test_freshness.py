"""A process that was overtaken shows nothing old, and what it showed too late is set right."""

from __future__ import annotations

import pytest

from generations import records
from generations.freshness import Freshness
from generations.model import Ending, Generation, State
from store.database import Database
from tests.contract.world import World, make_world


@pytest.fixture
def world(database: Database) -> World:
    return make_world(database)


@pytest.fixture
def freshness(world: World) -> Freshness:
    return Freshness(world.database, world.clock)


async def fail_first_image(world: World, generation: Generation) -> None:
    async with world.database.transaction() as tx:
        image = generation.images[0]
        await records.move(tx, image, State.CANCELLED, fence=generation.fence, ending=Ending.CANCELLED)


async def test_a_claim_is_current_until_the_next_claim_also_after_it_was_given_back(
    world: World, freshness: Freshness
) -> None:
    await world.ask(1)
    (mine,) = await world.claim()
    assert await freshness.is_current(mine)
    async with world.database.transaction() as tx:
        await records.release_claim(tx, mine.id, mine.fence)
    assert await freshness.is_current(mine)
    (theirs,) = await world.claim()
    assert not await freshness.is_current(mine)
    assert await freshness.is_current(theirs)


async def test_progress_that_landed_after_the_news_has_them_shown_again(world: World, freshness: Freshness) -> None:
    await world.ask(1)
    (generation,) = await world.claim()
    await fail_first_image(world, generation)
    ended = await world.load(1)
    async with world.database.transaction() as tx:
        await records.mark_shown(tx, 1, generation.fence, ended.revision, message_id=None, channel_id=None)
        await records.release_claim(tx, 1, generation.fence)
    assert await world.claim() == []
    await freshness.was_shown(generation)
    (again,) = await world.claim()
    assert again.unshown


async def test_progress_that_nothing_overtook_changes_nothing(world: World, freshness: Freshness) -> None:
    before = await world.ask(1)
    await freshness.was_shown(before)
    assert await world.load(1) == before
