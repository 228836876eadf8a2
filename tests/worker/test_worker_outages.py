"""One hour without the image service, with 200 images in flight: nothing is charged, polls stay within the budget."""

from __future__ import annotations

from collections import Counter

from generations.model import State
from qwen.errors import ServiceUnavailable
from qwen.models import Task
from tests.doubles import ScriptedService
from tests.worker.conftest import WorkerHarness

IMAGES, PER_PERSON = 200, 4
HOUR_SECONDS = 3600


class FlakyService(ScriptedService):
    """A service that answers no poll while it is away. Records the time of each poll."""

    away = False

    async def get_task(self, task_id: str) -> Task:
        if self.away:
            self.on_poll.insert(0, ServiceUnavailable("nobody answers"))
        return await super().get_task(task_id)

    def polls_by_second(self, since: float) -> Counter[int]:
        times = [int(at) for polls in self.polls.values() for at in polls if at >= since]
        return Counter(times)


async def live(harness: WorkerHarness, seconds: float, *, stride: float) -> None:
    """Advance the clock, and step the worker until nothing is due, as its loop does."""
    for _ in range(round(seconds / stride)):
        harness.clock.advance(stride)
        while await harness.worker.step():
            pass


async def test_after_an_hours_outage_200_images_are_polled_within_the_budget_and_none_is_lost(
    harness: WorkerHarness,
) -> None:
    harness.service = service = FlakyService(harness.clock)
    harness.max_in_flight, harness.max_per_user, harness.deadline_seconds = IMAGES, PER_PERSON, 2 * HOUR_SECONDS
    harness.restart()
    people = range(1000, 1000 + IMAGES // PER_PERSON)
    asked = {person: await harness.imagine(user_id=person, count=PER_PERSON) for person in people}
    service.away = True
    await live(harness, 1, stride=1)
    assert len(service.posts) == IMAGES
    for minutes in (20, 40):
        await live(harness, 60 * minutes, stride=60 * minutes)
    assert set(await harness.states(asked[1000])) == {State.RUNNING}
    assert await harness.money(1000) == (30, 20)

    service.away, back_at = False, harness.clock.monotonic()
    await live(harness, 66, stride=1)
    seconds = service.polls_by_second(back_at)
    assert sum(seconds.values()) >= IMAGES
    assert max(seconds.values()) <= 2 * IMAGES / 5, "twice a second's worth, once, and then one"
    assert service.closest_polls() >= 5.0
    for person, generation_id in asked.items():
        assert set(await harness.states(generation_id)) == {State.DELIVERED}
        assert (await harness.balance(person)).available == 30
    assert len(service.posts) == IMAGES
