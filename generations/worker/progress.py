"""Estimate the progress of a generation from past images. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from generations.circuit import StopReason
from generations.model import IN_FLIGHT, Estimate, Generation, Image, Line, Progress
from generations.poll_schedule import PollSchedule

SHARE_MAX = 0.95  # the service reports no percentage, so the bar is never full
SLOW_AFTER_FAILURES = 2


def progress_of(
    generation: Generation,
    line: Line | None,
    schedule: PollSchedule,
    *,
    now_ms: int,
    slots: int,
    in_flight: int,
    stopped: StopReason | None = None,
) -> Progress:
    """Return the progress of *generation*. *slots*: images that may be made at once; *in_flight*: images admitted;
    *stopped*: why none is sent now.

    After a 429 more images may be admitted than can be made: these come before the line.
    """
    being_made = [image for image in generation.images if image.state in IN_FLIGHT]
    too_many = max(0, in_flight - slots)
    if line is not None:
        line = replace(line, position=line.position + too_many)
    elif too_many and generation.cancellable:
        line = Line(too_many, own_running=0, own_cap=1, own_position=1, about_seconds=None)
    is_kept = line is not None and (line.waits_for_own or line.waits_for_server)
    if line is not None and line.position + in_flight <= slots and not is_kept:
        line = None  # it is admitted at once
    return Progress(
        line=replace(line, about_seconds=_about_seconds(generation, line, schedule, slots)) if line else None,
        estimate=_estimate(generation, being_made, schedule, now_ms) if being_made else None,
        stopped=stopped,
        shows_steps=schedule.typical_seconds(generation.request.size) is None,
        is_held_up=too_many > 0,
    )


def _about_seconds(generation: Generation, line: Line, schedule: PollSchedule, slots: int) -> int | None:
    typical = schedule.typical_seconds(generation.request.size)
    if typical is None:
        return None
    rounds = math.ceil(line.position / max(1, slots))
    return max(5, 5 * round(rounds * typical / 5))


def _estimate(generation: Generation, images: list[Image], schedule: PollSchedule, now_ms: int) -> Estimate:
    """Estimate by the image that was begun last: the card is ready when that one is."""
    size = generation.request.size
    begun_ms = max(image.submitted_at_ms or now_ms for image in images)
    age = max(0.0, (now_ms - begun_ms) / 1000)
    typical, slow = schedule.typical_seconds(size), schedule.slow_seconds(size)
    overdue = slow is not None and age > slow
    ready_at_ms = begun_ms + round(typical * 1000) if typical and not overdue else None
    return Estimate(
        begun_at_ms=begun_ms,
        share=min(SHARE_MAX, age / (typical * 1.1)) if typical else None,
        usual_seconds=schedule.usual_seconds(size),
        ready_at_ms=ready_at_ms if ready_at_ms is not None and ready_at_ms > now_ms else None,  # never "4 seconds ago"
        overdue=overdue,
        service_slow=any(image.failures >= SLOW_AFTER_FAILURES for image in images),
    )
