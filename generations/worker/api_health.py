"""Say what this process knows of the image API, for /owner status and /metrics."""

from __future__ import annotations

from generations.worker.context import StepContext
from processes.status import ApiHealth


def read_api_health(context: StepContext) -> ApiHealth:
    """Return how the image API is now. Makes no call."""
    throttle, now = context.throttle, context.clock.monotonic()
    return ApiHealth(
        throttle.slots.count(now),
        throttle.limit,
        throttle.wait_seconds(now),
        throttle.post_wait_seconds(now),
        context.schedule.typical_seconds(),
    )
