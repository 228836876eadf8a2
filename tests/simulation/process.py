"""One process of the bot: the product's services, built as bot.py builds them, over the simulated environment."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from discord.webhook.async_ import async_context

from generations.model import Request
from generations.worker.loop import IDLE_SECONDS, HandedOut
from limits.model import Requester
from qwen.client import QwenClient, Sessions
from qwen.images import ImageDownloader
from qwen.models import OutputFormat, Size
from services.build import build_services
from services.resources import Resources
from settings import Settings
from store.database import Database
from tests.doubles import make_settings
from tests.simulation.calls import Call
from tests.simulation.changes import ACTIONS, OWNER
from tests.simulation.disk import Disk, SimulatedTransactions
from tests.simulation.fake_discord import FakeDiscord, Interaction
from tests.simulation.image_api import API_URL, HOST, PUBLIC_URL, STORE_HOST, ImageApi, Session
from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.scenario import Asked, Scenario
from tests.simulation.wire import Client, Webhooks
from ui.interactions.buttons import CancelButton
from ui.interactions.errors import handle_errors


@dataclass(slots=True)
class SimulatedClock:
    """The clocks of one process. The wall clock can be moved; the monotonic one starts at any value."""

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


def sleep_when_idle(worker: Any, seconds: float, disk: Disk) -> None:
    """Let *worker* sleep up to *seconds* while nothing falls due, to save simulated rounds.

    It sees changes of other processes when it wakes.
    """
    real_until_next_due = worker._until_next_due

    def until_next_due(handed_out: HandedOut) -> float:
        wait = real_until_next_due(handed_out)
        if wait < IDLE_SECONDS or worker._running:
            return wait
        (due_ms,) = disk.ask("SELECT min(max(due_at_ms, coalesce(lease_until_ms, 0))) FROM generations")[0]
        (waiting,) = disk.ask("SELECT count(*) FROM images WHERE state = 'requested' AND admitted_at_ms IS NULL")[0]
        if waiting:
            return min(seconds, 3.0)
        return min(seconds, max(wait, (due_ms - worker._clock.now_ms()) / 1000)) if due_ms else seconds

    worker._until_next_due = until_next_due


@dataclass
class Environment:
    """What all processes of a run share and what outlives them."""

    scenario: Scenario
    loop: VirtualLoop
    disk: Disk
    api: ImageApi
    discord: FakeDiscord
    start_ms: int
    answered: set[int] = field(default_factory=set[int])  # interactions of actions by hand that raised nothing


class Process:
    """One process. Construct it in a task of *life* only: see VirtualLoop.spawn."""

    def __init__(self, environment: Environment, life: Life, offset_ms: int) -> None:
        scenario = environment.scenario
        self.environment = environment
        self.life = life
        self.clock = SimulatedClock(environment.loop, environment.start_ms, offset_ms, 1000.0 * len(life.name))
        rng = random.Random(f"{scenario.seed} {life.name}")
        async_context.set(Webhooks(environment.discord))
        session: Any = Session(environment.api, life)
        sleep, hosts = self.clock.sleep, frozenset({HOST, STORE_HOST})
        resources = Resources(
            Database(SimulatedTransactions(environment.disk, life)),
            shared=True,
            service=QwenClient(Sessions(session, session), api_url=API_URL, api_key="key", sleep=sleep, rng=rng),
            store=ImageDownloader(session, allowed_hosts=hosts, max_bytes=1 << 20, sleep=sleep, rng=rng),
            clock=self.clock,
            rng=rng,
            owner=life.name,
            token_bytes=random.Random(f"{scenario.seed} {life.name} tokens").randbytes,
        )
        self.client = Client(environment.loop, environment.discord)
        self.services = build_services(settings_of(scenario), resources, self.client)
        sleep_when_idle(self.services.worker, scenario.idle_seconds, environment.disk)

    async def imagine(self, asked: Asked, interaction: Interaction) -> None:
        """Handle a command as cogs/imagine.py does."""
        event = self.client.interaction(interaction, {"id": "1", "name": "imagine", "type": 1}, 2)
        request = Request(
            prompt=f"a lighthouse in a storm {asked.number}", size=Size.SQUARE, seed=0, format=OutputFormat.PNG,
            count=asked.count, private=asked.private,
        )  # fmt: skip
        await handle_errors(event, self.services.first_response.respond(event, request))

    async def press(self, generation_id: int, interaction: Interaction, card: dict[str, Any]) -> None:
        event = self.client.interaction(interaction, {"component_type": 2, "custom_id": "x"}, 3, message=card)
        await CancelButton(generation_id).callback(event)

    async def change(self, action: str, interaction: Interaction) -> None:
        """Do an action of changes.ACTIONS."""
        if await ACTIONS[action].perform(self, interaction):
            self.environment.answered.add(interaction.id)

    async def balance(self, user_id: int) -> None:
        await self.services.generations.statement(Requester(user_id, None, 0))

    async def called(self, call: Call) -> None:
        """Handle a callback as web/callback_routes.py does."""
        callbacks = self.services.callbacks
        assert callbacks is not None
        callback = await callbacks.recognise(call.token)
        if callback is not None:
            call.known = True
            await callbacks.handle(callback, call.body)
            call.handled, call.handled_at = True, self.environment.loop.time()

    async def run(self) -> None:
        await self.services.worker.run()

    async def drain(self) -> None:
        """Drain as bot.py does after SIGTERM."""
        await self.services.drain()

    @property
    def is_idle(self) -> bool:
        """Whether no step, edit, ping or alert is under way."""
        senders = self.services.senders
        is_sending = senders.delivery._tasks or senders.pings._sending or senders.operator._telling
        is_telling = senders.guild_log.is_posting or senders.report_notices._working
        return not (self.services.worker._running or is_sending or is_telling)


def settings_of(scenario: Scenario) -> Settings:
    """The settings of the simulated bot; environment variables are ignored."""
    return make_settings(
        qwen_max_tasks=scenario.in_flight,
        credits_per_period=scenario.allowance,
        credit_period=scenario.period,
        max_images_per_user=scenario.per_user,
        max_queue=scenario.queue,
        requests_per_minute=0,
        task_deadline_seconds=scenario.deadline,
        retention_days=0,
        owner_ids=(OWNER,),
        spend_limit_day=scenario.spend_day,
        public_url=PUBLIC_URL if scenario.calls else "",
    )
