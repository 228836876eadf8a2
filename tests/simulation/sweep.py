"""Run a few small scenarios once for each of their steps, with the process killed or stopped before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from credits.allowance import CreditPeriod
from tests.simulation.run import Verdict, play
from tests.simulation.scenario import EMPTY, Asked, ByHand, Crash, Pressed, Scenario, Window

_DAY = Scenario(
    seed=0,
    processes=1,
    period=CreditPeriod.NEVER,
    boundary_at=1.0,
    allowance=50,
    per_user=3,
    in_flight=20,
    queue=100,
    deadline=60,
    task_seconds=(1.0, 4.0),
    idle_seconds=30.0,
    pings=("always",),
    ends=10.0,
)

CREDITS_AND_RULES = (
    *("grant", "take", "undo", "set tier", "remove tier", "exempt", "unexempt", "block", "unblock", "pause", "resume"),
)
GUILD_RULES = (
    *("log channel", "channels", "roles", "content", "person cap", "budget", "add words", "remove words", "block here"),
    *("unblock here", "pause here", "resume here", "no log channel"),
)
DECISIONS = ("report", "remove reported", "block reported", "dismiss report", "remove reported", "block reported")

DAYS = {
    "one image is made, one is cancelled": replace(
        _DAY,
        seed=1,
        per_user=1,
        asked=(Asked(0, at=0.5, person=0, count=2, private=False, channel=0),),
        pressed=(Pressed(at=2.0, number=0, person=0),),
    ),
    "the answer to the POST is lost, a call brings the task back": replace(
        _DAY,
        seed=2,
        processes=2,
        asked=(Asked(0, at=0.5, person=0, count=1, private=True, channel=0),),
        windows=(Window("post", "cut after", 0.0, 10.0, 1.0),),
        calls=("twice",),
    ),
    "one image becomes a link, the next one is made smaller": replace(
        _DAY,
        seed=3,
        ends=16.0,
        in_flight=1,
        asked=(Asked(0, at=0.5, person=0, count=2, private=False, channel=0, limit=1500),),
        sizes=("huge", "usual"),
    ),
    "the owner changes credits and rules": replace(
        _DAY,
        seed=4,
        ends=16.0,
        asked=(Asked(0, at=0.5, person=0, count=1, private=False, channel=0),),
        by_hand=(
            *(ByHand(1.0 + 0.5 * number, action) for number, action in enumerate(CREDITS_AND_RULES)),
            *(ByHand(9.0, "refund"), ByHand(10.0, "refund"), ByHand(11.0, "grant", again_after=0.1)),
        ),
    ),
    "an admin changes the rules of a server": replace(
        _DAY,
        seed=5,
        ends=10.0,
        by_hand=tuple(ByHand(0.5 + 0.5 * number, action) for number, action in enumerate(GUILD_RULES)),
    ),
    "an image is reported and decided about": replace(
        _DAY,
        seed=6,
        ends=24.0,
        asked=(Asked(0, at=0.5, person=0, count=1, private=False, channel=0),),
        by_hand=(ByHand(0.6, "log channel"), *(ByHand(10.0 + 2 * n, each) for n, each in enumerate(DECISIONS))),
    ),
    "images stop and are back, and a limit of spending is reached": replace(
        _DAY,
        seed=7,
        ends=140.0,
        spend_day=25,
        asked=(
            Asked(0, at=0.5, person=0, count=1, private=False, channel=0),
            Asked(1, at=88.0, person=1, count=4, private=False, channel=0),
            Asked(2, at=118.0, person=2, count=1, private=False, channel=0),
        ),
        windows=(Window("post", "402", 0.0, 30.0, EMPTY),),
    ),
}
STOPPED_SECONDS = 14.0  # longer than a lease


@dataclass(frozen=True, slots=True)
class Death:
    """Life number *life* of the *day* dies at step number *step*, or is stopped there for *sleeps* seconds."""

    day: str
    life: int
    step: int
    sleeps: float = 0.0

    def scenario(self) -> Scenario:
        return replace(DAYS[self.day], crashes=(Crash(self.life, self.step, 0.5, sleeps=self.sleeps),))


def deaths(day: str) -> Iterator[Death]:
    """Yield a death for each step of each process of a run without deaths; with two processes also a stop."""
    steps = play(DAYS[day]).steps_of_lives
    for life, most in enumerate(steps):
        for step in range(1, most + 1):
            yield Death(day, life, step)
            if len(steps) > 1:
                yield Death(day, life, step, STOPPED_SECONDS)


def play_death(death: Death, *, record: bool = False) -> Verdict:
    return play(death.scenario(), record=record)


def is_survived(death: Death) -> bool:
    return not play_death(death).broken


def run_sweep(jobs: int, say: Callable[[str], None]) -> int:
    """Run all deaths of all days and print one line. Return the number of deaths that violated an invariant."""
    began = time.monotonic()
    every = [death for day in DAYS for death in deaths(day)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        survived = pool.map(is_survived, every, chunksize=20)
        failed = [death for death, ok in zip(every, survived, strict=True) if not ok]
    for death in failed[:1]:
        verdict = play_death(death, record=True)
        say("\n".join([str(death), *verdict.history, *(f"BROKEN  {sentence}" for sentence in verdict.broken)]))
    for death in failed[1:]:
        say(f"{death}: {play_death(death).broken[0]}")
    outcome = "all promises kept" if not failed else f"{len(failed)} FAILED"
    say(f"{len(DAYS)} days, {len(every)} deaths, one at every step: {outcome} ({time.monotonic() - began:.0f} s)")
    return len(failed)
