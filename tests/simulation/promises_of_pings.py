"""What must be true of pings: one at most, to the requester alone, when it is there, and as they set it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.discord_world import FIRST_PERSON, Message, Version
from tests.simulation.rows import GenerationRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

SLOW_SECONDS = 30.0  # after which "when slow" is slow
HASTE_SECONDS = 5.0  # between what a person waits and what the bot measures


def pings_are_wanted(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    """Every sentence that is not true."""
    pinging = [message for message in run.world.discord.messages.values() if message.pinged]
    for generation in generations:
        cards = {generation.message_id, generation.told.message_id}
        theirs = [message for message in pinging if message.replies_to in cards]
        pinging = [message for message in pinging if message not in theirs]
        if len(theirs) > 1:
            yield f"generation {generation.id} pinged {len(theirs)} times"
        for message in theirs:
            yield from _may_ping(run, generation, message)
        if not theirs and _surely_wanted(run, generation):
            yield f"generation {generation.id} never pinged {generation.told.person}, who always wants it"
    for message in pinging:
        yield f"message {message.id} pinged {sorted(message.pinged)} for nothing"


def _setting(run: Run, generation: GenerationRow) -> str:
    said = dict(enumerate(run.scenario.pings, FIRST_PERSON))
    return said.get(generation.told.person) or "slow"


def _may_ping(run: Run, generation: GenerationRow, message: Message) -> Iterator[str]:
    setting = _setting(run, generation)
    if message.pinged != {generation.told.person}:
        yield f"generation {generation.id} of {generation.told.person} pinged {sorted(message.pinged)}"
    if generation.private:
        yield f"private generation {generation.id} pinged"
    if setting == "never":
        yield f"generation {generation.id} pinged somebody who never wants it"
    waited = message.born - generation.told.born
    if setting == "slow" and waited < SLOW_SECONDS - HASTE_SECONDS and run.scenario.even_clocks:
        yield f"generation {generation.id} pinged after {waited:.1f} s"
    for image in generation.images:
        shown = [version.at for version in _versions(run) if image.task_id in version.holds]
        if image.state is State.DELIVERED and image.ending is None and min(shown, default=0.0) > message.born:
            yield f"generation {generation.id} pinged before image {image.position} was there"


def _versions(run: Run) -> Iterator[Version]:
    for message in run.world.discord.messages.values():
        yield from message.versions


def _surely_wanted(run: Run, generation: GenerationRow) -> bool:
    """On a day on which nothing could come between."""
    calm = not (run.scenario.windows or run.scenario.events or run.died_at or run.paused)
    there = any(image.state is State.DELIVERED for image in generation.images)
    return calm and there and _setting(run, generation) == "always" and not generation.private
