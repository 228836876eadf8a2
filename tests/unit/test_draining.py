"""The deadline of a stop and the shares of its parts."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from bot import CLOSE_SECONDS, STOP_SECONDS
from generations.clock import Deadline
from services import DRAIN_SECONDS, LAST_CALLS_SECONDS, Services
from tests.doubles import ManualClock


class Part:
    """A part that drains for all the time it is given, or for *seconds*, on the test's clock."""

    def __init__(self, clock: ManualClock, seconds: float = 1e9) -> None:
        self.clock = clock
        self.seconds = seconds
        self.given: list[float] = []

    async def drain(self, seconds: float) -> None:
        self.given.append(seconds)
        self.clock.advance(min(seconds, self.seconds))


class Nothing:
    def drain(self) -> None: ...


def services_of(worker_seconds: float) -> Any:
    clock = ManualClock()
    parts: dict[str, Any] = {field.name: None for field in fields(Services)}
    parts |= {"clock": clock, "generations": Nothing(), "worker": Part(clock, worker_seconds)}
    parts |= {name: Part(clock, 0) for name in ("delivery", "pings", "operator")}
    return Services(**parts)


def test_a_deadline_keeps_a_reserve_and_is_never_negative() -> None:
    clock = ManualClock()
    deadline = Deadline(clock, 25)
    clock.advance(10)
    assert (deadline.left(), deadline.left(reserve=4)) == (15, 11)
    clock.advance(20)
    assert deadline.left() == 0


async def test_the_worker_leaves_time_for_the_last_calls_within_the_deadline() -> None:
    services = services_of(1e9)
    await services.drain(20.0)
    assert services.worker.given == [20 - LAST_CALLS_SECONDS]
    assert (services.delivery.given, services.pings.given, services.operator.given) == ([3], [2], [2]), "side by side"


async def test_a_fast_worker_does_not_lengthen_the_wait_for_discord() -> None:
    services = services_of(0.0)
    await services.drain(DRAIN_SECONDS)
    assert (services.delivery.given, services.pings.given, services.operator.given) == ([5], [2], [2])


async def test_without_time_left_every_part_is_still_drained() -> None:
    services = services_of(1e9)
    await services.drain(0.0)
    assert all(part.given == [0] for part in (services.worker, services.delivery, services.pings, services.operator))


def test_the_shares_of_the_deadline_fit_into_25_seconds() -> None:
    assert STOP_SECONDS - CLOSE_SECONDS == DRAIN_SECONDS
    assert STOP_SECONDS <= 25
