"""Lease and fence: one process works on a generation, and a late writer changes neither rows nor ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from discord_api.snowflakes import snowflake_at
from generations import records
from generations.errors import IllegalMove, LostClaim, MovedOn
from generations.model import MOVES, Ending, Generation, Image, State
from generations.records.tables import generations, images
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import CHANNEL, GUILD, MIRA, NOON_MS, ON_SQLITE, OTTO, Harness, make_harness

LEASE_MS = 20_000


async def ids_of(claiming: Awaitable[list[Generation]]) -> list[int]:
    return [generation.id for generation in await claiming]


async def release(harness: Harness, generation: Generation, retry_publish_at_ms: int | None = None) -> None:
    await harness.database.run(
        records.release_claim, generation.id, generation.fence, retry_publish_at_ms=retry_publish_at_ms
    )


async def next_due(harness: Harness) -> int | None:
    """Return when something can be claimed next: the clock's time when that is now."""
    work = await harness.database.read(records.load_due_work, harness.clock.at_ms)
    return harness.clock.at_ms if work.is_due else work.next_due_at_ms


async def test_the_longest_due_is_claimed_first_and_nothing_before_it_is_due(harness: Harness) -> None:
    for generation_id, seconds in ((1, 30), (2, 10), (3, 20)):
        harness.clock.at_ms = NOON_MS + seconds * 1000
        await harness.ask(generation_id)
    harness.clock.at_ms = NOON_MS + 30_000
    assert await ids_of(harness.claim(limit=2)) == [2, 3]
    await harness.ask(4, answered=False)  # due in 20 s, when the worker asks Discord for its card
    assert await ids_of(harness.claim()) == [1]
    harness.clock.at_ms += 20_000
    assert 4 in await ids_of(harness.claim())


async def test_a_claim_comes_with_its_images_in_order_and_a_new_fence(harness: Harness) -> None:
    await harness.ask(1, count=4)
    (claimed,) = await harness.claim()
    assert [image.position for image in claimed.images] == [0, 1, 2, 3]
    assert claimed.fence == 1
    assert claimed == await harness.load(1)


async def test_a_claim_excludes_others_until_its_lease_runs_out(harness: Harness) -> None:
    await harness.ask(1)
    (mine,) = await harness.claim(lease_holder="one")
    assert await harness.claim(lease_holder="two") == []
    assert await next_due(harness) == NOON_MS + LEASE_MS
    harness.clock.at_ms += LEASE_MS
    (theirs,) = await harness.claim(lease_holder="two")
    assert (mine.fence, theirs.fence) == (1, 2)


async def test_a_renewed_lease_lasts_longer(harness: Harness) -> None:
    await harness.ask(1)
    (mine,) = await harness.claim()
    harness.clock.at_ms += LEASE_MS - 1
    assert await harness.database.run(records.renew, 1, mine.fence, harness.clock.at_ms + LEASE_MS)
    assert not await harness.database.run(records.renew, 1, mine.fence - 1, harness.clock.at_ms + 99 * LEASE_MS)
    harness.clock.at_ms += LEASE_MS - 1
    assert await harness.claim() == []
    harness.clock.at_ms += 1
    assert await ids_of(harness.claim()) == [1]


async def test_a_released_claim_is_not_renewed_by_a_late_renewal(harness: Harness) -> None:
    await harness.ask(1)
    (mine,) = await harness.claim()
    await harness.database.run(records.release_claim, 1, mine.fence)
    assert not await harness.database.run(records.renew, 1, mine.fence, harness.clock.at_ms + LEASE_MS)


async def test_two_processes_never_claim_the_same_generation(harness: Harness, other_database: Database) -> None:
    for generation_id in range(1, 31):
        await harness.ask(generation_id, user_id=1000 + generation_id)
    claims = await asyncio.gather(*(each.claim(limit=4) for each in [harness, make_harness(other_database)] * 4))
    claimed = [generation.id for claim in claims for generation in claim]
    assert sorted(claimed) == list(range(1, 31))


Write = Callable[[Transaction, Generation, Image], object]
LATE_WRITES: dict[str, Write] = {
    "move": lambda tx, one, image: records.move(tx, image, State.RUNNING, fence=one.fence, task_id="t"),
    "update": lambda tx, one, image: records.update_image(tx, image, fence=one.fence, polls=9),
    "release": lambda tx, one, _: records.release_claim(tx, one.id, one.fence),
    "shown": lambda tx, one, _: records.mark_published(tx, one.id, one.fence, 7, message_id=1, channel_id=2),
}


@pytest.mark.parametrize("name", LATE_WRITES)
async def test_a_write_with_an_older_fence_changes_neither_rows_nor_ledger(harness: Harness, name: str) -> None:
    await harness.ask(1)
    (late,) = await harness.claim()
    image = await harness.move(late.images[0], State.SUBMITTING, fence=late.fence)
    harness.clock.at_ms += LEASE_MS
    await harness.claim(lease_holder="two")
    before = await harness.load(1)

    def settle_and_write(tx: Transaction) -> None:
        harness.ledger.settle(tx, image.image_id, None, NOON_MS)
        LATE_WRITES[name](tx, late, image)

    with pytest.raises(LostClaim):
        await harness.database.run(settle_and_write)
    assert await harness.load(1) == before
    assert await harness.numbers() == (45, 5)


async def test_a_generation_that_is_not_there_is_a_lost_claim(harness: Harness) -> None:
    ghost = Image(404, 0, seed=1)
    with pytest.raises(LostClaim):
        await harness.database.run(records.update_image, ghost, fence=None, polls=1)
    with pytest.raises(LostClaim):
        await harness.database.run(records.release_claim, 404, 0)


WAYS = {
    State.REQUESTED: (),
    State.SUBMITTING: (State.SUBMITTING,),
    State.RUNNING: (State.SUBMITTING, State.RUNNING),
    State.SUCCEEDED: (State.SUBMITTING, State.RUNNING, State.SUCCEEDED),
    State.DELIVERED: (State.SUBMITTING, State.RUNNING, State.SUCCEEDED, State.DELIVERED),
    State.UNDELIVERED: (State.SUBMITTING, State.RUNNING, State.SUCCEEDED, State.UNDELIVERED),
    State.FAILED: (State.SUBMITTING, State.FAILED),
    State.EXPIRED: (State.EXPIRED,),
    State.UNKNOWN: (State.SUBMITTING, State.UNKNOWN),
    State.CANCELLED: (State.CANCELLED,),
}


@ON_SQLITE
@pytest.mark.parametrize("source", list(State))
async def test_only_the_moves_of_the_table_are_possible(harness: Harness, source: State) -> None:
    await harness.ask(1)
    image = await harness.move(await harness.image(1), *WAYS[source])
    for target in set(State) - MOVES[source]:
        with pytest.raises(IllegalMove):
            await harness.move(image, target)
        assert (await harness.image(1)).state is source
    for number, target in enumerate(MOVES[source], 2):
        await harness.ask(number, user_id=number)
        image = await harness.move(await harness.image(number), *WAYS[source])
        assert (await harness.move(image, target)).state is target


async def test_an_image_whose_task_is_known_meanwhile_does_not_become_unknown(harness: Harness) -> None:
    await harness.ask(1)
    seen = await harness.move(await harness.image(1), State.SUBMITTING)
    assert await harness.database.run(records.adopt_task, 1, 0, "task-1", NOON_MS, by_submitter=True)
    with pytest.raises(MovedOn):
        await harness.move(seen, State.UNKNOWN)
    assert (await harness.image(1)).state is State.RUNNING


async def test_a_writer_that_expects_a_wrong_state_gets_illegal_move(harness: Harness) -> None:
    await harness.ask(1)
    seen = await harness.move(await harness.image(1), State.SUBMITTING)
    await harness.move(seen, State.UNKNOWN)
    with pytest.raises(IllegalMove):
        await harness.move(seen, State.RUNNING)


async def test_a_move_from_another_state_than_the_stored_one_changes_nothing(harness: Harness) -> None:
    await harness.ask(1)
    seen = await harness.image(1)
    await harness.move(seen, State.CANCELLED)
    with pytest.raises(MovedOn):
        await harness.move(seen, State.SUBMITTING)
    with pytest.raises(MovedOn):
        await harness.database.run(records.update_image, seen, fence=None, polls=1)
    assert (await harness.image(1)).state is State.CANCELLED


async def test_a_move_carries_its_changes_and_returns_the_row(harness: Harness) -> None:
    await harness.ask(1)
    image = await harness.move(await harness.image(1), State.SUBMITTING)
    assert image.due_at_ms == NOON_MS, "killed here, it is due as soon as the lease runs out"
    running = await harness.database.run(
        records.move, image, State.RUNNING, fence=None, task_id="t1", due_at_ms=NOON_MS + 9
    )
    failed = await harness.database.run(
        records.move, running, State.FAILED, fence=None, ending=Ending.DECLINED, ending_detail="no \x00 \ud800"
    )
    assert (running.task_id, running.due_at_ms, running.seed) == ("t1", NOON_MS + 9, 5)
    assert (failed.ending, failed.ending_detail, failed.due_at_ms) == (Ending.DECLINED, "no \ufffd ?", None)
    assert failed == await harness.image(1)


async def test_only_visible_endings_make_a_new_revision(harness: Harness) -> None:
    await harness.ask(1)
    image, revisions = await harness.image(1), []
    for state in (State.SUBMITTING, State.RUNNING, State.EXPIRED, State.SUCCEEDED, State.DELIVERED):
        image = await harness.move(image, state)
        revisions.append((await harness.load(1)).revision)
    assert revisions == [0, 0, 1, 2, 2]


async def test_a_released_claim_is_due_when_the_first_of_its_images_is(harness: Harness) -> None:
    await harness.ask(1, count=2)
    (claimed,) = await harness.claim()
    for image, seconds in zip(claimed.images, (9, 7), strict=True):
        await harness.database.run(records.update_image, image, fence=claimed.fence, due_at_ms=NOON_MS + seconds * 1000)
    await release(harness, claimed)
    assert await next_due(harness) == NOON_MS + 7000
    harness.clock.at_ms += 7000
    assert await ids_of(harness.claim()) == [1]


async def test_an_unpublished_card_is_due_at_once_or_at_the_retry_time(harness: Harness) -> None:
    await harness.ask(1)
    await harness.move(await harness.image(1), State.CANCELLED)
    (claimed,) = await harness.claim()
    await release(harness, claimed, retry_publish_at_ms=NOON_MS + 5000)
    assert await next_due(harness) == NOON_MS + 5000
    harness.clock.at_ms += 5000
    (claimed,) = await harness.claim()
    await release(harness, claimed)
    (claimed,) = await harness.claim()
    await harness.database.run(
        records.mark_published, 1, claimed.fence, claimed.revision, message_id=None, channel_id=None
    )
    await harness.database.run(records.release_claim, 1, claimed.fence)
    assert await next_due(harness) is None
    assert (await harness.load(1)).message_id == 9001


async def test_releasing_a_claim_keeps_what_became_due_during_it(harness: Harness) -> None:
    await harness.ask(1, count=2)
    (claimed,) = await harness.claim()
    for image in claimed.images:
        await harness.database.run(records.update_image, image, fence=claimed.fence, due_at_ms=NOON_MS + 5000)
    await harness.admit(max_in_flight=1)
    await release(harness, claimed)
    assert await next_due(harness) == NOON_MS, "its turn came meanwhile"
    (claimed,) = await harness.claim()
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    await release(harness, claimed)
    assert await ids_of(harness.claim()) == [1], "its cancel is not shown yet"


async def row_of(harness: Harness, generation_id: int) -> dict[str, Any]:
    found = select(generations).where(generations.c.id == generation_id)
    return await harness.database.run(lambda tx: dict(tx.execute(found).mappings().one()))


async def test_a_claim_is_not_given_back_as_published_with_another_fence_or_while_a_revision_is_not(
    harness: Harness,
) -> None:
    await harness.ask(1)
    (claimed,) = await harness.claim()
    before = await row_of(harness, 1)
    for fence in (claimed.fence - 1, claimed.fence + 1):
        assert await harness.database.run(records.release_published, 1, fence) is None
        assert await row_of(harness, 1) == before
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    before = await row_of(harness, 1)
    assert await harness.database.run(records.release_published, 1, claimed.fence) is None
    assert await row_of(harness, 1) == before


async def test_a_claim_given_back_as_published_changes_its_own_generation_alone_and_returns_its_row(
    harness: Harness,
) -> None:
    await harness.ask(1, count=2)
    await harness.ask(2, OTTO)
    mine, theirs = await harness.claim()
    for image, seconds in zip(mine.images, (9, 7), strict=True):
        await harness.database.run(records.update_image, image, fence=mine.fence, due_at_ms=NOON_MS + seconds * 1000)
    before = await row_of(harness, theirs.id)
    row = await harness.database.run(records.release_published, mine.id, mine.fence)
    assert row is not None
    assert dict(row) == await row_of(harness, 1)
    assert (row["lease_holder"], row["lease_until_ms"], row["due_at_ms"]) == (None, None, NOON_MS + 7000)
    assert await row_of(harness, 2) == before


@pytest.mark.parametrize("give_back", [records.release_claim, records.release_published])
async def test_a_claim_given_back_deletes_the_token_once_nothing_will_be_due_and_the_card_is_known(
    harness: Harness, give_back: Callable[[Transaction, int, int], object]
) -> None:
    for generation_id in (1, 2, 3):
        await harness.ask(generation_id, answered=generation_id != 3)
    harness.clock.at_ms += 20_000
    claimed = await harness.claim()
    ended = update(images).where(images.c.generation_id.in_((2, 3))).values(due_at_ms=None)
    await harness.database.run(Transaction.execute, ended)
    for generation in claimed:
        await harness.database.run(give_back, generation.id, generation.fence)
    tokens = [(await harness.load(generation_id)).origin.token for generation_id in (1, 2, 3)]
    assert tokens == ["token of 1", "", "token of 3"]


async def test_a_revision_made_during_publishing_stays_unpublished(harness: Harness) -> None:
    await harness.ask(1, count=2)
    await harness.move(await harness.image(1, 0), State.CANCELLED)
    (claimed,) = await harness.claim()
    await harness.move(await harness.image(1, 1), State.CANCELLED)
    await harness.database.run(
        records.mark_published, 1, claimed.fence, claimed.revision, message_id=None, channel_id=None
    )
    assert (await harness.load(1)).is_unpublished


async def test_links_follow_a_card_that_moves(harness: Harness) -> None:
    for generation_id, private in ((1, False), (2, True), (3, True)):
        await harness.ask(generation_id, private=private)
    claimed = {generation.id: generation for generation in await harness.claim()}
    for generation_id, message_id, channel_id in ((1, 55, CHANNEL), (2, 66, CHANNEL), (3, 77, 999)):
        await harness.database.run(
            records.mark_published,
            generation_id,
            claimed[generation_id].fence,
            0,
            message_id=message_id,
            channel_id=channel_id,
        )
    links = await harness.database.run(records.links, ["1-0", "1-3", "2-0", "3-0", "404-0"])
    assert links == {"1-0": (GUILD, CHANNEL, 55), "1-3": (GUILD, CHANNEL, 55), "3-0": (None, 999, 77)}
    assert ((await harness.load(1)).card_channel_id, (await harness.load(3)).card_channel_id) == (None, 999)


async def test_a_late_task_is_adopted_once_and_only_where_the_outcome_was_unknown(harness: Harness) -> None:
    for generation_id in (1, 2, 3):
        await harness.ask(generation_id)
        image = await harness.move(await harness.image(generation_id), State.SUBMITTING)
        if generation_id != 3:
            await harness.move(image, State.UNKNOWN)
    outcomes = [
        await harness.database.run(records.adopt_task, 1, 0, "task", NOON_MS + 5),
        await harness.database.run(records.adopt_task, 1, 0, "other", NOON_MS),
        await harness.database.run(records.adopt_task, 2, 0, "task", NOON_MS),
        await harness.database.run(records.adopt_task, 3, 0, "third", NOON_MS),
        await harness.database.run(records.adopt_task, 1, 3, "fourth", NOON_MS),
    ]
    assert outcomes == [True, False, False, False, False]
    image = await harness.image(1)
    assert (image.task_id, image.due_at_ms, image.state) == ("task", NOON_MS + 5, State.UNKNOWN)


async def test_an_adopted_task_leaves_a_generation_that_is_due_sooner_as_it_is(harness: Harness) -> None:
    await harness.ask(1)
    await harness.move(await harness.image(1), State.SUBMITTING)
    assert await harness.database.run(records.adopt_task, 1, 0, "task", NOON_MS + 5000, by_submitter=True)
    assert (await row_of(harness, 1))["due_at_ms"] == NOON_MS


async def test_tokens_are_erased_when_expired_or_no_longer_needed(harness: Harness) -> None:
    discord_now = snowflake_at(NOON_MS) + 1
    minute = 60_000 << 22
    young, old, finished = discord_now, discord_now - 15 * minute, discord_now - minute
    for generation_id in (young, old, finished):
        await harness.ask(generation_id, OTTO)
    await harness.generations.abandon(finished)
    await harness.move(await harness.image(finished), State.CANCELLED)
    claimed = {generation.id: generation for generation in await harness.claim()}
    await harness.database.run(
        records.mark_published, finished, claimed[finished].fence, 1, message_id=None, channel_id=None
    )
    for generation in claimed.values():
        await harness.database.run(records.release_claim, generation.id, generation.fence)
    await harness.database.run(records.wipe_tokens, NOON_MS)
    tokens = [(await harness.load(generation_id)).origin.token for generation_id in (young, old, finished)]
    assert tokens == [f"token of {young}", "", ""]
    assert (await harness.load(young)).origin.token_expires_at_ms == NOON_MS + 15 * 60_000


async def test_an_image_of_a_lost_process_stays_submitting(database: Database) -> None:
    harness = make_harness(database)
    await harness.ask(1)
    await harness.admit()
    (claimed,) = await harness.claim()
    await harness.move(claimed.images[0], State.SUBMITTING, fence=claimed.fence)
    harness.clock.at_ms += LEASE_MS
    (again,) = await harness.claim(lease_holder="two")
    assert [(image.state, image.due_at_ms) for image in again.images] == [(State.SUBMITTING, NOON_MS)]


async def test_a_ping_is_decided_once(harness: Harness) -> None:
    await harness.ask(1)
    await harness.ask(2)
    decided = [await harness.database.run(records.decide_ping, generation_id, NOON_MS) for generation_id in (1, 1, 2)]
    assert decided == [True, False, True]


async def test_an_unpublished_card_is_due_at_its_retry_or_with_an_image_whichever_is_first(
    harness: Harness,
) -> None:
    await harness.ask(1, count=2)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    (mine,) = await harness.claim()
    now_ms = harness.clock.at_ms
    await harness.database.run(records.update_image, mine.images[0], fence=mine.fence, due_at_ms=now_ms + 500)
    await harness.database.run(records.release_claim, 1, mine.fence, retry_publish_at_ms=now_ms + 900)
    assert await next_due(harness) == now_ms + 500
    await harness.database.run(records.release_claim, 1, mine.fence, retry_publish_at_ms=now_ms + 100)
    assert await next_due(harness) == now_ms + 100
    await harness.database.run(records.release_claim, 1, mine.fence)
    assert await next_due(harness) == now_ms


async def test_a_generation_claimed_by_a_lost_process_is_due_after_its_lease(harness: Harness) -> None:
    await harness.ask(1)
    await harness.admit()
    await harness.claim(lease_ms=LEASE_MS)
    assert await next_due(harness) == NOON_MS + LEASE_MS
    harness.clock.at_ms += LEASE_MS
    assert await next_due(harness) == harness.clock.at_ms


async def test_a_token_is_erased_once_everything_is_published(harness: Harness) -> None:
    generation_id = snowflake_at(harness.clock.at_ms) + 1
    await harness.ask(generation_id)
    shown = {"due_at_ms": None, "revision": 3, "published_revision": 3}
    for owed, token in ((2, f"token of {generation_id}"), (3, "")):
        await harness.database.run(
            Transaction.execute, update(generations).values(shown | {"published_revision": owed})
        )
        await harness.database.run(records.wipe_tokens, harness.clock.at_ms)
        assert (await harness.load(generation_id)).origin.token == token
