"""Requesting, cancelling and giving up generations, each with its ledger entries."""

from __future__ import annotations

import asyncio

import pytest

from credits.errors import InsufficientCredits
from credits.model import EntryKind
from generations import records
from generations.errors import Draining, LineFull, MovedOn, NotCancellable, NotYours, TooManyRequests
from generations.model import CardLink, Ending, Generation, Image, Line, Request, State
from generations.service import CONFIRM_GRACE_MS, Accepted
from limits.model import Requester
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import CHANNEL, GUILD, MIRA, NOON_MS, OTTO, Harness, make_harness, origin


async def test_a_request_comes_back_from_the_rows_as_it_was(harness: Harness) -> None:
    request = Request("ein Leuchtturm ⛯", seed=2_147_483_646, count=4)
    made = (await harness.request(request, origin(2**62))).generation
    assert await harness.load(2**62) == made
    assert [image.seed for image in made.images] == [2_147_483_646, 2_147_483_647, 0, 1]
    assert {image.due_at_ms for image in made.images} == {NOON_MS + 20_000}
    assert await harness.numbers() == (30, 20)


async def test_characters_that_no_database_stores_are_replaced(harness: Harness) -> None:
    await harness.request(Request("half \ud83d and \x00 nothing", seed=5), origin(1))
    assert (await harness.load(1)).request.prompt == "half ? and \ufffd nothing"


async def test_the_same_interaction_again_changes_nothing(harness: Harness) -> None:
    first = await harness.ask(1, count=2)
    again = await harness.request(Request("something else", seed=9), origin(1))
    assert again.generation == first
    assert await harness.numbers() == (40, 10)


async def test_a_request_has_a_place_in_line_only_if_not_all_images_can_be_admitted_at_once(database: Database) -> None:
    harness = make_harness(database, max_in_flight=3)
    request = harness.request
    first = await request(Request("a lighthouse", seed=5, count=2), origin(1))
    assert (first.line, first.in_flight) == (None, 0)
    await harness.generations.confirm_card(1, 9001)
    await harness.admit(max_in_flight=3)
    second = await request(Request("a ship", seed=5), origin(2, OTTO))
    assert (second.line, second.in_flight) == (None, 2)
    assert await request(Request("a ship", seed=5), origin(2, OTTO)) == second
    third = await request(Request("a gull", seed=5), origin(3, OTTO))
    assert (third.line, third.in_flight) == (Line(2, 0, 3, 2, about_seconds=None), 2)
    assert await request(Request("a gull", seed=5), origin(3, OTTO)) == third


async def test_the_same_interaction_many_times_at_once_is_one_request(
    harness: Harness, database: Database, other_database: Database
) -> None:
    processes = [harness, make_harness(other_database)] * 4
    made = await asyncio.gather(*(each.request(Request("x", seed=5), origin(1)) for each in processes))
    assert {(each.generation.id, len(each.generation.images)) for each in made} == {(1, 1)}
    assert await harness.numbers() == (45, 5)


async def test_too_few_credits_hold_nothing_and_name_the_whole_price(harness: Harness) -> None:
    for generation_id in range(1, 4):
        await harness.ask(generation_id, count=3)
    with pytest.raises(InsufficientCredits) as caught:
        await harness.ask(9, count=2)
    assert (caught.value.needed, caught.value.balance.available, caught.value.balance.held) == (10, 5, 45)
    assert caught.value.balance.refills_at_ms == NOON_MS + 43_200_000
    assert await harness.numbers() == (5, 45)
    assert await harness.database.run(records.load, 9) is None


async def test_the_line_counts_only_images_that_could_not_start_at_once(database: Database) -> None:
    harness = make_harness(database, max_queue=2, max_in_flight=3)
    await harness.ask(1, count=3)
    await harness.ask(2, OTTO, count=2)
    with pytest.raises(LineFull) as caught:
        await harness.ask(3, OTTO)
    assert caught.value.limit == 2
    assert await harness.numbers(OTTO) == (40, 10)
    await harness.admit(max_in_flight=3)
    with pytest.raises(LineFull):
        await harness.ask(3, OTTO)
    await harness.generations.cancel(2, user_id=OTTO, may_manage=False)
    await harness.ask(3, OTTO)


async def test_with_a_line_of_length_zero_images_that_can_start_are_taken_on(database: Database) -> None:
    harness = make_harness(database, max_queue=0, max_in_flight=2)
    await harness.ask(1, count=2)
    with pytest.raises(LineFull):
        await harness.ask(2, OTTO)


async def test_requests_above_the_limit_a_minute_are_refused_with_the_time_of_the_next(database: Database) -> None:
    harness = make_harness(database, requests_per_minute=2)
    await harness.ask(1, count=4)
    harness.clock.at_ms += 20_000
    await harness.ask(2)
    harness.clock.at_ms += 39_999
    with pytest.raises(TooManyRequests) as caught:
        await harness.ask(3)
    assert (caught.value.limit, caught.value.next_at_ms) == (2, NOON_MS + 60_000)
    assert await harness.numbers() == (25, 25)
    await harness.ask(4, OTTO)
    harness.clock.at_ms = caught.value.next_at_ms
    await harness.ask(3)
    with pytest.raises(TooManyRequests) as caught:
        await harness.ask(5)
    assert caught.value.next_at_ms == NOON_MS + 80_000


async def test_cancelled_requests_count_and_refused_ones_do_not(database: Database) -> None:
    harness = make_harness(database, credits=5, requests_per_minute=2)
    await harness.ask(1)
    for refused in (2, 3, 4):
        with pytest.raises(InsufficientCredits):
            await harness.ask(refused)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    await harness.ask(5)
    await harness.generations.cancel(5, user_id=MIRA, may_manage=False)
    with pytest.raises(TooManyRequests):
        await harness.ask(6)


async def test_the_same_interaction_delivered_many_times_at_once_is_one_of_the_requests_of_its_minute(
    database: Database, other_database: Database
) -> None:
    processes = [make_harness(each, requests_per_minute=2) for each in (database, other_database)] * 4
    for generation_id in (1, 2):
        asked = (each.request(Request("x", seed=5), origin(generation_id)) for each in processes)
        assert {accepted.generation.id for accepted in await asyncio.gather(*asked)} == {generation_id}
    with pytest.raises(TooManyRequests):
        await processes[1].ask(3)


async def test_of_many_requests_at_once_in_two_processes_no_more_are_taken_than_the_limit(
    database: Database, other_database: Database
) -> None:
    processes = [make_harness(each, requests_per_minute=3) for each in (database, other_database)] * 4
    asked = (each.request(Request("x", seed=5), origin(number)) for number, each in enumerate(processes, 1))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, TooManyRequests) for outcome in outcomes) == 5
    assert await processes[0].numbers() == (35, 15)


@pytest.mark.parametrize("ahead_ms", [59_999, -59_999])
async def test_processes_whose_clocks_differ_have_one_limit_of_requests(database: Database, ahead_ms: int) -> None:
    harness = make_harness(database, requests_per_minute=1)
    await harness.ask(1)
    harness.clock.at_ms += ahead_ms
    with pytest.raises(TooManyRequests):
        await harness.ask(2)


async def test_a_clock_that_was_set_back_refuses_no_request(database: Database) -> None:
    harness = make_harness(database, requests_per_minute=1)
    await harness.ask(1)
    harness.clock.at_ms -= 3_600_000
    await harness.ask(2)


async def test_a_stopping_bot_accepts_no_requests(harness: Harness) -> None:
    harness.generations.drain()
    with pytest.raises(Draining):
        await harness.ask(1)
    assert await harness.numbers() == (50, 0)


async def test_cancel_releases_waiting_images_and_leaves_running_ones(harness: Harness) -> None:
    await harness.ask(1, count=3)
    await harness.admit(max_in_flight=1)
    (claimed,) = await harness.claim()
    await harness.move(claimed.images[0], State.SUBMITTING, State.RUNNING, fence=claimed.fence)
    cancelled = await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    assert [image.state for image in cancelled.images] == [State.RUNNING, State.CANCELLED, State.CANCELLED]
    assert {image.ending for image in cancelled.images[1:]} == {Ending.CANCELLED}
    assert cancelled.is_unpublished
    assert await harness.numbers() == (45, 5)
    assert harness.nudges


async def test_a_second_press_of_cancel_changes_nothing(harness: Harness) -> None:
    await harness.ask(1)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    before = await harness.load(1)
    assert await harness.generations.cancel(1, user_id=MIRA, may_manage=False) == before
    with pytest.raises(NotYours):
        await harness.generations.cancel(1, user_id=OTTO, may_manage=False)
    assert await harness.load(1) == before
    assert await harness.numbers() == (50, 0)


async def test_a_press_is_refused_once_the_card_has_said_that_all_is_cancelled(harness: Harness) -> None:
    await harness.ask(1)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    (claimed,) = await harness.claim()
    await harness.database.run(
        records.mark_published, 1, claimed.fence, claimed.revision, message_id=None, channel_id=None
    )
    with pytest.raises(NotCancellable):
        await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    assert await harness.numbers() == (50, 0)


async def test_a_press_on_a_card_that_ended_otherwise_is_refused(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    await harness.generations.abandon(1)
    assert (await harness.image(1)).state is State.CANCELLED
    with pytest.raises(NotCancellable):
        await harness.generations.cancel(1, user_id=MIRA, may_manage=False)


async def test_of_many_cancels_at_once_one_cancels_and_none_is_refused(
    harness: Harness, other_database: Database
) -> None:
    await harness.ask(1, count=2)
    harness.nudges.clear()
    others = make_harness(other_database)
    presses = [each.generations.cancel(1, user_id=MIRA, may_manage=False) for each in [harness, others] * 4]
    outcomes = await asyncio.gather(*presses)
    assert outcomes == [await harness.load(1)] * 8
    assert len(harness.nudges) + len(others.nudges) == 1
    assert await harness.numbers() == (50, 0)


async def test_only_the_requester_or_a_moderator_of_its_channel_may_cancel(harness: Harness) -> None:
    await harness.ask(1)
    with pytest.raises(NotYours) as caught:
        await harness.generations.cancel(1, user_id=OTTO, may_manage=False)
    assert caught.value.owner_id == MIRA
    for elsewhere in (None, (GUILD, CHANNEL + 1), (GUILD + 1, CHANNEL)):
        with pytest.raises(NotYours):
            await harness.generations.cancel(1, user_id=OTTO, may_manage=True, pressed_in=elsewhere)
    with pytest.raises(NotYours):
        await harness.generations.cancel(1, user_id=OTTO, may_manage=False, pressed_in=(GUILD, CHANNEL))
    await harness.generations.cancel(1, user_id=OTTO, may_manage=True, pressed_in=(GUILD, CHANNEL))
    assert await harness.numbers() == (50, 0)


async def test_an_unknown_generation_cannot_be_cancelled(harness: Harness) -> None:
    with pytest.raises(NotCancellable):
        await harness.generations.cancel(404, user_id=MIRA, may_manage=True)


async def test_a_cancel_and_a_submit_at_once_take_effect_once(harness: Harness, other_database: Database) -> None:
    for generation_id in range(1, 6):
        await harness.ask(generation_id)
        await harness.admit()
        (claimed,) = await harness.claim()
        outcomes = await asyncio.gather(
            make_harness(other_database).generations.cancel(generation_id, user_id=MIRA, may_manage=False),
            harness.move(claimed.images[0], State.SUBMITTING, fence=claimed.fence),
            return_exceptions=True,
        )
        image = await harness.image(generation_id)
        if isinstance(outcomes[0], Generation):
            assert isinstance(outcomes[1], MovedOn)
            assert image.state is State.CANCELLED
        else:
            assert isinstance(outcomes[0], NotCancellable)
            assert image.state is State.SUBMITTING
    held = sum([(await harness.image(number)).state is State.SUBMITTING for number in range(1, 6)])
    assert await harness.numbers() == (50 - 5 * held, 5 * held)


async def test_a_cancel_and_a_settle_of_the_same_card_never_wait_for_each_other(
    harness: Harness, other_database: Database
) -> None:
    def settle(tx: Transaction, image: Image, fence: int) -> None:
        records.move(tx, image, State.SUCCEEDED, fence=fence)
        harness.ledger.settle(tx, image.image_id, None, NOON_MS)

    for generation_id in range(1, 5):
        await harness.ask(generation_id, count=2)
        await harness.admit(max_in_flight=1)
        (claimed,) = await harness.claim()
        running = await harness.move(claimed.images[0], State.SUBMITTING, State.RUNNING, fence=claimed.fence)
        async with asyncio.timeout(60):
            await asyncio.gather(
                harness.database.run(settle, running, claimed.fence),
                make_harness(other_database).generations.cancel(generation_id, user_id=MIRA, may_manage=False),
            )
    assert await harness.numbers() == (30, 0)


async def test_a_request_without_a_card_is_undone(harness: Harness) -> None:
    await harness.ask(1, count=2, answered=False)
    await harness.generations.abandon(1)
    await harness.generations.abandon(1)
    given_up = await harness.load(1)
    assert {(image.state, image.ending) for image in given_up.images} == {(State.CANCELLED, Ending.NOT_ANSWERED)}
    assert not given_up.is_unpublished
    assert await harness.numbers() == (50, 0)
    harness.clock.at_ms += 3_600_000
    assert await harness.claim() == []


async def test_a_request_that_was_undone_is_not_due_when_another_one_is(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    await harness.ask(2)
    await harness.generations.abandon(1)
    assert [generation.id for generation in await harness.claim()] == [2]


async def test_a_confirmed_card_is_not_given_up(harness: Harness) -> None:
    await harness.ask(1)
    await harness.generations.abandon(1)
    await harness.generations.abandon(404)
    assert (await harness.image(1)).state is State.REQUESTED
    assert await harness.numbers() == (45, 5)


async def test_a_card_found_late_is_published_with_its_ending(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    await harness.generations.abandon(1)
    await harness.generations.confirm_card(1, 9001)
    assert (await harness.load(1)).is_unpublished
    assert [generation.id for generation in await harness.claim()] == [1]


async def test_a_card_found_after_its_request_was_given_up_is_reached_by_its_token(
    harness: Harness,
) -> None:
    await harness.ask(1, answered=False)
    harness.clock.at_ms += CONFIRM_GRACE_MS
    (claimed,) = await harness.claim()
    await harness.generations.abandon(1)
    await harness.database.run(records.release_claim, 1, claimed.fence)
    await harness.generations.confirm_card(1, 9001)
    (claimed,) = await harness.claim()
    assert claimed.is_unpublished and claimed.origin.token == "token of 1"


async def test_a_cancel_confirms_the_card(harness: Harness) -> None:
    await harness.ask(1, answered=False)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False, message_id=9001)
    assert (await harness.load(1)).message_id == 9001
    (claimed,) = await harness.claim()
    assert claimed.is_unpublished


async def test_only_the_first_confirmation_counts(harness: Harness) -> None:
    await harness.ask(1)
    await harness.generations.confirm_card(1, 5)
    assert (await harness.load(1)).message_id == 9001


async def test_the_statement_has_balance_holds_and_linked_entries(harness: Harness) -> None:
    await harness.ask(1, count=2)
    await harness.ask(2, private=True)
    await harness.ask(3, answered=False)
    statement = await harness.generations.statement(Requester(MIRA, None, 0))
    assert (statement.balance.available, statement.balance.held, statement.held_images) == (30, 20, 4)
    assert [(entry.id, link) for entry, link in statement.entries] == [
        ("3-0:hold", None),
        ("2-0:hold", None),
        ("1-1:hold", CardLink(GUILD, CHANNEL, 9001)),
        ("1-0:hold", CardLink(GUILD, CHANNEL, 9001)),
        (f"grant:refill:{MIRA}:{NOON_MS - 43_200_000}", None),
    ]
    for generation_id in range(4, 10):
        await harness.ask(generation_id)
    entries = (await harness.generations.statement(Requester(MIRA, None, 0))).entries
    assert len(entries) == 10
    assert {entry.kind for entry, _ in entries} == {EntryKind.HOLD}
