"""What must be true of downloads: a process fetches a picture once, and again only when it was shown and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.run import Run


def pictures_are_fetched_once(run: Run) -> Iterator[str]:
    """Every sentence that is not true. Nothing here needs more memory than there is, so nothing has to give way.

    A process drops what it fetched when its database fails, and when it loses its claim: it was stopped, or a clock
    leapt.
    """
    database = any(window.kind == "database" for window in run.scenario.windows)
    if database or run.paused or not run.scenario.even_clocks:
        return
    for (life, task_id), times in run.world.api.downloads.items():
        uploads = run.world.discord.uploads[life, task_id]
        if times > max(1, uploads + (life in run.died_at)):
            yield f"{life} downloaded the picture of {task_id} {times} times and uploaded it {uploads} times"
