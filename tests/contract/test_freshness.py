"""Stale edits are not made, and one that was made too late is published again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from generations import records
from generations.model import Ending, Generation, State
from generations.records.tables import generations
from generations.stale_edits import StaleEditGuard
from store.database import Database
from store.errors import DatabaseLost
from store.transactions import Transaction
from tests.contract.harness import Harness


@pytest.fixture
def stale_edit_guard(harness: Harness) -> StaleEditGuard:
    return StaleEditGuard(harness.database, harness.clock)


async def fail_first_image(harness: Harness, generation: Generation) -> None:
    image = generation.images[0]
    await harness.database.run(records.move, image, State.CANCELLED, fence=generation.fence, ending=Ending.CANCELLED)


async def test_a_claim_is_current_until_the_next_claim_also_after_it_was_given_back(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    await harness.ask(1)
    (mine,) = await harness.claim()
    assert await stale_edit_guard.is_current(mine)
    await harness.database.run(records.release_claim, mine.id, mine.fence)
    assert await stale_edit_guard.is_current(mine)
    (theirs,) = await harness.claim()
    assert not await stale_edit_guard.is_current(mine)
    assert await stale_edit_guard.is_current(theirs)


async def overtaken(harness: Harness) -> Generation:
    """Return a generation as read before another process ended it and published that."""
    await harness.ask(1)
    (generation,) = await harness.claim()
    await fail_first_image(harness, generation)
    ended = await harness.load(1)
    await harness.database.run(
        records.mark_published, 1, generation.fence, ended.revision, message_id=None, channel_id=None
    )
    await harness.database.run(records.release_claim, 1, generation.fence)
    return generation


async def test_progress_published_after_a_newer_revision_makes_that_due_again(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    generation = await overtaken(harness)
    assert await harness.claim() == []
    await stale_edit_guard.was_published(generation, {})
    (again,) = await harness.claim()
    assert again.is_unpublished


class LostDatabase(Database):
    """The same database, whose next *failures* transactions find no connection."""

    def __init__(self, database: Database, failures: int) -> None:
        self._database = database
        self.failures = failures

    async def run(self, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise DatabaseLost("the database can't be reached")
        return await self._database.run(work, *args, **kwargs)


async def test_progress_published_after_a_newer_revision_is_noted_once_the_database_is_back(harness: Harness) -> None:
    generation = await overtaken(harness)
    await StaleEditGuard(LostDatabase(harness.database, 5), harness.clock).was_published(generation, {})
    (again,) = await harness.claim()
    assert again.is_unpublished


async def deliver_both(harness: Harness) -> Generation:
    """Deliver two images on one card as attachments 70 and 71, with nothing left to do."""
    await harness.ask(1, count=2)  # a second time changes nothing
    (claimed,) = await harness.claim()

    def deliver(tx: Transaction) -> None:
        for image in claimed.images:
            for state in (State.SUBMITTING, State.RUNNING, State.SUCCEEDED):
                image = records.move(tx, image, state, fence=claimed.fence)
            records.move(tx, image, State.DELIVERED, fence=claimed.fence, attachment_id=70 + image.position)
        records.mark_published(tx, 1, claimed.fence, 2, message_id=None, channel_id=None)
        records.release_claim(tx, 1, claimed.fence)

    await harness.database.run(deliver)
    assert await harness.claim() == []
    return await harness.load(1)


async def test_an_image_that_a_stale_edit_removed_from_its_card_is_due_again(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    delivered = await deliver_both(harness)
    await stale_edit_guard.was_published(replace(delivered, revision=1), {0: 70})
    (again,) = await harness.claim()
    assert [image.state for image in again.images] == [State.DELIVERED, State.SUCCEEDED]
    assert again.is_unpublished and again.images[1].due_at_ms is not None


async def test_an_image_uploaded_again_by_a_late_edit_has_its_new_attachment_id(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    delivered = await deliver_both(harness)
    await stale_edit_guard.was_published(delivered, {0: 70, 1: 91})
    assert (await harness.load(1)).attachment_ids == {0: 70, 1: 91}
    assert await harness.claim() == []


async def test_a_late_edit_restores_the_token_of_a_private_card(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    told = replace(await harness.ask(1, count=2), revision=0)
    delivered = await deliver_both(harness)
    assert (told.origin.token, delivered.origin.token) == ("token of 1", "")
    await stale_edit_guard.was_published(replace(told, message_id=delivered.message_id), {0: 70})
    (again,) = await harness.claim()
    assert again.origin.token == "token of 1"


async def test_a_late_edit_restores_no_token_of_an_erased_person(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    told = replace(await harness.ask(1, count=2), revision=0)
    delivered = await deliver_both(harness)
    await harness.database.run(Transaction.execute, update(generations).values(prompt=""))
    await stale_edit_guard.was_published(replace(told, message_id=delivered.message_id), {0: 70})
    assert (await harness.load(1)).origin.token == ""


async def test_attachments_from_before_a_newer_upload_are_ignored(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    """A process was stopped between its upload and the rows; another one uploaded the images again."""
    delivered = await deliver_both(harness)
    for attachment_ids in ({0: 60}, {0: 60, 1: 61}, {0: 70, 1: 61}):
        await stale_edit_guard.was_published(delivered, attachment_ids)
        assert await harness.load(1) == delivered
        assert await harness.claim() == []


async def test_a_late_edit_of_a_card_that_has_moved_on_changes_nothing(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    delivered = await deliver_both(harness)
    await stale_edit_guard.was_published(replace(delivered, message_id=1, revision=1), {0: 70})
    assert await harness.load(1) == delivered


async def test_progress_without_a_newer_revision_changes_nothing(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    before = await harness.ask(1)
    await stale_edit_guard.was_published(before, {})
    assert await harness.load(1) == before


async def test_an_image_that_is_gone_from_its_card_is_due_again(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    delivered = await deliver_both(harness)
    await stale_edit_guard.forget_attachments(delivered, {1: 71})
    (again,) = await harness.claim()
    assert [image.state for image in again.images] == [State.DELIVERED, State.SUCCEEDED]
    assert again.is_unpublished and again.images[1].due_at_ms is not None
    await harness.database.run(records.move, again.images[1], State.DELIVERED, fence=again.fence, attachment_id=91)
    posted_again = await harness.load(1)
    await stale_edit_guard.forget_attachments(delivered, {1: 71})  # from another process, later
    assert await harness.load(1) == posted_again


async def test_an_image_that_is_gone_while_it_is_not_delivered_is_due_as_before(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    delivered = await deliver_both(harness)
    await stale_edit_guard.forget_attachments(delivered, {1: 71})
    due = await harness.load(1)
    await stale_edit_guard.forget_attachments(delivered, {1: 71})
    assert await harness.load(1) == due
    await stale_edit_guard.forget_attachments(replace(delivered, id=2), {1: 71})


async def test_an_image_gone_from_a_private_card_is_posted_by_the_token_that_its_edit_had(
    harness: Harness, stale_edit_guard: StaleEditGuard
) -> None:
    told = await harness.ask(1, count=2)
    delivered = await deliver_both(harness)
    assert (told.origin.token, delivered.origin.token) == ("token of 1", "")
    await stale_edit_guard.forget_attachments(told, {1: 71})
    assert (await harness.load(1)).origin.token == "token of 1"
