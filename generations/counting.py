"""Count what happened to an image, once it is committed: its state, its waits and its credits."""

from __future__ import annotations

from generations.model import HELD, RETURNED, Ending, Generation, Image, State
from generations.prices import price_of
from observability.metrics import Metrics, Stage


def count_move(metrics: Metrics, generation: Generation, before: Image, after: Image, now_ms: int) -> None:
    """Count the move from *before* to *after*, which its transaction has committed. No move, nothing is counted."""
    if before.state is after.state or after.state in (State.REQUESTED, State.SUBMITTING):
        return
    metrics.image_moved(after.state.value, "" if after.ending is None else after.ending.value)
    match after.state:
        case State.RUNNING:
            metrics.waited(Stage.LINE, ((after.submitted_at_ms or now_ms) - generation.created_at_ms) / 1000)
        case State.SUCCEEDED if before.state is State.RUNNING:
            metrics.waited(Stage.MADE, (now_ms - (before.submitted_at_ms or now_ms)) / 1000)
            metrics.credits_moved("settle", after.consumed_credits or 0)
        case State.DELIVERED:
            metrics.waited(Stage.POSTED, (now_ms - (before.ready_at_ms or now_ms)) / 1000)
        case State.FAILED if after.ending is Ending.IMAGE_LOST:
            metrics.credits_moved("refund", before.consumed_credits or 0)
        case _ if before.state in HELD and after.state in RETURNED:
            metrics.credits_moved("release", price_of(1))
        case _:
            pass
