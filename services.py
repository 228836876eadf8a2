"""Joins the parts of one process, once what they stand on is open: for bot.py, and for the simulation of it.

Opens nothing, starts nothing and reads no environment; knows every room but the cogs.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from credits.allowance import Allowance
from credits.ledger import Ledger
from generations.callbacks import Callbacks
from generations.clock import Clock, Deadline
from generations.follow_ups import FollowUps
from generations.pings import PingDecisions
from generations.poll_schedule import PollSchedule
from generations.ports import ImageService, ImageStore
from generations.service import Generations
from generations.stale_edits import StaleEditGuard
from generations.token_only_channels import TokenOnlyChannels
from generations.worker.context import StepContext
from generations.worker.loop import Worker
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory
from settings import Settings
from store.database import Database
from ui.delivery import cards as delivery
from ui.delivery import owner_alerts as operator
from ui.delivery import pings
from ui.delivery.cards import DiscordDelivery
from ui.delivery.owner_alerts import OwnerAlerts
from ui.delivery.pings import CardPings
from ui.interactions.buttons import card_buttons
from ui.interactions.card_deletion import CardDeletion
from ui.interactions.first_response import FirstResponse
from ui.interactions.responses import Desk, open_desk

if TYPE_CHECKING:
    import discord


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parts of one process stand on. *shared*: other processes may use this database too. *owner*: the name
    of this process, which no other one has."""

    database: Database
    shared: bool
    service: ImageService
    store: ImageStore
    clock: Clock
    rng: random.Random
    owner: str
    token_bytes: Callable[[int], bytes] = secrets.token_bytes  # for what nobody may guess


@dataclass(frozen=True)
class Kinds:
    """Which class each part is made of."""

    ledger: type[Ledger] = Ledger
    generations: type[Generations] = Generations
    worker: type[Worker] = Worker
    delivery: type[DiscordDelivery] = DiscordDelivery
    context: type[StepContext] = StepContext
    callbacks: type[Callbacks] = Callbacks
    decisions: type[PingDecisions] = PingDecisions
    pings: type[CardPings] = CardPings


DRAIN_SECONDS = 21.0
LAST_CALLS_SECONDS = 3.0  # of them for shows, pings and messages to the owner whose step has ended


class Joined:
    """A discord.Client with the parts of its process, which cogs, buttons and forms find there."""

    settings: Settings
    database: Database
    ledger: Ledger
    generations: Generations
    worker: Worker
    token_only: TokenOnlyChannels
    delivery: DiscordDelivery
    operator: OwnerAlerts
    pings: CardPings
    first_response: FirstResponse
    card_deletion: CardDeletion
    desk: Desk
    callbacks: Callbacks | None
    clock: Clock
    rng: random.Random

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take nothing more, and finish what is in flight within *seconds*.

        First the worker's steps, whose shows, pings and messages run beside them; then what of these is left.
        """
        deadline = Deadline(self.clock, seconds)
        self.generations.drain()
        await self.worker.drain(deadline.left(reserve=LAST_CALLS_SECONDS))
        rest = (
            (self.delivery, delivery.DRAIN_SECONDS),
            (self.pings, pings.DRAIN_SECONDS),
            (self.operator, operator.DRAIN_SECONDS),
        )
        await asyncio.gather(*(part.drain(min(most, deadline.left())) for part, most in rest))


def join(bot: Joined, settings: Settings, ground: Ground, kinds: Kinds | None = None) -> None:
    """Make the parts and give them to *bot*."""
    kinds, client, clock = kinds or Kinds(), cast("discord.Client", bot), ground.clock
    bot.settings, bot.database, bot.clock, bot.rng = settings, ground.database, clock, ground.rng
    bot.ledger = kinds.ledger(Allowance(settings.credits_per_period, settings.credit_period, settings.timezone))
    stale_edit_guard = StaleEditGuard(ground.database, clock) if ground.shared else None
    images = ImageMemory(settings.image_memory_mb * 1024 * 1024)
    bot.token_only = TokenOnlyChannels(clock, ground.database)
    bot.delivery = kinds.delivery(
        client,
        clock,
        stale_edit_guard,
        bot.token_only,
        FollowUps(ground.database, clock),
        rng=ground.rng,
        images=images,
        buttons=card_buttons,
    )
    bot.operator = OwnerAlerts(client, clock, settings.owner_ids)
    bot.pings = kinds.pings(client, clock, kinds.decisions(ground.database, clock), bot.token_only)
    bot.callbacks = _callbacks(bot, ground, kinds)
    schedule, throttle = PollSchedule(), Throttle(settings.qwen_max_tasks)
    bot.generations = kinds.generations(
        ground.database,
        bot.ledger,
        clock,
        max_queue=settings.max_queue,
        max_per_user=settings.max_images_per_user,
        slots=lambda: throttle.slots.expected,
        requests_per_minute=settings.requests_per_minute,
        nudge=lambda: bot.worker.nudge(),
        typical_seconds=schedule.typical_seconds,
    )
    bot.desk = open_desk(
        bot,
        ground.database,
        bot.ledger,
        ground.store,
        owner=ground.owner,
        retention_days=settings.retention_days,
        images=images,
    )
    bot.worker = kinds.worker(
        context=_context(bot, ground, kinds, schedule, throttle, images),
        service=bot.generations,
        delivery=bot.delivery,
        max_per_user=settings.max_images_per_user,
        owner=ground.owner,
    )
    bot.first_response = FirstResponse(
        bot.generations, bot.delivery, clock, bot.worker.publisher.first_progress, bot.token_only, buttons=card_buttons
    )
    bot.card_deletion = CardDeletion(client, bot.generations, clock)


def _callbacks(bot: Joined, ground: Ground, kinds: Kinds) -> Callbacks | None:
    """What the image API is given to call back on; None when it can't reach us."""
    if not bot.settings.public_url:
        return None
    return kinds.callbacks(
        ground.database.in_background(),  # strangers' calls don't stand before commands
        ground.clock,
        public_url=bot.settings.public_url,
        nudge=lambda: bot.worker.nudge(),
        token_bytes=ground.token_bytes,
    )


def _context(
    bot: Joined, ground: Ground, kinds: Kinds, schedule: PollSchedule, throttle: Throttle, images: ImageMemory
) -> StepContext:
    return kinds.context(
        database=ground.database.in_background(),
        ledger=bot.ledger,
        service=ground.service,
        store=ground.store,
        operator=bot.operator,
        pings=bot.pings,
        clock=ground.clock,
        rng=ground.rng,
        schedule=schedule,
        throttle=throttle,
        deadline_seconds=bot.settings.task_deadline_seconds,
        callbacks=bot.callbacks,
        retention_days=bot.settings.retention_days,
        images=images,
        maintenance=(bot.desk.privacy.run_maintenance,),
    )
