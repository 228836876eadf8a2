"""Invariants of pings: one at most, to the requester alone, after the images are there, and as they set it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.fake_discord import FIRST_PERSON, Message, Version
from tests.simulation.rows import GenerationRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

SLOW_SECONDS = 30.0  # after which "when slow" is slow
TOLERANCE_SECONDS = 5.0  # between what a person waits and what the bot measures


def pings_are_wanted(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    """Yield a message for each violation."""
    pinging = [message for message in run.environment.discord.messages.values() if message.pinged]
    for generation in generations:
        cards = {generation.message_id, generation.interaction.message_id}
        replies = [message for message in pinging if message.replies_to in cards]
        pinging = [message for message in pinging if message not in replies]
        if len(replies) > 1:
            yield f"generation {generation.id} pinged {len(replies)} times"
        for message in replies:
            yield from _may_ping(run, generation, message)
        if not replies and _surely_wanted(run, generation):
            yield f"generation {generation.id} never pinged {generation.interaction.person}, who always wants it"
    for message in pinging:
        yield f"message {message.id} pinged {sorted(message.pinged)}, but replies to no card"


def _setting(run: Run, generation: GenerationRow) -> str:
    settings = dict(enumerate(run.scenario.pings, FIRST_PERSON))
    return settings.get(generation.interaction.person) or "slow"


def _may_ping(run: Run, generation: GenerationRow, message: Message) -> Iterator[str]:
    setting = _setting(run, generation)
    if message.pinged != {generation.interaction.person}:
        yield f"generation {generation.id} of {generation.interaction.person} pinged {sorted(message.pinged)}"
    if generation.private:
        yield f"private generation {generation.id} pinged"
    if setting == "never":
        yield f"generation {generation.id} pinged somebody who never wants it"
    waited = message.created_at - generation.interaction.created_at
    if setting == "slow" and waited < SLOW_SECONDS - TOLERANCE_SECONDS and run.scenario.no_clock_jumps:
        yield f"generation {generation.id} pinged after {waited:.1f} s"
    for image in generation.images:
        shown = [version.at for version in _versions(run) if image.task_id in version.holds]
        if image.state is State.DELIVERED and image.ending is None and min(shown, default=0.0) > message.created_at:
            yield f"generation {generation.id} pinged before image {image.position} was there"


def _versions(run: Run) -> Iterator[Version]:
    for message in run.environment.discord.messages.values():
        yield from message.versions


def _surely_wanted(run: Run, generation: GenerationRow) -> bool:
    """Whether a ping was due in a run without faults, events and deaths."""
    calm = not (run.scenario.windows or run.scenario.events or run.died_at or run.paused)
    there = any(image.state is State.DELIVERED for image in generation.images)
    return calm and there and _setting(run, generation) == "always" and not generation.private
