"""A worker with everything real but its neighbours: rows on SQLite, the real ledger and service, a clock by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credits.model import Balance
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.model import Generation, Origin, Request, State
from images.image_memory import ImageMemory
from services import Resources, build_core
from settings import Settings
from store.database import Database, open_database
from tests.doubles import Bell, ManualClock, ScriptedService, Shelf, Wall, make_settings

MIRA, JONAS = 501, 502


@dataclass
class Workshop:
    """One process as the tests see it. `restart()` is another process over the same rows."""

    database: Database
    clock: ManualClock
    service: ScriptedService
    shelf: Shelf
    wall: Wall
    bell: Bell
    max_in_flight: int = 20
    max_per_user: int = 3
    deadline_seconds: int = 900
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again with nothing but the rows, as a new process does."""
        resources = Resources(
            self.database,
            shared=False,
            service=self.service,
            store=self.shelf,
            clock=self.clock,
            rng=random.Random(7),
            owner=f"process-{next(self.numbers)}",
        )
        core = build_core(self.settings(), resources, ImageMemory(), self.wall, self.bell, None)
        self.ledger, self.generations = core.ledger, core.generations
        self.context, self.worker = core.context, core.worker
        self.history, self.privacy = core.history, core.privacy

    def settings(self) -> Settings:
        return make_settings(
            qwen_max_tasks=self.max_in_flight,
            max_images_per_user=self.max_per_user,
            task_deadline_seconds=self.deadline_seconds,
            requests_per_minute=0,
            retention_days=0,
        )

    def new_id(self) -> int:
        return snowflake_at(self.clock.now_ms()) | next(self.numbers)

    async def imagine(self, *, user_id: int = MIRA, count: int = 1, answered: bool = True) -> int:
        """What /imagine does: ask, and confirm that Discord took the card. Returns the generation's id."""
        origin = Origin(
            interaction_id=self.new_id(), application_id=1, user_id=user_id, channel_id=2, guild_id=3,
            token="token", attachment_size_limit=10 * 1024 * 1024,
        )  # fmt: skip
        request = Request(prompt="a lighthouse in a storm", seed=42, count=count)
        generation = await self.generations.request(request, origin)
        if answered:
            await self.generations.confirm_card(generation.id, 777)
        return generation.id

    async def pass_time(self, seconds: float, *, stride: float = 1.0) -> None:
        """Let time pass second by second, with the worker doing what falls due."""
        for _ in range(round(seconds / stride)):
            self.clock.advance(stride)
            await self.worker.step()

    async def load(self, generation_id: int) -> Generation:
        async with self.database.transaction() as tx:
            found = await records.load(tx, generation_id)
        assert found is not None
        return found

    async def states(self, generation_id: int) -> list[State]:
        return [image.state for image in (await self.load(generation_id)).images]

    async def balance(self, user_id: int = MIRA) -> Balance:
        async with self.database.transaction() as tx:
            return await self.ledger.balance(tx, user_id, self.clock.now_ms())

    async def money(self, user_id: int = MIRA) -> tuple[int, int]:
        """(available, held), after proving that the ledger still adds up."""
        balance = await self.balance(user_id)
        async with self.database.transaction() as tx:
            assert list(await self.ledger.audit(tx)) == []
        return balance.available, balance.held


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    clock = ManualClock()
    async with open_database(f"sqlite:///{tmp_path}/worker.db") as database:
        await database.migrate()
        yield Workshop(database, clock, ScriptedService(clock), Shelf(), Wall(), Bell())
