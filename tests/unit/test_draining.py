"""The deadline of a stop and the shares of its parts."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, fields
from typing import Any

import pytest

from bot import CLOSE_SECONDS, STOP_SECONDS, finish
from generations.clock import Deadline
from services.build import DRAIN_SECONDS, LAST_CALLS_SECONDS, Services
from services.senders import Senders
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


class Requests:
    def __init__(self) -> None:
        self.are_refused = False

    def drain(self) -> None:
        self.are_refused = True


@dataclass
class Others:
    are_others: bool


def services_of(worker_seconds: float, processes: Others | None = None) -> Any:
    clock = ManualClock()
    parts: dict[str, Any] = {field.name: None for field in fields(Services)}
    parts |= {"clock": clock, "generations": Requests(), "worker": Part(clock, worker_seconds)}
    parts["processes"] = processes
    senders: dict[str, Any] = {field.name: Part(clock, 0) for field in fields(Senders)}
    parts["senders"] = Senders(**senders)
    return Services(**parts)


def given_to(senders: Any) -> list[list[float]]:
    """Return the seconds that each sender was given, in the order of the fields."""
    return [getattr(senders, field.name).given for field in fields(Senders)]


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
    assert given_to(services.senders) == [[3], [2], [2], [2], [2]], "side by side"


async def test_a_fast_worker_does_not_lengthen_the_wait_for_discord() -> None:
    services = services_of(0.0)
    await services.drain(DRAIN_SECONDS)
    assert given_to(services.senders) == [[5], [2], [2], [2], [2]]


async def test_without_time_left_every_part_is_still_drained() -> None:
    services = services_of(1e9)
    await services.drain(0.0)
    assert [services.worker.given, *given_to(services.senders)] == [[0]] * 6


def test_the_shares_of_the_deadline_fit_into_25_seconds() -> None:
    assert STOP_SECONDS - CLOSE_SECONDS == DRAIN_SECONDS
    assert STOP_SECONDS <= 25


@dataclass
class Stopped:
    """The services and the client of a process that is stopped, which note in which order they end."""

    are_others: bool
    order: list[str]

    @property
    def processes(self) -> Stopped:
        return self

    async def drain(self, seconds: float) -> None:
        self.order.append("work")

    async def close(self) -> None:
        self.order.append("client")


@pytest.mark.parametrize(
    ("are_others", "order"),
    [(True, ["gateway", "command", "work", "client"]), (False, ["work", "gateway", "command", "client"])],
)
async def test_beside_other_processes_the_gateway_is_closed_and_its_commands_answered_before_the_work_ends(
    are_others: bool, order: list[str]
) -> None:
    stopped, is_closed = Stopped(are_others, []), asyncio.Event()

    async def listen() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        stopped.order.append("gateway")
        is_closed.set()

    async def answer() -> None:
        await is_closed.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        stopped.order.append("command")

    work, listening = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(listen())
    answering = asyncio.create_task(answer(), name="CommandTree-invoker")
    await asyncio.sleep(0)
    both: Any = stopped
    await finish(both, both, listening, work, Deadline(ManualClock(), STOP_SECONDS))
    assert stopped.order == order and answering.done()


@pytest.mark.parametrize(
    ("processes", "are_refused"), [(None, True), (Others(False), True), (Others(True), False)], ids=str
)
async def test_requests_are_refused_in_a_drain_unless_another_process_makes_their_images(
    processes: Others | None, are_refused: bool
) -> None:
    services = services_of(0.0, processes)
    await services.drain(DRAIN_SECONDS)
    assert services.generations.are_refused is are_refused
