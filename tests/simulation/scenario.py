"""The scenario of one run, drawn from a seed: requests, button presses, faults, crashes, events.

A scenario is plain data, so that a run can be repeated with parts of it left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

from credits.allowance import CreditPeriod

# The faults of each kind of call, by the names that the simulated services use.
POST_FAULTS = (
    "refused", "cut before", "cut after", "500 before", "500 after", "503", "429", "429 wait", "html", "400", "401",
    "402", "silent", "slow", "no task id",
)  # fmt: skip
POLL_FAULTS = ("refused", "cut before", "500 before", "429", "429 wait", "404", "401", "html", "silent", "slow", "odd")
IMAGE_FAULTS = ("refused", "cut before", "500 before", "404", "slow", "silent")
DISCORD_FAULTS = ("cut before", "cut after", "500 before", "500 after", "429", "slow", "outage", "outage", "400")
DATABASE_FAULTS = ("slow", "slow", "locked", "lost")
FAULTS = {
    "post": POST_FAULTS,
    "poll": POLL_FAULTS,
    "image": IMAGE_FAULTS,
    "discord": DISCORD_FAULTS,
    "database": DATABASE_FAULTS,
}
MOMENTS = ("post", "post", "poll", "image", "discord", "commit")  # kinds of calls relative to which a crash is set
CALLS = ("in time", "in time", "late", "too soon", "twice", "often", "guessed", "lies", "lies", "lost")
LOST_ANSWERS = ("cut after", "500 after", "no task id", "silent")
PINGS = ("always", "always", "slow", "never", "")  # "": never set
USUAL_LIMIT = 10 << 20
EMPTY = 1.0  # the probability of a window in which the account is empty: every POST is refused
LIMITS = (USUAL_LIMIT, 5000, 1500, 600, 350, 90)  # an image has some 6400 bytes, at its smallest 110
OUTCOMES = ("success",) * 12 + ("declined", "failed", "no image", "not an image", "stuck", "gone")


@dataclass(frozen=True, slots=True)
class Asked:
    """One /imagine. *again_after*: the same event is delivered a second time; *late*: the first comes late."""

    number: int
    at: float
    person: int
    count: int
    private: bool
    channel: int
    late: float = 0.0
    again_after: float | None = None
    limit: int = USUAL_LIMIT  # bytes a file may have, as the event says


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press of Cancel on the card of request *number*."""

    at: float
    number: int
    person: int


@dataclass(frozen=True, slots=True)
class Window:
    """From *begins* to *ends* calls of one *kind* fail with a probability. *way*: the fault; "": any of its kind."""

    kind: str
    way: str
    begins: float
    ends: float
    probability: float


@dataclass(frozen=True, slots=True)
class Crash:
    """Life number *life* is killed at its step number *step*, and another one is started later.

    A step is a resumed task or a statement. *moment*: steps are counted from the life's *nth* call of this kind; "":
    from its start. With *sleeps* above 0 it is stopped for so many seconds and not killed.
    """

    life: int
    step: int
    restart_after: float = 1.0
    moment: str = ""
    nth: int = 1
    sleeps: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """An event for a machine, a channel or a message.

    - drain: SIGTERM, and a new process after *amount* seconds
    - pause: SIGSTOP for *amount* seconds
    - jump: the machine's wall clock moves by *amount* seconds
    - close: channel *target* refuses messages for *amount* seconds
    - archive: channel *target* becomes a thread in which nothing can be edited until a message is sent
    - delete: a person deletes the card of request *target*
    - balance: person *target* asks for the balance
    """

    kind: str
    at: float
    target: int
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class ByHand:
    """Somebody does an action of changes.ACTIONS. *again_after*: the same event is delivered a second time."""

    at: float
    action: str
    again_after: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    processes: int
    period: CreditPeriod
    boundary_at: float  # when the first period of the run ends, in seconds from its start
    allowance: int
    per_user: int
    in_flight: int
    queue: int
    deadline: int
    task_seconds: tuple[float, float]  # seconds from POST to result: shortest, longest
    idle_seconds: float  # how long an idle worker sleeps at most
    closed_dms: tuple[int, ...] = ()
    asked: tuple[Asked, ...] = ()
    pressed: tuple[Pressed, ...] = ()
    windows: tuple[Window, ...] = ()
    crashes: tuple[Crash, ...] = ()
    events: tuple[Event, ...] = ()
    outcomes: tuple[str, ...] = ("success",)
    calls: tuple[str, ...] = ()  # how tasks are called back, in turn; none: no callback addresses
    pings: tuple[str, ...] = ()  # the setting of each person; none: no settings
    sizes: tuple[str, ...] = ()  # of the images, in turn: "usual" or "huge"; none: files without pixels
    task_limit: int = 0  # tasks that the service lets run at once; 0: any number
    bot_limit: int = USUAL_LIMIT  # bytes a file may have that the bot posts without a token
    by_hand: tuple[ByHand, ...] = ()
    spend_day: int = 0  # SPEND_LIMIT_DAY
    token_only_channels: tuple[int, ...] = ()  # channels without the bot as a member; no event says so
    ends: float = field(default=150.0)  # seconds after which no fault happens
    # Seconds from there in which all work must end. Each of two processes may try a closed card for an hour, one after
    # the other.
    settles: float = 3 * 3600.0

    @property
    def no_clock_jumps(self) -> bool:
        return not any(event.kind == "jump" for event in self.events)

    def parts(self) -> int:
        return sum(len(getattr(self, name)) for name in PARTS)

    def smaller(self) -> Iterator[Scenario]:
        """Yield the same scenario with one part left out or simplified."""
        for name in PARTS:
            listed = getattr(self, name)
            if len(listed) > 3:
                yield replace(self, **{name: ()})
            for number in range(len(listed)):
                yield replace(self, **{name: listed[:number] + listed[number + 1 :]})
        for number, asked in enumerate(self.asked):
            simpler = replace(asked, count=1, private=False, late=0.0, again_after=None, limit=USUAL_LIMIT)
            if simpler != asked:
                yield replace(self, asked=(*self.asked[:number], simpler, *self.asked[number + 1 :]))
        plain = {"processes": 1, "closed_dms": (), "outcomes": ("success",), "bot_limit": USUAL_LIMIT, "task_limit": 0}
        for name, value in {**plain, "calls": (), "pings": (), "sizes": (), "token_only_channels": ()}.items():
            if getattr(self, name) != value:
                yield replace(self, **{name: value})
        for call in dict.fromkeys(self.calls if len(self.calls) > 1 else ()):
            yield replace(self, calls=(call,))

    def describe(self) -> str:
        """Return all fields, one part a line."""
        settings = [f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.name not in PARTS]
        listed = [f"  {part}" for name in PARTS for part in getattr(self, name)]
        return "\n".join(["  " + ", ".join(settings), *listed])


PARTS = ("asked", "pressed", "windows", "crashes", "events", "by_hand")


def draw(seed: int) -> Scenario:
    """Return the scenario of *seed*: mostly small ones, a few with many requests."""
    return add_options(draw_plain(seed))


def add_options(scenario: Scenario) -> Scenario:
    """Return the scenario with options added: callbacks, personal settings, large images, few tasks, an empty account,
    a private thread.

    Each option has a random generator of its own, so that the rest of the scenario doesn't change.
    """
    seed = scenario.seed
    topics = ("rooms", "callbacks", "pings", "sizes", "tasks")
    has, calls, pings, sizes, tasks = (random.Random(f"{seed}:{what}") for what in topics)
    if has.random() < 0.3:
        scenario = replace(scenario, calls=tuple(calls.choice(CALLS) for _ in range(5)))
        if calls.random() < 0.5:  # calls matter most where the answer to the POST was lost
            begins = calls.choice(scenario.asked).at
            lost = Window("post", calls.choice(LOST_ANSWERS), begins, begins + 30.0, 0.6)
            scenario = replace(scenario, windows=(*scenario.windows, lost))
    if has.random() < 0.4:
        scenario = replace(scenario, pings=tuple(pings.choice(PINGS) for _ in range(3)))
    if has.random() < 0.2:
        scenario = replace(
            scenario,
            sizes=tuple(sizes.choice(("usual", "usual", "usual", "huge")) for _ in range(5)),
            asked=tuple(replace(asked, limit=sizes.choice(LIMITS)) for asked in scenario.asked),
            bot_limit=sizes.choice(LIMITS),
        )
    if has.random() < 0.2:
        scenario = replace(scenario, task_limit=tasks.choice((1, 1, 2)))
    if has.random() < 0.15:
        scenario = replace(scenario, token_only_channels=(has.choice(scenario.asked).channel,))
    account = random.Random(f"{seed}:account")
    if account.random() < 0.15:
        begins = min(asked.at for asked in scenario.asked)
        empty = Window("post", "402", begins, begins + account.choice((20.0, 60.0, 120.0)), EMPTY)
        first = len(scenario.asked)
        more = (Asked(first + k, begins + account.uniform(0.0, 40.0), k, 1, False, 0) for k in range(3))
        scenario = replace(scenario, windows=(empty, *scenario.windows), asked=(*scenario.asked, *more))
    archived = random.Random(f"{seed}:archive")
    token_only = [asked for asked in scenario.asked if asked.private or asked.channel in scenario.token_only_channels]
    if archived.random() < 0.3:  # a token-only card, if there is one
        asked = archived.choice(token_only or scenario.asked)
        at = asked.at + archived.uniform(1.0, 8.0)
        scenario = replace(scenario, events=(*scenario.events, Event("archive", at, asked.channel, 0.0)))
    return scenario


def draw_plain(seed: int) -> Scenario:
    """Return the scenario of *seed* without the options of add_options."""
    rng = random.Random(seed)
    ends = rng.uniform(60.0, 120.0)
    processes = rng.choice((1, 1, 2))
    shortest = rng.choice((1.0, 4.0, 12.0))
    scenario = Scenario(
        seed=seed,
        processes=processes,
        period=rng.choice((CreditPeriod.HOUR, CreditPeriod.DAY, CreditPeriod.DAY, CreditPeriod.NEVER)),
        boundary_at=ends,
        allowance=rng.choice((10, 13, 20, 50)),
        per_user=rng.choice((1, 2, 3)),
        in_flight=rng.choice((1, 2, 4, 20)),
        queue=rng.choice((1, 4, 100, 100)),
        deadline=rng.choice((60, 120, 900)),
        task_seconds=(shortest, shortest * rng.choice((1.2, 3.0, 8.0))),
        idle_seconds=rng.uniform(5.0, 20.0),
        closed_dms=tuple(person for person in range(3) if rng.random() < 0.3),
        ends=ends,
    )
    asked = tuple(_asked(rng, number, ends) for number in range(rng.choice((1, 1, 1, 2, 2, 3, 5))))
    return replace(
        scenario,
        asked=asked,
        boundary_at=max(1.0, rng.choice(asked).at + rng.uniform(-5.0, 25.0)),  # while credits may be held
        pressed=tuple(_pressed(rng, one) for one in asked if rng.random() < 0.25),
        windows=tuple(_window(rng, rng.choice(asked).at, ends) for _ in range(rng.choice((0, 1, 2, 3)))),
        crashes=tuple(_crash(rng, life) for life in range(rng.choice((0, 1, 1, 2, 3))) if rng.random() < 0.8),
        events=tuple(_event(rng, processes, len(asked), ends) for _ in range(rng.choice((0, 0, 1, 2, 3)))),
        outcomes=tuple(rng.choice(OUTCOMES) for _ in range(7)) if rng.random() < 0.4 else ("success",),
    )


def _asked(rng: random.Random, number: int, ends: float) -> Asked:
    return Asked(
        number,
        at=rng.uniform(0.5, ends * 0.6),
        person=rng.randrange(3),
        count=rng.choice((1, 1, 1, 2, 2, 3, 4)),
        private=rng.random() < 0.25,
        channel=rng.randrange(2),
        late=rng.choice((0.0,) * 8 + (2.5, 8.0)),
        again_after=rng.choice((None,) * 7 + (0.0, 0.05, 1.5)),
    )


def _pressed(rng: random.Random, asked: Asked) -> Pressed:
    return Pressed(asked.at + rng.choice((0.5, 1.0, 3.0, 20.0)) * rng.uniform(0.5, 1.5), asked.number, asked.person)


def _window(rng: random.Random, asked_at: float, ends: float) -> Window:
    kind = rng.choice(("post", "post", "poll", "image", "discord", "discord", "discord", "database"))
    begins = max(0.0, asked_at + (rng.uniform(-3.0, 1.0) if kind == "post" else rng.uniform(-3.0, 25.0)))
    way = rng.choice(FAULTS[kind]) if rng.random() < 0.6 else ""
    probability = rng.choice((0.2, 0.5, 0.9) if kind != "database" else (0.03, 0.1, 0.3))
    return Window(kind, way, begins, begins + rng.choice((5.0, 30.0, ends)), probability)


def _crash(rng: random.Random, life: int) -> Crash:
    moment = rng.choice(("", *MOMENTS))
    step = round(10 ** rng.uniform(1.0, 3.3)) if not moment else rng.choice((1, 1, 2, 3, 5, 8, 15, 30))
    nth = rng.choice((1, 1, 2, 3)) * (1 if moment != "commit" else rng.randrange(1, 12))
    sleeps = rng.choice((0.0, 0.0, 0.0, 4.0, 14.0, 25.0))
    return Crash(life, step, rng.choice((0.1, 2.0, 6.0, 15.0)), moment, nth, sleeps)


def _event(rng: random.Random, processes: int, requests: int, ends: float) -> Event:
    kind = rng.choice(("drain", "pause", "pause", "jump", "close", "delete", "balance"))
    at = rng.uniform(0.0, ends * 0.8)
    match kind:
        case "drain":
            return Event(kind, at, rng.randrange(processes), rng.uniform(0.0, 10.0))
        case "pause":
            return Event(kind, at, rng.randrange(processes), rng.choice((3.0, 9.0, 15.0, 40.0)))
        case "jump":
            seconds = rng.choice((1.0, 20.0, 600.0, 3600.0)) * rng.choice((-1, 1))
            return Event(kind, at, rng.randrange(processes), min(seconds, 3600.0) if seconds > -3600 else -600.0)
        case "close":
            return Event(kind, at, rng.randrange(2), rng.uniform(5.0, 60.0))
        case "delete":
            return Event(kind, at, rng.randrange(requests))
        case _:
            return Event(kind, at, rng.randrange(3))
