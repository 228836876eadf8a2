"""Invariant of downloads: a process downloads an image once, and again only after it was shown and removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.rows import ImageRow

if TYPE_CHECKING:
    from tests.simulation.run import Run


def images_are_fetched_once(run: Run, images: list[ImageRow]) -> Iterator[str]:
    """Yield a message for each violation, for images that were posted in the end. All images fit into the image memory.

    A process drops its downloads when its database fails or when it loses its claim (it was stopped, or a clock
    jumped).
    """
    database = any(window.kind == "database" for window in run.scenario.windows)
    if database or run.paused or not run.scenario.no_clock_jumps:
        return
    posted = {image.task_id for image in images if image.state is State.DELIVERED}
    for (life, task_id), times in run.environment.api.downloads.items():
        uploads = run.environment.discord.uploads[life, task_id]
        if task_id in posted and times > max(1, uploads + (life in run.died_at)):
            yield f"{life} downloaded the image of {task_id} {times} times and uploaded it {uploads} times"
