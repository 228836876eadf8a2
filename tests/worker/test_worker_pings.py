"""Telling a person that their images are there, and being killed around it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from generations.errors import DeliveryDelayed
from generations.model import Generation, State
from generations.pings import PingDecisions, wants_ping
from people.model import Ping
from qwen.errors import ImageTooLarge
from qwen.images import OversizedImage
from tests.doubles import PAINTING
from tests.worker.conftest import Workshop


class Killed(BaseException):
    """A kill leaves no trace: not even the worker's broad except may see it."""


@dataclass
class Horn:
    """A teller that remembers whom it would have told. `die` before a decision, or after one."""

    decisions: PingDecisions
    told: list[int] = field(default_factory=list)
    die_before: bool = False
    die_after: bool = False

    async def handle_finished(self, generation: Generation) -> None:
        if self.die_before:
            raise Killed
        decided = await self.decisions.decide(generation)
        if self.die_after:
            raise Killed
        if decided is not None:
            self.told.append(decided.id)


def with_horn(workshop: Workshop) -> Horn:
    horn = Horn(PingDecisions(workshop.database, workshop.clock))
    workshop.context.pings = horn
    return horn


async def slow_image(workshop: Workshop) -> int:
    generation_id = await workshop.imagine()
    workshop.service.on_poll = [PAINTING] * 6
    return generation_id


async def test_a_person_is_told_once_when_it_is_on_the_card(workshop: Workshop) -> None:
    horn = with_horn(workshop)
    generation_id = await slow_image(workshop)
    await workshop.pass_time(120)
    assert horn.told == [generation_id]


async def test_nobody_is_told_before_discord_has_taken_the_image(workshop: Workshop) -> None:
    horn = with_horn(workshop)
    generation_id = await slow_image(workshop)
    workshop.wall.places = [DeliveryDelayed(20)] * 3
    await workshop.pass_time(60)
    assert horn.told == []
    await workshop.pass_time(120)
    assert horn.told == [generation_id]


async def test_a_process_that_dies_before_the_decision_leaves_it_to_the_next(workshop: Workshop) -> None:
    with_horn(workshop).die_before = True
    generation_id = await slow_image(workshop)
    with pytest.raises(Killed):
        await workshop.pass_time(120)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    workshop.restart()
    horn = with_horn(workshop)
    await workshop.pass_time(30)
    assert horn.told == [generation_id]
    assert len(workshop.wall.shows) == 1


async def test_a_process_that_dies_after_the_decision_takes_the_ping_along_and_nobody_is_told_twice(
    workshop: Workshop,
) -> None:
    with_horn(workshop).die_after = True
    await slow_image(workshop)
    with pytest.raises(Killed):
        await workshop.pass_time(120)
    workshop.restart()
    horn = with_horn(workshop)
    await workshop.pass_time(60)
    assert horn.told == []


# ---- images that are too large to be fetched ----------------------------------------------------------------------


async def test_an_image_that_is_too_large_to_be_fetched_is_paid_for_and_shown_as_one(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageTooLarge(25 << 20)]
    await workshop.pass_time(20)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)
    [(shown, image_files)] = workshop.wall.shows
    assert image_files == {0: OversizedImage()}
    assert shown.images[0].image_url == "https://cdn.example.com/image.png"


async def test_so_it_is_after_a_process_died_on_the_way(workshop: Workshop) -> None:
    generation_id = await workshop.imagine()
    workshop.shelf.faults = [ImageTooLarge(25 << 20), ImageTooLarge(25 << 20)]
    workshop.wall.places = [DeliveryDelayed(1)]
    await workshop.pass_time(30)
    assert await workshop.states(generation_id) == [State.DELIVERED]
    assert await workshop.money() == (45, 0)


async def test_a_person_whose_card_moved_into_their_direct_messages_was_told_by_it(workshop: Workshop) -> None:
    generation = await workshop.load(await workshop.imagine())
    now_ms = generation.created_at_ms + 60_000
    assert wants_ping(generation, Ping.SLOW, now_ms)
    assert not wants_ping(replace(generation, card_channel_id=5), Ping.ALWAYS, now_ms)
