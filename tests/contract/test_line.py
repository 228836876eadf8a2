"""The line: fair between people, within the limits of a person and of all, with correct places."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from generations import records
from generations.model import Generation, Image, Line, Request, State
from generations.records.tables import generations, images
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import DEADLINE_SECONDS, GUILD, MIRA, NOON_MS, OTTO, YUKI, Harness, make_harness, origin


async def line_of(harness: Harness, generation_id: int) -> Line | None:
    line, _ = await harness.generations.place_in_line_of(await harness.load(generation_id))
    return line


async def place(harness: Harness, generation_id: int) -> tuple[int, int, int] | None:
    """Return position, own position and number of own running images."""
    line = await line_of(harness, generation_id)
    return None if line is None else (line.position, line.own_position, line.own_running)


async def counts(harness: Harness) -> tuple[int, int]:
    work = await harness.database.read(records.load_due_work, harness.clock.at_ms)
    return work.waiting, work.in_flight


async def ask_in_turn(harness: Harness, *people: tuple[int, int]) -> None:
    """Make one request for each (user, count), a second apart, with ids from 1."""
    for generation_id, (user_id, count) in enumerate(people, 1):
        harness.clock.at_ms += 1000
        await harness.ask(generation_id, user_id, count=count)


async def turns(harness: Harness, generation_ids: range) -> list[str]:
    loaded = [await harness.load(generation_id) for generation_id in generation_ids]
    return [image.image_id for one in loaded for image in one.images if image.admitted_at_ms is not None]


async def test_the_first_image_of_each_person_comes_before_any_second_one(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 4), (OTTO, 2), (YUKI, 1))
    assert await harness.admit(max_in_flight=3) == [1, 2, 3]
    assert await turns(harness, range(1, 4)) == ["1-0", "2-0", "3-0"]
    assert await harness.admit(max_in_flight=5) == [1, 2]
    assert await turns(harness, range(1, 4)) == ["1-0", "1-1", "2-0", "2-1", "3-0"]


async def test_images_that_are_being_made_count_for_their_person(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 2), (MIRA, 1), (OTTO, 1))
    await harness.admit(max_in_flight=1)
    await harness.move(await harness.image(1), State.SUBMITTING, State.RUNNING)
    await harness.admit(max_in_flight=2)
    assert await turns(harness, range(1, 4)) == ["1-0", "3-0"]


async def test_equal_requests_are_admitted_in_order_of_arrival(harness: Harness) -> None:
    await ask_in_turn(harness, (YUKI, 1), (OTTO, 1), (MIRA, 1))
    assert [await harness.admit(max_in_flight=slots) for slots in (1, 2, 3)] == [[1], [2], [3]]


async def test_no_person_is_admitted_above_their_cap(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 4), (OTTO, 1))
    await harness.admit(max_per_user=2)
    assert await turns(harness, range(1, 3)) == ["1-0", "1-1", "2-0"]
    assert await harness.admit(max_per_user=2) == []
    image = await harness.move(await harness.image(1), State.SUBMITTING, State.RUNNING)
    assert await harness.admit(max_per_user=2) == []
    await harness.move(image, State.FAILED)
    await harness.admit(max_per_user=2)
    assert await turns(harness, range(1, 3)) == ["1-0", "1-1", "1-2", "2-0"]


async def test_a_request_without_a_confirmed_card_is_not_admitted_and_takes_no_slot(harness: Harness) -> None:
    await harness.ask(1, count=3, answered=False)
    harness.clock.at_ms += 1
    await harness.ask(2, count=1)
    assert await harness.admit(max_in_flight=1) == [2]
    await harness.generations.confirm_card(1, 9001)
    assert await harness.admit(max_in_flight=1) == []
    assert await harness.admit(max_in_flight=9) == [1]


async def test_admission_makes_image_and_generation_due_now(harness: Harness) -> None:
    await harness.ask(1)
    (claimed,) = await harness.claim()
    await harness.database.run(records.update_image, claimed.images[0], fence=1, due_at_ms=NOON_MS + 99_000)
    await harness.database.run(records.release_claim, 1, 1)
    assert await harness.claim() == []
    await harness.admit()
    (claimed,) = await harness.claim()
    assert (claimed.images[0].due_at_ms, claimed.images[0].admitted_at_ms) == (NOON_MS, NOON_MS)


async def test_an_image_sent_back_to_the_line_stays_admitted(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 1), (OTTO, 1))
    await harness.admit(max_in_flight=1)
    await harness.move(await harness.image(1), State.SUBMITTING, State.REQUESTED)
    assert await counts(harness) == (1, 1)
    assert await harness.admit(max_in_flight=1) == []


async def test_processes_that_admit_at_once_never_admit_too_many(harness: Harness, other_database: Database) -> None:
    await ask_in_turn(harness, *[(1000 + number, 3) for number in range(8)])
    processes = [harness, make_harness(other_database)] * 4
    given = await asyncio.gather(*(each.admit(max_in_flight=10, max_per_user=2) for each in processes))
    assert await counts(harness) == (14, 10)
    assert len(await turns(harness, range(1, 9))) == 10
    assert sum(map(len, given)) >= 8


async def test_processes_that_ask_for_free_slots_at_once_never_take_too_many(
    harness: Harness, other_database: Database
) -> None:
    await ask_in_turn(harness, *[(1000 + number, 1) for number in range(8)])
    await harness.admit()
    await harness.move(await harness.image(1), State.SUBMITTING, State.RUNNING)

    def submit(tx: Transaction, image: Image) -> bool:
        if records.lock_line(tx)[0] >= 4:
            return False
        records.move(tx, image, State.SUBMITTING, fence=None)
        return True

    images = [await harness.image(number) for number in range(2, 8)]
    databases = [harness.database, other_database] * 3
    submits = (each.run(submit, image) for each, image in zip(databases, images, strict=True))
    taken = await asyncio.gather(*submits)
    assert sum(taken) == 3, "one of the four runs already"
    assert await harness.database.run(records.running_count) == 1
    assert (await harness.database.run(records.lock_line))[0] < 5


async def test_a_place_in_line_follows_the_order_of_admission(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 4), (MIRA, 1), (OTTO, 2), (YUKI, 1))
    assert [await place(harness, number) for number in (1, 2, 3, 4)] == [(1, 1, 0), (8, 5, 0), (2, 1, 0), (3, 1, 0)]
    await harness.admit(max_in_flight=3)
    # running: 1-0, 3-0, 4-0; then 1-1, 3-1, 1-2, and past Mira's cap of three 1-3 and 2-0
    assert [await place(harness, number) for number in (1, 2, 3, 4)] == [(1, 1, 1), (5, 4, 1), (2, 1, 1), None]
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    assert await place(harness, 2) == (1, 1, 0)


async def test_a_place_says_when_only_own_images_are_ahead(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 3), (MIRA, 2))
    await harness.admit()
    assert await line_of(harness, 2) == Line(1, own_running=3, own_cap=3, own_position=1, about_seconds=None)
    line = await line_of(harness, 2)
    assert line is not None
    assert line.waits_for_own


async def test_a_request_has_a_place_in_line_before_discord_has_the_card(harness: Harness) -> None:
    await harness.ask(1)
    await harness.ask(2, OTTO, answered=False)
    assert await place(harness, 2) == (2, 1, 0)


async def due_seconds(harness: Harness) -> dict[int, tuple[float, ...]]:
    """Return when each generation is due, then each of its images, in seconds from noon."""
    generations_due = select(generations.c.id, generations.c.due_at_ms)
    due = dict(await harness.database.run(lambda tx: [tuple(row) for row in tx.execute(generations_due)]))
    loaded = [await harness.load(generation_id) for generation_id in due]
    return {
        one.id: tuple(
            (at_ms - NOON_MS) / 1000 for at_ms in (due[one.id], *(image.due_at_ms or 0 for image in one.images))
        )
        for one in loaded
    }


async def take_refresh(harness: Harness, seconds: float, **limit: int) -> list[int]:
    """Take what is to be shown so many seconds after noon."""
    return await harness.database.run(records.take_line_refresh, NOON_MS + round(seconds * 1000), **limit)


async def ask_with_card(harness: Harness, *generation_ids: int) -> None:
    for generation_id in generation_ids:
        await harness.ask(generation_id, 1000 + generation_id, answered=False)
        await harness.generations.confirm_card(generation_id, 9000 + generation_id)


async def test_the_place_of_a_published_unclaimed_card_is_shown_again_at_each_refresh_without_a_write_to_its_rows(
    harness: Harness,
) -> None:
    async def set_columns(generation_id: int, **columns: int) -> None:
        changed = update(generations).where(generations.c.id == generation_id).values(columns)
        await harness.database.run(Transaction.execute, changed)

    assert await take_refresh(harness, 0) == []  # the first one has no cards
    await ask_with_card(harness, 1, 2, 3, 4, 6)
    await set_columns(2, revision=1)  # not published
    await set_columns(3, lease_until_ms=NOON_MS + 15_001)  # claimed
    await set_columns(4, lease_until_ms=NOON_MS + 15_000)  # its lease has run out
    await harness.ask(5, answered=False)
    await set_columns(6, due_at_ms=NOON_MS + 15_000)  # to be claimed
    harness.clock.at_ms = NOON_MS + 14_999
    await ask_with_card(harness, 7)
    assert await take_refresh(harness, 14.999) == []
    harness.clock.at_ms = NOON_MS + 15_000
    await ask_with_card(harness, 8)  # asked for after the refresh has begun
    before = await due_seconds(harness)
    assert await take_refresh(harness, 15) == [1, 4, 7]
    assert await take_refresh(harness, 15) == []
    assert await take_refresh(harness, 30) == [1, 3, 4, 7, 8]
    assert await due_seconds(harness) == before
    assert before[1] == (DEADLINE_SECONDS, DEADLINE_SECONDS)


async def test_a_line_that_is_longer_than_one_round_shows_is_shown_in_parts_and_begins_anew_at_the_next_refresh(
    harness: Harness,
) -> None:
    await take_refresh(harness, 0)
    await ask_with_card(harness, *range(1, 6))
    parts = [await take_refresh(harness, seconds, limit=2) for seconds in (15, 15.1, 15.2, 15.3, 30)]
    assert parts == [[1, 2], [3, 4], [5], [], [1, 2]]
    assert await take_refresh(harness, 46) == [3, 4, 5], "the rest is taken first, however late"
    assert await take_refresh(harness, 60) == [1, 2, 3, 4, 5]


async def test_the_worker_is_told_the_next_refresh_while_something_waits(harness: Harness) -> None:
    async def places_due(seconds: float) -> tuple[bool, int | None]:
        work = await harness.database.read(records.load_due_work, NOON_MS + round(seconds * 1000))
        return work.places_are_due, work.next_due_at_ms

    await take_refresh(harness, -10)
    assert await places_due(-5) == (False, None)
    await ask_with_card(harness, 1)
    at_deadline = NOON_MS + DEADLINE_SECONDS * 1000
    assert await places_due(0) == (True, at_deadline)
    assert await take_refresh(harness, 0) == []
    assert await places_due(14.999) == (False, NOON_MS + 15_000)
    assert await places_due(15) == (True, at_deadline)
    await harness.admit()
    assert await places_due(1) == (False, None)


async def test_places_are_shown_again_after_the_clock_was_set_back(harness: Harness) -> None:
    await take_refresh(harness, 3600)
    await ask_with_card(harness, 1)
    assert await take_refresh(harness, 3585) == []  # as of a process whose clock is behind
    assert await take_refresh(harness, 0) == [1]
    assert await take_refresh(harness, 14.999) == []
    assert await take_refresh(harness, 15) == [1]


async def test_an_image_of_the_line_beside_one_in_flight_is_shown_unless_that_is_due(harness: Harness) -> None:
    await take_refresh(harness, 0)
    await harness.ask(1, count=3)
    await harness.admit(max_in_flight=1)
    image = await harness.move(await harness.image(1), State.SUBMITTING, State.RUNNING)
    for waiting in (await harness.load(1)).images[1:]:
        await harness.database.run(records.update_image, waiting, fence=None, due_at_ms=NOON_MS + 600_000)
    await harness.database.run(records.update_image, image, fence=None, due_at_ms=NOON_MS + 16_000)
    (claimed,) = await harness.claim()
    await harness.database.run(records.release_claim, 1, claimed.fence)
    assert await take_refresh(harness, 15) == [1]
    assert await due_seconds(harness) == {1: (16, 16, 600, 600)}


async def test_processes_that_refresh_places_at_once_never_take_the_same_generation(
    harness: Harness, other_database: Database
) -> None:
    await take_refresh(harness, 0)
    await ask_with_card(harness, *range(1, 31))
    for number in range(1, 11):  # they overlap anew each time
        refreshes = (
            each.run(records.take_line_refresh, NOON_MS + number * 15_000, limit=4)
            for each in [harness.database, other_database] * 4
        )
        taken = await asyncio.gather(*refreshes)
        assert sorted(itertools.chain(*taken)) == list(range(1, 31))


class Undone(Exception):
    """Ends a transaction so that nothing of it stays. *left*: how many images wait at its end."""

    def __init__(self, left: int) -> None:
        super().__init__(left)
        self.left = left


async def test_the_demand_says_how_many_images_would_wait_after_an_admission(harness: Harness) -> None:
    await ask_in_turn(harness, (MIRA, 4), (OTTO, 2), (YUKI, 1), (MIRA, 2))
    await harness.admit(max_in_flight=4)

    def admit(tx: Transaction, max_in_flight: int, max_per_user: int) -> None:
        records.admit(tx, now_ms=harness.clock.at_ms, max_in_flight=max_in_flight, max_per_user=max_per_user)
        raise Undone(records.load_demand(tx, max_per_user).waiting)

    for max_per_user, max_in_flight in itertools.product((1, 2, 3, 9), (0, 4, 5, 6, 7, 20)):
        with pytest.raises(Undone) as undone:
            await harness.database.run(admit, max_in_flight, max_per_user)
        demand = await harness.database.read(records.load_demand, max_per_user)
        assert (demand.waiting, demand.in_flight) == (5, 4)
        assert demand.still_waiting(max_in_flight) == undone.value.left


# -- servers ----------------------------------------------------------------------------------------------------------

OTHER_GUILD = GUILD + 1


async def ask_in(harness: Harness, *asked: tuple[int | None, int, int]) -> None:
    """Make one request for each (server, user, count), a second apart, with ids from 1."""
    for generation_id, (guild_id, user_id, count) in enumerate(asked, 1):
        harness.clock.at_ms += 1000
        request = Request("a lighthouse", seed=5, count=count)
        await harness.request(request, replace(origin(generation_id, user_id), guild_id=guild_id))
        await harness.generations.confirm_card(generation_id, 9000 + generation_id)


async def test_servers_take_turns_after_people_have(harness: Harness) -> None:
    await ask_in(harness, (GUILD, 1, 2), (GUILD, 2, 1), (GUILD, 3, 1), (OTHER_GUILD, 4, 2), (None, 5, 1), (None, 6, 1))
    line = await harness.database.read(records.load_line)
    order = [f"{image.generation_id}-{image.position}" for image in line]
    assert order == ["1-0", "4-0", "5-0", "6-0", "2-0", "3-0", "4-1", "1-1"]
    await harness.admit(max_in_flight=5)
    assert await turns(harness, range(1, 7)) == ["1-0", "2-0", "4-0", "5-0", "6-0"]


async def test_a_server_that_has_images_made_comes_after_one_that_has_none(harness: Harness) -> None:
    await ask_in(harness, (GUILD, 1, 1), (GUILD, 2, 1), (OTHER_GUILD, 3, 1))
    await harness.admit(max_in_flight=1)
    await harness.admit(max_in_flight=2)
    assert await turns(harness, range(1, 4)) == ["1-0", "3-0"]


async def test_no_more_images_of_a_server_are_made_at_once_than_its_cap_and_direct_messages_have_none(
    harness: Harness,
) -> None:
    await ask_in(harness, *((GUILD, user_id, 1) for user_id in range(1, 5)), (None, 9, 3), (OTHER_GUILD, 5, 2))
    await harness.admit(max_per_guild=2)
    assert await turns(harness, range(1, 7)) == ["1-0", "2-0", "5-0", "5-1", "5-2", "6-0", "6-1"]
    assert await harness.admit(max_per_guild=2) == []
    await harness.move(await harness.image(1), State.SUBMITTING, State.FAILED)
    assert await harness.admit(max_per_guild=2) == [3]


async def test_processes_that_admit_at_once_keep_the_cap_of_a_server(
    harness: Harness, other_database: Database
) -> None:
    await ask_in(harness, *((GUILD, 1000 + number, 2) for number in range(8)))
    processes = [harness, make_harness(other_database)] * 4
    await asyncio.gather(*(each.admit(max_per_guild=5) for each in processes))
    assert await counts(harness) == (11, 5)


async def test_a_place_says_when_only_images_of_its_server_are_ahead(harness: Harness) -> None:
    await ask_in(harness, *((GUILD, user_id, 1) for user_id in (1, 2, 3, 4)), (OTHER_GUILD, 5, 1), (OTHER_GUILD, 5, 1))
    for generation_id in (1, 2):
        await harness.database.run(
            records.update_image, await harness.image(generation_id), fence=None, admitted_at_ms=1
        )

    def places(tx: Transaction) -> dict[int, Line]:
        return records.places_in(records.load_line(tx, 2), max_per_user=3, max_per_guild=2)

    found = await harness.database.read(places)
    assert sorted(found, key=lambda number: found[number].position) == [5, 6, 3, 4], "what a cap keeps comes last"
    assert [found[number].waits_for_server for number in (5, 6, 3, 4)] == [False, False, True, True]
    assert (found[4].server_running, found[4].server_position) == (2, 2)


Asked = tuple[int | None, int, int]  # server, person, count
one_asked = st.tuples(st.sampled_from([None, GUILD, OTHER_GUILD]), st.integers(1, 4), st.integers(1, 4))


async def test_the_order_of_admission_is_that_of_a_simple_model_however_many_are_admitted_at_once(
    harness: Harness,
) -> None:
    loop = asyncio.get_running_loop()

    def play(
        tx: Transaction, asked: list[tuple[int | None, int, int]], steps: list[int], caps: tuple[int, int]
    ) -> None:
        model = Model(*caps)
        for generation_id, (guild_id, user_id, count) in enumerate(asked, 1):
            generation = new_generation(generation_id, guild_id, user_id, count)
            records.insert(tx, generation)
            model.waiting += [(image.generation_id, image.position, user_id, guild_id) for image in generation.images]
        tx.execute(update(generations).values(message_id=9000 + generations.c.id))
        for free in steps:
            demand = records.load_demand(tx, *caps)
            assert demand.waiting - demand.still_waiting(len(model.running) + free) == len(model.next_ones(free))
            in_flight, (per_user, per_guild) = len(model.running) + free, caps
            records.admit(tx, now_ms=NOON_MS, max_in_flight=in_flight, max_per_user=per_user, max_per_guild=per_guild)
            model.admit(free)
            admitted = select(images.c.generation_id, images.c.position).where(
                images.c.admitted_at_ms.is_not(None), images.c.state == State.REQUESTED.value
            )
            assert {(one, position) for one, position, *_ in model.running} == {
                tuple(row) for row in tx.execute(admitted)
            }
            for generation_id, position in model.finish_first():
                here = (images.c.generation_id == generation_id) & (images.c.position == position)
                tx.execute(update(images).where(here).values(state=State.FAILED.value))
        raise Undone(0)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(one_asked, min_size=1, max_size=8),
        st.lists(st.integers(1, 5), min_size=1, max_size=5),
        st.tuples(st.integers(1, 4), st.integers(0, 4)),
    )
    def compare(asked: list[Asked], steps: list[int], caps: tuple[int, int]) -> None:
        with pytest.raises(Undone):
            asyncio.run_coroutine_threadsafe(harness.database.run(play, asked, steps, caps), loop).result()

    await asyncio.to_thread(compare)


def new_generation(generation_id: int, guild_id: int | None, user_id: int, count: int) -> Generation:
    request = Request("a lighthouse", seed=5, count=count)
    made_of = replace(origin(generation_id, user_id), guild_id=guild_id)
    its_images = tuple(Image(generation_id, position, seed=5, due_at_ms=NOON_MS) for position in range(count))
    return Generation(generation_id, request, made_of, NOON_MS + generation_id, its_images)


Place = tuple[int, int, int, int | None]  # generation, position, person, server


class Model:
    """The line as lists: the next image is chosen anew after each one that is admitted."""

    def __init__(self, per_user: int, per_guild: int) -> None:
        self.per_user, self.per_guild = per_user, per_guild
        self.waiting: list[Place] = []
        self.running: list[Place] = []

    def turn(self, image: Place) -> int:
        own = [other for other in self.waiting if other[2] == image[2] and other[:2] <= image[:2]]
        return len(own) + sum(other[2] == image[2] for other in self.running)

    def number(self, image: Place) -> int:
        """Which of its server's images it will be. Each person's direct messages are a server."""
        same = [other for other in self.waiting if server_of(other) == server_of(image)]
        before = [other for other in same if (self.turn(other), other[:2]) <= (self.turn(image), image[:2])]
        return len(before) + sum(server_of(other) == server_of(image) for other in self.running)

    def next(self) -> Place | None:
        allowed = [
            image
            for image in self.waiting
            if self.turn(image) <= self.per_user
            and (not self.per_guild or image[3] is None or self.number(image) <= self.per_guild)
        ]
        return min(allowed, key=lambda image: (self.turn(image), self.number(image), image[:2]), default=None)

    def admit(self, most: int) -> None:
        for _ in range(most):
            image = self.next()
            if image is None:
                return
            self.waiting.remove(image)
            self.running.append(image)

    def next_ones(self, most: int) -> list[Place]:
        copy = Model(self.per_user, self.per_guild)
        copy.waiting, copy.running = list(self.waiting), list(self.running)
        copy.admit(most)
        return copy.running[len(self.running) :]

    def finish_first(self) -> list[tuple[int, int]]:
        done, self.running = self.running[:1], self.running[1:]
        return [image[:2] for image in done]


def server_of(image: Place) -> int:
    return image[3] or -image[2]
