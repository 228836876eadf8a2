"""One hour without the image service, with 200 images in flight: nobody is charged, and polls keep the budget."""

from __future__ import annotations

from collections import Counter

from generations.model import State
from qwen.errors import ServiceUnavailable
from qwen.models import Task
from tests.doubles import ScriptedService
from tests.worker.conftest import Workshop

IMAGES, PER_PERSON = 200, 4
HOUR_SECONDS = 3600


class FlakyService(ScriptedService):
    """Answers no poll while it is away. Records when each poll came."""

    away = False

    async def get_task(self, task_id: str) -> Task:
        if self.away:
            self.on_poll.insert(0, ServiceUnavailable("nobody answers"))
        return await super().get_task(task_id)

    def polls_by_second(self, since: float) -> Counter[int]:
        times = [int(at) for polls in self.polls.values() for at in polls if at >= since]
        return Counter(times)


async def live(workshop: Workshop, seconds: float, *, stride: float) -> None:
    """Let time pass, with a worker that never leaves anything due behind, as its loop does."""
    for _ in range(round(seconds / stride)):
        workshop.clock.advance(stride)
        while await workshop.worker.step():
            pass


async def test_after_an_hours_outage_200_images_are_polled_within_the_budget_and_none_is_lost(
    workshop: Workshop,
) -> None:
    workshop.service = service = FlakyService(workshop.clock)
    workshop.max_in_flight, workshop.max_per_user, workshop.deadline_seconds = IMAGES, PER_PERSON, 2 * HOUR_SECONDS
    workshop.restart()
    people = range(1000, 1000 + IMAGES // PER_PERSON)
    asked = {person: await workshop.imagine(user_id=person, count=PER_PERSON) for person in people}
    service.away = True
    await live(workshop, 1, stride=1)
    assert len(service.posts) == IMAGES
    for minutes in (20, 40):
        await live(workshop, 60 * minutes, stride=60 * minutes)
    assert set(await workshop.states(asked[1000])) == {State.RUNNING}
    assert await workshop.money(1000) == (30, 20)

    service.away, back_at = False, workshop.clock.monotonic()
    await live(workshop, 66, stride=1)
    seconds = service.polls_by_second(back_at)
    assert sum(seconds.values()) >= IMAGES
    assert max(seconds.values()) <= 2 * IMAGES / 5, "twice a second's worth, once, and then one"
    assert service.closest_polls() >= 5.0
    for person, generation_id in asked.items():
        assert set(await workshop.states(generation_id)) == {State.DELIVERED}
        assert (await workshop.balance(person)).available == 30
    assert len(service.posts) == IMAGES
