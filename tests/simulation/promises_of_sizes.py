"""What must be true of large images: they are made to fit, and a link stands in for those alone that can't be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.rows import GenerationRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

SMALLEST_BYTES = 350  # any painting can be made so small


def links_are_needed(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    """Every sentence that is not true."""
    versions = [version for message in run.world.discord.messages.values() for version in message.versions]
    shown = {image_file for version in versions for image_file in version.image_files}
    for generation in generations:
        limit = generation.told.limit
        if limit > run.world.discord.bot_limit:  # the event said more than the place takes: there is one more try
            limit = 0
        for image in generation.images:
            task = run.world.api.tasks.get(image.task_id or "")
            if task is None or task.huge or image.state is not State.DELIVERED or task.id in shown:
                continue
            if limit >= SMALLEST_BYTES:
                yield f"image {image.id} is only linked to, though it fits into {limit} bytes"
