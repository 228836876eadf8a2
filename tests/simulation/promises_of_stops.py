"""Invariants of the circuit: with an account that is empty no more POSTs are made than probes, over all processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.scenario import EMPTY, Window

if TYPE_CHECKING:
    from tests.simulation.run import Run

FIRST_PROBE_SECONDS = 54.0  # after the first refusal at the earliest; later probes come at longer intervals
UNDER_WAY_SECONDS = 3.0  # POSTs that began so soon after the first refused one may not know of it


def few_posts_find_the_account_empty(run: Run) -> Iterator[str]:
    """Yield a message for each violation. Where times can't be compared, or a refusal may not be stored, none."""
    kinds = {window.kind for window in run.scenario.windows}
    if run.paused or not run.scenario.no_clock_jumps or "database" in kinds:
        return
    for window in run.scenario.windows:
        if window.kind == "post" and window.probability >= EMPTY:
            yield from _few_posts(run, window)


def _few_posts(run: Run, window: Window) -> Iterator[str]:
    ends = min(window.ends, run.scenario.ends)
    refused = [post for post in run.environment.api.posts if window.begins <= post.at < ends]
    stored = [
        post.at
        for post in refused
        if post.fault == window.way and run.died_at.get(post.life.name, run.loop.time()) > post.at + UNDER_WAY_SECONDS
    ]
    if not stored:
        return
    began = min(stored)
    later = [post for post in refused if post.at > began + UNDER_WAY_SECONDS]
    starts = sum(began < at < ends for at in run.started_at.values())
    allowed = starts + int((ends - began) // FIRST_PROBE_SECONDS)
    if len(later) > allowed:
        yield f"{len(later)} POSTs were made after {began:.1f} s with an empty account, {allowed} are allowed"
