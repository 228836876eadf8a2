"""A real worker, ledger and service over SQLite, with fakes for the image API, image store, delivery and clock."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest

from credits.model import Balance
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.model import Generation, Origin, Request, State
from generations.service import Accepted
from images.image_memory import ImageMemory
from observability.metrics import NO_METRICS, Metrics
from services.resources import Resources
from services.use_cases import build_request_limits, build_use_cases
from settings import Settings
from store.database import Database
from tests.doubles import (
    FakeDelivery,
    FakeImageStore,
    FakeOperator,
    ManualClock,
    ScriptedService,
    make_settings,
    requester_of,
)

MIRA, JONAS = 501, 502


@dataclass
class WorkerHarness:
    """The services of one process. `restart()` replaces them by another process over the same rows."""

    database: Database
    clock: ManualClock
    service: ScriptedService
    image_store: FakeImageStore
    delivery: FakeDelivery
    operator: FakeOperator
    max_in_flight: int = 20
    max_per_user: int = 3
    max_per_guild: int = 0
    requests_per_minute: int = 0
    deadline_seconds: int = 900
    shared: bool = False
    metrics: Metrics = NO_METRICS
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Build all services anew, as a new process does; only the rows stay."""
        resources = Resources(
            self.database,
            shared=self.shared,
            service=self.service,
            store=self.image_store,
            clock=self.clock,
            rng=random.Random(7),
            owner=f"process-{next(self.numbers)}",
            metrics=self.metrics,
        )
        settings = self.settings()
        limits = build_request_limits(settings, self.database)
        use_cases = build_use_cases(settings, resources, ImageMemory(), limits, self.delivery, self.operator, None)
        self.ledger, self.generations = use_cases.ledger, use_cases.generations
        self.context, self.worker = use_cases.context, use_cases.worker
        self.history, self.privacy = use_cases.history, use_cases.privacy

    def settings(self) -> Settings:
        return make_settings(
            qwen_max_tasks=self.max_in_flight,
            max_images_per_user=self.max_per_user,
            max_images_per_guild=self.max_per_guild,
            task_deadline_seconds=self.deadline_seconds,
            requests_per_minute=self.requests_per_minute,
            retention_days=0,
        )

    def new_id(self) -> int:
        return snowflake_at(self.clock.now_ms()) | next(self.numbers)

    async def accept(self, *, user_id: int = MIRA, count: int = 1) -> Accepted:
        """Make a request as /imagine does."""
        origin = Origin(
            interaction_id=self.new_id(), application_id=1, user_id=user_id, channel_id=2, guild_id=3,
            token="token", attachment_size_limit=10 * 1024 * 1024,
        )  # fmt: skip
        request = Request("a lighthouse in a storm", seed=42, count=count)
        return await self.generations.request(request, origin, requester_of(origin))

    async def imagine(self, *, user_id: int = MIRA, count: int = 1, answered: bool = True) -> int:
        """Make a request as /imagine does and, if *answered*, confirm its card. Return the generation's id."""
        generation = (await self.accept(user_id=user_id, count=count)).generation
        if answered:
            await self.generations.confirm_card(generation.id, 777)
        return generation.id

    async def pass_time(self, seconds: float, *, stride: float = 1.0) -> None:
        """Advance the clock by *stride* seconds at a time, with one worker step after each."""
        for _ in range(round(seconds / stride)):
            self.clock.advance(stride)
            await self.worker.step()

    async def load(self, generation_id: int) -> Generation:
        found = await self.database.run(records.load, generation_id)
        assert found is not None
        return found

    async def states(self, generation_id: int) -> list[State]:
        return [image.state for image in (await self.load(generation_id)).images]

    async def balance(self, user_id: int = MIRA) -> Balance:
        return await self.database.run(self.ledger.balance, user_id, self.clock.now_ms())

    async def money(self, user_id: int = MIRA) -> tuple[int, int]:
        """Return (available, held), after an audit of the ledger."""
        balance = await self.balance(user_id)
        assert list(await self.database.run(self.ledger.audit)) == []
        return balance.available, balance.held


@pytest.fixture
def harness(empty_sqlite: Database) -> WorkerHarness:
    clock = ManualClock()
    return WorkerHarness(empty_sqlite, clock, ScriptedService(clock), FakeImageStore(), FakeDelivery(), FakeOperator())
