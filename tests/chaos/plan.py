"""Draw every kill, stop, mood and request of a run, with its time, from the seed alone. Pure.

The same seed gives the same plan; how the processes interleave differs from run to run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.image_api import Mood
from tests.chaos.worlds import World

PEOPLE = ("mira", "jonas", "sam", "olga")
CHANNELS = ("gallery", "studio", "after-dark", "sketches", "dm", "pier")
CROWD_CHANNELS = ("gallery", "studio", "dm", "pier", "pier", "slipway", "slipway")  # of every process' shards
SIZE = "768*1024"  # painted fastest
SEEDS_PER_REQUEST = 10
CROWD_CREDITS = 0.5  # of a crowd's commands; the other half are images, which cost the stand-ins much
SUBJECTS = ("a fox", "two lighthouses", "a patient snail", "rain on a tin roof", "`a` @everyone **b**", "日本の庭")

# A mood applies to every task and request until the next one. NORMAL between them, so that some images succeed.
MOODS = (
    *(Mood.FAST, Mood.SLOW, Mood.STUCK, Mood.DECLINED, Mood.BAD_REQUEST, Mood.LOST_TASK, Mood.BUSY, Mood.BUSY_WAIT),
    *(Mood.ERROR_BEFORE, Mood.ERROR_AFTER, Mood.SILENT, Mood.GARBAGE, Mood.STRANGE_STATUS, Mood.NO_URL),
    *(Mood.SEVERAL_URLS, Mood.NOT_AN_IMAGE, Mood.REDIRECT, Mood.DRIP),
)
CALLBACK_MOODS = (
    *(Mood.CALLBACK_LOST, Mood.CALLBACK_TWICE, Mood.CALLBACK_EARLY, Mood.CALLBACK_AHEAD, Mood.CALLBACK_FORGED),
)

STOP_PHASE_SECONDS = (
    20.0  # the end of a run, without kills: a process that was stopped and goes on late must break no promise
)
STOP_PHASE_EVERY_SECONDS = 45.0
SLEEP_SECONDS = (13.0, 14.0)  # a lease of 10 s expires, and another process has a few seconds to take over


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 of one bot process; start it again after *down_seconds*."""

    process: int
    down_seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGSTOP of one bot process, SIGCONT after *seconds*: longer than the lease at times."""

    process: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StopWhilePosting:
    """SIGSTOP of the process that sends the next POST, before it gets the answer; SIGCONT after *seconds*."""

    seconds: float


Order = Literal["stop, start", "start, stop"]
ORDERS: tuple[Order, ...] = ("stop, start", "start, stop")


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """SIGTERM of one process after another. *orders*: for each, whether the new process starts after the old one has
    ended, or is ready before the old one is stopped."""

    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class RestartDatabase:
    """Stop PostgreSQL as by a crash; start it again after *down_seconds*."""

    down_seconds: float


@dataclass(frozen=True, slots=True)
class SetMood:
    mood: Mood


@dataclass(frozen=True, slots=True)
class DiscordTrouble:
    """*kind* is one of DISCORD_TROUBLES."""

    kind: str


@dataclass(frozen=True, slots=True)
class Imagine:
    """One /imagine. Its seeds are unique: number * SEEDS_PER_REQUEST and the following."""

    number: int
    person: str
    channel: str
    options: dict[str, Any]
    cancel_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class CheckCredits:
    person: str
    channel: str


Action = (
    Kill
    | Stop
    | StopWhilePosting
    | RollingRestart
    | RestartDatabase
    | SetMood
    | DiscordTrouble
    | Imagine
    | CheckCredits
)
DISCORD_TROUBLES = ("reconnect", "cut", "drop", "edits_fail", "edits_unheard", "answers_unheard", "event_twice")


@dataclass(frozen=True, slots=True)
class Event:
    """*action* begins *at_seconds* after the start."""

    at_seconds: float
    action: Action


def draw_plan(seed: int, *, seconds: float, world: World) -> list[Event]:
    """Return all events within *seconds*, in order."""
    rng = random.Random(f"chaos {seed} {world.processes}")
    stop_phases = [
        seconds - STOP_PHASE_SECONDS * number
        for number in range(1, 1 + max(1, int(seconds // STOP_PHASE_EVERY_SECONDS)))
    ]
    moods = (*MOODS, *CALLBACK_MOODS) if world.callbacks else MOODS
    crowd = world.commands_per_second
    people = _crowd(rng, seconds, crowd) if crowd else _people(rng, seconds)
    events = [*_moods(rng, seconds, moods), *_discord(rng, seconds), *people]
    kills_end = stop_phases[-1] / 2 if world.shards else stop_phases[-1]
    for process in range(world.places):
        events += _kills_and_stops(rng, kills_end, process)
    if world.shards:
        events.append(Event(kills_end, RollingRestart(_orders(rng, world.places))))
    if world.postgresql:
        events += [Event(at, RestartDatabase(rng.uniform(0.0, 3.0))) for at in _times(rng, stop_phases[-1], 15, 30)]
    events += [Event(at, StopWhilePosting(rng.uniform(*SLEEP_SECONDS))) for at in stop_phases]
    return sorted(events, key=lambda event: event.at_seconds)


def _times(rng: random.Random, seconds: float, least: float, most: float) -> Iterator[float]:
    at = rng.uniform(least / 2, most / 2)
    while at < seconds:
        yield at
        at += rng.uniform(least, most)


def _kills_and_stops(rng: random.Random, seconds: float, process: int) -> Iterator[Event]:
    """Yield kills and stops of one process that do not overlap, with pauses between them; all end by *seconds*."""
    at = rng.uniform(3, 6)
    drawn: list[Kill | Stop] = []
    while True:
        if not drawn:
            drawn = [*(Kill(process, rng.uniform(0.1, 3.0)) for _ in range(2)), Stop(process, rng.uniform(5.0, 12.0))]
            rng.shuffle(drawn)
        action = drawn.pop()
        over = at + (action.seconds if isinstance(action, Stop) else action.down_seconds)
        if over >= seconds:
            return
        yield Event(at, action)
        at = over + rng.uniform(3, 8)


def _moods(rng: random.Random, seconds: float, moods: tuple[Mood, ...]) -> Iterator[Event]:
    for at in _times(rng, seconds, 4, 10):
        yield Event(at, SetMood(rng.choice(moods)))
        yield Event(at + rng.uniform(1.0, 3.5), SetMood(Mood.NORMAL))


def _discord(rng: random.Random, seconds: float) -> Iterator[Event]:
    for at in _times(rng, seconds, 5, 12):
        yield Event(at, DiscordTrouble(rng.choice(DISCORD_TROUBLES)))


def _orders(rng: random.Random, places: int) -> tuple[Order, ...]:
    """Return an order for each place; each order occurs."""
    orders: list[Order] = [ORDERS[number % len(ORDERS)] for number in range(places)]
    rng.shuffle(orders)
    return tuple(orders)


def _crowd(rng: random.Random, seconds: float, per_second: float) -> Iterator[Event]:
    """Yield commands at a steady rate: one half asks for an image, the other opens the credits."""
    for number in range(1, int(seconds * per_second)):
        at, person, channel = number / per_second, rng.choice(PEOPLE), rng.choice(CROWD_CHANNELS)
        if rng.random() < CROWD_CREDITS:
            yield Event(at, CheckCredits(person, channel))
        else:
            yield Event(at, _imagine(rng, number, person, channel, counts=(1,)))


def _people(rng: random.Random, seconds: float) -> Iterator[Event]:
    asked: list[tuple[float, str]] = [(at, person) for person in PEOPLE for at in _times(rng, seconds, 1.5, 5)]
    for number, (at, person) in enumerate(sorted(asked), start=1):
        if rng.random() < 0.1:
            yield Event(at, CheckCredits(person, "gallery"))
        else:
            yield Event(at, _imagine(rng, number, person, channel=None, counts=(1, 1, 1, 2, 2, 3, 4)))


def _imagine(rng: random.Random, number: int, person: str, channel: str | None, counts: tuple[int, ...]) -> Imagine:
    """Draw one request. *channel* None: any of CHANNELS."""
    options = {
        "prompt": f"chaos {number}: {rng.choice(SUBJECTS)}",
        "seed": number * SEEDS_PER_REQUEST,
        "size": SIZE,
        "count": rng.choice(counts),
        "format": rng.choice(("jpeg", "webp")),
        "private": rng.random() < 0.25,
        "spoiler": rng.random() < 0.2,
    }
    cancel_after = rng.uniform(0.2, 6.0) if rng.random() < 0.3 else None
    return Imagine(number, person, channel or rng.choice(CHANNELS), options, cancel_after)
