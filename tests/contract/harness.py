"""OpenedTwice parts of the contract tests: a clock, user ids, and short methods to write and read rows."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest

from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from credits.model import Balance
from generations import records
from generations.model import Generation, Image, Origin, Request, State
from generations.service import Accepted, Generations
from limits.request_limits import RequestLimits
from limits.usage import SpendLimits
from store.database import Database
from store.transactions import Transaction
from tests.doubles import requester_of

MIRA, OTTO, YUKI = 101, 102, 103
DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2  # 2024-10-04, 12:00 UTC
CHANNEL, GUILD = 700, 800
DEADLINE_SECONDS = 600


# For what can't differ between the two databases, where another test runs its statements on both.
ON_SQLITE = pytest.mark.parametrize("make_database", ["sqlite"], indirect=True)


class MovableClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


def daily(credits: int = 50) -> Allowance:
    return Allowance(credits, CreditPeriod.DAY, ZoneInfo("UTC"))


@dataclass
class Harness:
    """The services of one process that write rows: ledger and generations."""

    database: Database
    ledger: Ledger
    clock: MovableClock
    generations: Generations
    nudges: list[int]
    announced: list[int]

    async def ask(
        self, generation_id: int, user_id: int = MIRA, *, count: int = 1, answered: bool = True, private: bool = False
    ) -> Generation:
        """Make a request and, if *answered*, confirm its card (message id = 9000 + generation id) and make it due."""
        request = Request("a lighthouse", seed=5, count=count, private=private)
        await self.request(request, origin(generation_id, user_id))
        if answered:
            await self.generations.confirm_card(generation_id, 9000 + generation_id)
            await self.database.run(records.make_due, generation_id, self.clock.at_ms)
        return await self.load(generation_id)

    async def request(self, request: Request, origin: Origin) -> Accepted:
        """Make a request as somebody without roles."""
        return await self.generations.request(request, origin, requester_of(origin))

    async def load(self, generation_id: int) -> Generation:
        generation = await self.database.run(records.load, generation_id)
        assert generation is not None
        return generation

    async def image(self, generation_id: int, position: int = 0) -> Image:
        return (await self.load(generation_id)).images[position]

    async def admit(self, *, max_in_flight: int = 100, max_per_user: int = 3, max_per_guild: int = 0) -> list[int]:
        return await self.database.run(
            records.admit,
            now_ms=self.clock.at_ms,
            max_in_flight=max_in_flight,
            max_per_user=max_per_user,
            max_per_guild=max_per_guild,
        )

    async def claim(self, *, lease_holder: str = "one", limit: int = 100, lease_ms: int = 20_000) -> list[Generation]:
        now_ms = self.clock.at_ms
        return await self.database.run(
            records.claim_due, lease_holder=lease_holder, now_ms=now_ms, lease_until_ms=now_ms + lease_ms, limit=limit
        )

    async def move(self, image: Image, *targets: State, fence: int | None = None) -> Image:
        def move(tx: Transaction, moved: Image) -> Image:
            for target in targets:
                moved = records.move(tx, moved, target, fence=fence)
            return moved

        return await self.database.run(move, image)

    async def balance(self, user_id: int = MIRA) -> Balance:
        return await self.database.run(self.ledger.balance, user_id, self.clock.at_ms)

    async def numbers(self, user_id: int = MIRA) -> tuple[int, int]:
        """Return (available, held)."""
        balance = await self.balance(user_id)
        return balance.available, balance.held


def make_harness(
    database: Database,
    *,
    credits: int = 50,
    max_queue: int = 100,
    max_in_flight: int = 100,
    requests_per_minute: int = 0,
    spend: SpendLimits | None = None,
) -> Harness:
    ledger, clock, nudges, announced = Ledger(daily(credits)), MovableClock(), list[int](), list[int]()
    generations = Generations(
        database,
        ledger,
        RequestLimits(database, ZoneInfo("UTC"), spend),
        clock,
        max_queue=max_queue,
        max_per_user=3,
        slots=lambda: max_in_flight,
        requests_per_minute=requests_per_minute,
        nudge=lambda: nudges.append(clock.at_ms),
        announce=lambda _: announced.append(clock.at_ms),
        deadline_seconds=DEADLINE_SECONDS,
    )
    return Harness(database, ledger, clock, generations, nudges, announced)


def origin(generation_id: int, user_id: int = MIRA) -> Origin:
    return Origin(
        interaction_id=generation_id,
        application_id=1,
        user_id=user_id,
        channel_id=CHANNEL,
        guild_id=GUILD,
        token=f"token of {generation_id}",
        attachment_size_limit=10_000_000,
    )
