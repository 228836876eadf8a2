"""What must be true of downloads: a process fetches an image once, and again only when it was shown and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import State
from tests.simulation.rows import ImageRow

if TYPE_CHECKING:
    from tests.simulation.run import Run


def images_are_fetched_once(run: Run, images: list[ImageRow]) -> Iterator[str]:
    """Every sentence that is not true, of images that were posted in the end. Nothing here needs more memory than
    there is, so nothing has to give way.

    A process drops what it fetched when its database fails, and when it loses its claim: it was stopped, or a clock
    leapt.
    """
    database = any(window.kind == "database" for window in run.scenario.windows)
    if database or run.paused or not run.scenario.even_clocks:
        return
    posted = {image.task_id for image in images if image.state is State.DELIVERED}
    for (life, task_id), times in run.world.api.downloads.items():
        uploads = run.world.discord.uploads[life, task_id]
        if task_id in posted and times > max(1, uploads + (life in run.died_at)):
            yield f"{life} downloaded the image of {task_id} {times} times and uploaded it {uploads} times"
