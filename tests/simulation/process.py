"""One process of the bot: the product's own objects, joined as bot.py joins them, over the simulated world."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from discord.webhook.async_ import async_context

from credits.allowance import Allowance
from credits.ledger import Ledger
from generations.callbacks import Callbacks
from generations.context import StepContext
from generations.freshness import Freshness
from generations.model import Request
from generations.pace import Pace
from generations.pings import PingDecisions
from generations.ports import Delivery, ImageService
from generations.service import Generations
from generations.throttle import Throttle
from generations.worker import IDLE_SECONDS, Limits, Worker
from qwen.client import QwenClient
from qwen.images import ImageDownloader
from qwen.models import OutputFormat, Size
from tests.simulation.calls import Call
from tests.simulation.discord_world import DiscordWorld, Interaction
from tests.simulation.disk import Databases, Disk
from tests.simulation.image_api import API_URL, HOST, PUBLIC_URL, ImageApi, Session
from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.scenario import Asked, Scenario
from tests.simulation.wire import Client, Webhooks
from ui.answers import answering
from ui.buttons import CancelButton
from ui.delivery import DiscordDelivery
from ui.opening import Opening
from ui.pings import CardPings


@dataclass(slots=True)
class SimulatedClock:
    """A process' own clocks: the wall clock can be moved, the monotonic one begins anywhere."""

    loop: VirtualLoop
    start_ms: int
    offset_ms: int = 0
    monotonic_offset: float = 0.0

    def now_ms(self) -> int:
        return self.start_ms + self.offset_ms + round(self.loop.time() * 1000)

    def monotonic(self) -> float:
        return self.loop.time() + self.monotonic_offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LeapingWorker(Worker):
    """The worker as it is, but asleep while nothing can fall due: an idle second of a simulation costs as much as a
    busy one. What other processes do is noticed when it wakes, *leap* seconds later at most."""

    leap = 10.0
    disk: Disk

    async def _until_next_due(self) -> float:
        wait = await super()._until_next_due()
        if wait < IDLE_SECONDS or self._running:
            return wait
        (due_ms,) = self.disk.ask("SELECT min(max(due_at_ms, coalesce(lease_until_ms, 0))) FROM generations")[0]
        (waiting,) = self.disk.ask("SELECT count(*) FROM images WHERE state = 'requested' AND admitted_at_ms IS NULL")[
            0
        ]
        if waiting:
            return wait if wait < IDLE_SECONDS else min(self.leap, 3.0)
        return min(self.leap, max(wait, (due_ms - self._clock.now_ms()) / 1000)) if due_ms else self.leap


@dataclass
class Parts:
    """What a process is made of. A breakage puts something else in its place."""

    ledger: type[Ledger] = Ledger
    generations: type[Generations] = Generations
    worker: type[LeapingWorker] = LeapingWorker
    delivery: type[DiscordDelivery] = DiscordDelivery
    context: type[StepContext] = StepContext
    callbacks: type[Callbacks] = Callbacks
    decisions: type[PingDecisions] = PingDecisions
    pings: type[CardPings] = CardPings

    def service(self, client: ImageService) -> ImageService:
        return client


@dataclass
class Bell:
    """The operator, who is told of what only an operator can mend."""

    matters: list[str] = field(default_factory=list)

    def tell(self, matter: str, detail: str) -> None:
        self.matters.append(matter)


@dataclass
class World:
    """Everything that outlives a process."""

    scenario: Scenario
    loop: VirtualLoop
    disk: Disk
    databases: Databases
    api: ImageApi
    discord: DiscordWorld
    parts: Parts
    start_ms: int


class Process:
    """Made in the name of *life* alone: see VirtualLoop.spawn."""

    def __init__(self, world: World, life: Life, offset_ms: int) -> None:
        scenario = world.scenario
        self.world = world
        self.life = life
        self.clock = SimulatedClock(world.loop, world.start_ms, offset_ms, 1000.0 * len(life.name))
        rng = random.Random(f"{scenario.seed} {life.name}")
        async_context.set(Webhooks(world.discord))
        self.client = Client(world.loop, world.discord)
        database = world.databases.open(world.disk, life)
        allowance = Allowance(scenario.allowance, scenario.period, ZoneInfo("UTC"))
        ledger = world.parts.ledger(allowance)
        pace = Pace()
        self.generations = world.parts.generations(
            database, ledger, self.clock,
            max_queue=scenario.queue, max_per_user=scenario.per_user, max_in_flight=scenario.in_flight,
            nudge=lambda: self.worker.nudge(), typical_seconds=pace.typical_seconds,
        )  # fmt: skip
        self.delivery = world.parts.delivery(self.client, self.clock, Freshness(database, self.clock), rng=rng)
        session: Any = Session(world.api, life)
        client = QwenClient(session, api_url=API_URL, api_key="key", sleep=self.clock.sleep, rng=rng)
        downloads = ImageDownloader(
            session, allowed_hosts=frozenset({HOST}), max_bytes=1 << 20, sleep=self.clock.sleep, rng=rng
        )
        tokens = random.Random(f"{scenario.seed} {life.name} tokens")
        self.callbacks = world.parts.callbacks(
            database, self.clock, public_url=PUBLIC_URL, nudge=lambda: self.worker.nudge(),
            token_bytes=tokens.randbytes,
        ) if scenario.calls else None  # fmt: skip
        self.pings = (
            world.parts.pings(self.client, self.clock, world.parts.decisions(database, self.clock))
            if scenario.pings
            else None
        )
        context = world.parts.context(
            database=database, ledger=ledger, service=world.parts.service(client), store=downloads, operator=Bell(),
            clock=self.clock, rng=rng, pace=pace, throttle=Throttle(scenario.in_flight),
            deadline_seconds=scenario.deadline, callbacks=self.callbacks, pings=self.pings,
        )  # fmt: skip
        self.worker = world.parts.worker(
            context=context, service=self.generations, delivery=self.delivery,
            limits=Limits(per_user=scenario.per_user, in_flight=scenario.in_flight), owner=life.name,
        )  # fmt: skip
        self.worker.leap, self.worker.disk = scenario.leap, world.disk
        self.client.generations, self.client.clock = self.generations, self.clock
        delivery: Delivery = self.delivery
        self.opening = Opening(self.generations, delivery, self.clock, self.worker.showing.first_outlook)

    async def imagine(self, asked: Asked, interaction: Interaction) -> None:
        """What cogs/imagine.py does with a command."""
        event = self.client.interaction(interaction, {"id": "1", "name": "imagine", "type": 1}, 2)
        request = Request(
            prompt=f"a lighthouse in a storm {asked.number}", size=Size.SQUARE, seed=0, format=OutputFormat.PNG,
            count=asked.count, private=asked.private,
        )  # fmt: skip
        await answering(event, self.opening.open(event, request))

    async def press(self, generation_id: int, interaction: Interaction) -> None:
        event = self.client.interaction(interaction, {"component_type": 2, "custom_id": "x"}, 3)
        await CancelButton(generation_id).callback(event)

    async def balance(self, user_id: int) -> None:
        await self.generations.statement(user_id)

    async def called(self, call: Call) -> None:
        """What web.py does with a call."""
        assert self.callbacks is not None
        callback = await self.callbacks.recognise(call.token)
        if callback is not None:
            call.known = True
            await self.callbacks.heed(callback, call.body)
            call.heeded = True

    async def run(self) -> None:
        await self.worker.run()

    async def drain(self) -> None:
        """What bot.py does after SIGTERM."""
        self.generations.drain()
        await self.worker.drain()
        await self.delivery.drain()
        if self.pings is not None:
            await self.pings.drain()

    @property
    def rests(self) -> bool:
        """Whether nothing is under way."""
        return not (self.worker._running or self.delivery._tasks or (self.pings and self.pings._sending))
