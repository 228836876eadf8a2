"""Invariant of large images: they are re-encoded to fit, and only those that can't be are linked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.rows import GenerationRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

SMALLEST_BYTES = 350  # any image can be re-encoded to so few bytes


def links_are_needed(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    """Yield a message for each violation."""
    versions = [version for message in run.environment.discord.messages.values() for version in message.versions]
    shown = {image_file for version in versions for image_file in version.image_files}
    for generation in generations:
        limit = generation.interaction.limit
        if limit > run.environment.discord.bot_limit:  # the event named more than the bot's own messages may have
            limit = 0
        for image in generation.images:
            task = run.environment.api.tasks.get(image.task_id or "")
            if task is None or task.huge or image.state is not State.DELIVERED or task.id in shown:
                continue
            if limit >= SMALLEST_BYTES:
                yield f"image {image.id} is only linked to, though it fits into {limit} bytes"
