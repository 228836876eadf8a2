"""Builds the services of one process from its settings and open resources, for bot.py, the simulation and the tests.

Opens nothing, starts nothing and reads no environment. Must not know the cogs.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from charts.service import UsagePictures
from credits.allowance import Allowance
from credits.ledger import Ledger
from discord_api.guild_list import GuildList
from generations import records
from generations.callbacks import Callbacks
from generations.clock import Clock, DatabaseClock, Deadline
from generations.follow_ups import FollowUps
from generations.history import History
from generations.poll_schedule import PollSchedule
from generations.ports import Delivery, ImageService, ImageStore, Operator, Pings
from generations.prices import price_of
from generations.privacy import Privacy
from generations.service import Generations
from generations.stale_edits import StaleEditGuard
from generations.token_only_channels import TokenOnlyChannels
from generations.worker.context import StepContext
from generations.worker.loop import Worker
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory
from limits import records as limit_records
from limits.request_limits import RequestLimits
from limits.service import Limits
from limits.spend_alerts import FULL_PERCENT, SpendAlert, SpendAlerts
from limits.usage import SpendLimits
from people.service import People
from processes.model import Presence
from processes.service import Processes
from processes.wakeups import WORK, keep_listening
from reports.service import Reports
from settings import Settings
from store.database import Database
from store.errors import DatabaseLost
from store.key_values import load_value
from store.leases import take_lease
from store.notifications import notify
from store.transactions import Transaction
from ui.delivery import cards, owner_alerts, pings, report_notices
from ui.delivery.cards import DiscordDelivery
from ui.delivery.channel_lookup import ChannelLookup
from ui.delivery.guild_log import GuildLog
from ui.delivery.image_urls import Thumbnails
from ui.delivery.names import Names
from ui.delivery.owner_alerts import OwnerAlerts
from ui.delivery.pings import CardPings
from ui.delivery.report_notices import ReportNotices
from ui.interactions.buttons import card_buttons
from ui.interactions.card_deletion import CardDeletion
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.command_permissions import CommandPermissions
from ui.interactions.first_response import FirstResponse
from ui.interactions.report_decisions import report_buttons
from ui.texts import limits as texts_limits

DRAIN_SECONDS = 21.0
LAST_CALLS_SECONDS = 3.0  # of them for edits, pings and alerts that outlast the worker's steps


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process opens and all its services share.

    *shared*: other processes may use this database too. *owner*: the name of this process, which no other one has.
    *token_bytes*: a source of bytes that nobody can guess.
    """

    database: Database
    shared: bool
    service: ImageService
    store: ImageStore
    clock: Clock
    rng: random.Random
    owner: str
    token_bytes: Callable[[int], bytes] = secrets.token_bytes


@dataclass(frozen=True, slots=True)
class Core:
    """The services that know nothing of Discord."""

    ledger: Ledger
    generations: Generations
    history: History
    people: People
    privacy: Privacy
    limits: Limits
    request_limits: RequestLimits
    callbacks: Callbacks | None  # None: the image API is not asked to call back
    context: StepContext
    worker: Worker


@dataclass(frozen=True, slots=True)
class Services(InteractionServices):
    """All services of one process."""

    database: Database
    ledger: Ledger
    callbacks: Callbacks | None
    worker: Worker
    pings: CardPings
    operator: OwnerAlerts
    guild_list: GuildList
    presence: Presence
    processes: Processes | None  # None: no other process can use the database

    async def start(self) -> None:
        """Make this process known to those that share its database, and take over the database's clock.

        Call it before anything else is done, and stop() at the end.
        """
        if self.processes is not None:
            await self.processes.start()

    async def stop(self) -> None:
        """Tell the other processes that this one has ended."""
        if self.processes is not None:
            await self.processes.stop()

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take nothing more on, and finish what is in flight within *seconds*.

        First the worker's steps, beside which edits, pings and alerts are sent; then what is left of these. Requests
        that still come are refused, unless another process is there to make their images.
        """
        deadline = Deadline(self.clock, seconds)
        if self.processes is None or not self.processes.are_others:
            self.generations.drain()
        await self.worker.drain(deadline.left(reserve=LAST_CALLS_SECONDS))
        senders = (
            (self.delivery, cards.DRAIN_SECONDS),
            (self.pings, pings.DRAIN_SECONDS),
            (self.operator, owner_alerts.DRAIN_SECONDS),
            (self.report_notices, report_notices.DRAIN_SECONDS),
        )
        await asyncio.gather(*(sender.drain(min(most, deadline.left())) for sender, most in senders))


def build_services(settings: Settings, resources: Resources, client: ImagineClient) -> Services:
    """Build all services, and give *client* those that commands, buttons and forms use."""
    database_clock = DatabaseClock(resources.clock)
    if resources.shared:
        resources = replace(resources, clock=database_clock)
    database, clock, rng = resources.database, resources.clock, resources.rng
    images = ImageMemory(settings.image_memory_mb * 1024 * 1024)
    token_only = TokenOnlyChannels(clock, database)
    delivery = _build_delivery(resources, client, token_only, images)
    claim = partial(_claim_alert, resources) if resources.shared else None
    operator = OwnerAlerts(client, clock, settings.owner_ids, claim)
    card_pings = CardPings(client, clock, token_only)
    reports = Reports(database, clock, resources.store, images)
    rules = _build_request_limits(settings, database)
    notices = ReportNotices(client, reports, rules, operator.owners, report_buttons)
    core = build_core(settings, resources, images, delivery, operator, card_pings, maintenance=(notices.run_due,))
    presence, channels = Presence(), ChannelLookup(client, clock)
    first_progress = core.worker.publisher.first_progress
    services = Services(
        settings=settings,
        clock=clock,
        rng=rng,
        generations=core.generations,
        history=core.history,
        people=core.people,
        privacy=core.privacy,
        limits=core.limits,
        request_limits=core.request_limits,
        token_only=token_only,
        delivery=delivery,
        thumbnails=Thumbnails(client, clock),
        first_response=FirstResponse(
            core.generations, delivery, clock, first_progress, token_only, buttons=card_buttons, channels=channels
        ),
        card_deletion=CardDeletion(client, core.generations, clock),
        reports=reports,
        report_notices=notices,
        guild_log=GuildLog(client, channels),
        names=Names(client, clock),
        usage_pictures=UsagePictures(database, core.request_limits.calendar),
        command_permissions=CommandPermissions(
            client, clock, partial(database.read, load_value), settings.discord_api_url
        ),
        database=database,
        ledger=core.ledger,
        callbacks=core.callbacks,
        worker=core.worker,
        pings=card_pings,
        operator=operator,
        guild_list=_build_guild_list(resources, client),
        presence=presence,
        processes=_build_processes(settings, resources, database_clock, core, presence) if resources.shared else None,
    )
    client.services = services
    return services


def _build_delivery(
    resources: Resources, client: ImagineClient, token_only: TokenOnlyChannels, images: ImageMemory
) -> DiscordDelivery:
    database, clock = resources.database, resources.clock
    return DiscordDelivery(
        client,
        clock,
        StaleEditGuard(database, clock) if resources.shared else None,
        token_only,
        FollowUps(database, clock),
        rng=resources.rng,
        images=images,
        buttons=card_buttons,
    )


def build_core(
    settings: Settings,
    resources: Resources,
    images: ImageMemory,
    delivery: Delivery,
    operator: Operator,
    pings: Pings | None,
    *,
    maintenance: Sequence[Callable[[], Awaitable[None]]] = (),
) -> Core:
    """Build the services that know nothing of Discord. *pings* None: nobody is pinged. *maintenance*: of others.

    The worker and callbacks get the database in the background, so that they hold up no command.
    """
    database, clock = resources.database, resources.clock
    ledger = Ledger(Allowance(settings.credits_per_period, settings.credit_period, settings.timezone))
    schedule, throttle = PollSchedule(), Throttle(settings.qwen_max_tasks)

    def nudge() -> None:
        worker.nudge()

    def announce(tx: Transaction) -> None:
        """Wake the other processes if this one can't take the work on."""
        if resources.shared and not worker.is_free():
            notify(tx, WORK)

    limits = _build_request_limits(settings, database)
    generations = _build_generations(settings, resources, ledger, limits, schedule, throttle, nudge, announce)
    callbacks = _build_callbacks(settings, resources, nudge, announce)
    privacy = Privacy(database, ledger, clock, resources.rng, limits.calendar, retention_days=settings.retention_days)
    spend_alerts = _build_spend_alerts(settings, resources, limits, operator)
    context = StepContext(
        database=database.in_background(),
        ledger=ledger,
        service=resources.service,
        store=resources.store,
        operator=operator,
        pings=pings,
        clock=clock,
        rng=resources.rng,
        schedule=schedule,
        throttle=throttle,
        deadline_seconds=settings.task_deadline_seconds,
        shared_as=resources.owner if resources.shared else None,
        callbacks=callbacks,
        retention_days=settings.retention_days,
        images=images,
        wake_others=_wake_others,
        maintenance=(privacy.run_maintenance, spend_alerts.run_maintenance, *maintenance),
    )
    worker = _build_worker(settings, resources, context, generations, delivery)
    history = History(database, ledger, clock, resources.store, owner=resources.owner, images=images)
    people, changes = People(database), Limits(database, clock)
    return Core(ledger, generations, history, people, privacy, changes, limits, callbacks, context, worker)


def _build_worker(
    settings: Settings, resources: Resources, context: StepContext, generations: Generations, delivery: Delivery
) -> Worker:
    return Worker(
        context=context,
        service=generations,
        delivery=delivery,
        max_per_user=settings.max_images_per_user,
        max_per_guild=settings.max_images_per_guild,
        owner=resources.owner,
    )


def _wake_others(tx: Transaction) -> None:
    notify(tx, WORK)


async def _claim_alert(resources: Resources, matter: str, seconds: float) -> bool:
    """Take the lease of alerts about *matter*, or extend it. Return False while another process has it."""
    now_ms = resources.clock.now_ms()
    until_ms = now_ms + round(seconds * 1000)
    try:
        return await resources.database.run(take_lease, f"alert {matter}", resources.owner, now_ms, until_ms)
    except DatabaseLost:
        return True


def _build_request_limits(settings: Settings, database: Database) -> RequestLimits:
    spend = SpendLimits(settings.spend_limit_day, settings.spend_limit_month)
    return RequestLimits(database, settings.timezone, spend)


def _build_spend_alerts(
    settings: Settings, resources: Resources, limits: RequestLimits, operator: Operator
) -> SpendAlerts:
    def tell(alert: SpendAlert) -> None:
        setting = f"SPEND_LIMIT_{alert.period.name}"
        text = texts_limits.spend_alert(
            setting=setting,
            percent=alert.percent,
            spent=alert.spent,
            most=alert.most,
            ends_at_ms=alert.ends_at_ms,
            is_full=alert.percent == FULL_PERCENT,
        )
        operator.tell_change(setting.lower(), text)

    return SpendAlerts(
        resources.database.in_background(),
        limits.calendar,
        SpendLimits(settings.spend_limit_day, settings.spend_limit_month),
        price=price_of(1),
        now_ms=resources.clock.now_ms,
        tell=tell,
    )


def _build_generations(
    settings: Settings,
    resources: Resources,
    ledger: Ledger,
    limits: RequestLimits,
    schedule: PollSchedule,
    throttle: Throttle,
    nudge: Callable[[], None],
    announce: Callable[[Transaction], None],
) -> Generations:
    return Generations(
        resources.database,
        ledger,
        limits,
        resources.clock,
        max_queue=settings.max_queue,
        max_per_user=settings.max_images_per_user,
        max_per_guild=settings.max_images_per_guild,
        slots=lambda: throttle.slots.expected,
        requests_per_minute=settings.requests_per_minute,
        nudge=nudge,
        announce=announce,
        typical_seconds=schedule.typical_seconds,
        deadline_seconds=settings.task_deadline_seconds,
    )


def _build_guild_list(resources: Resources, client: ImagineClient) -> GuildList:
    return GuildList(
        client,
        resources.database.in_background(),
        resources.clock,
        resources.owner,
        with_settings=limit_records.load_guild_ids,
        delete=limit_records.delete_guild,
    )


def _build_processes(
    settings: Settings, resources: Resources, clock: DatabaseClock, core: Core, presence: Presence
) -> Processes:
    worker = core.worker
    return Processes(
        resources.database,
        clock,
        resources.owner,
        presence,
        steps=worker.steps,
        oldest_due_ms=records.oldest_due_ms,
        listen=partial(keep_listening, settings.database_url, clock, worker.nudge),
    )


def _build_callbacks(
    settings: Settings, resources: Resources, nudge: Callable[[], None], announce: Callable[[Transaction], None]
) -> Callbacks | None:
    if not settings.public_url:
        return None
    return Callbacks(
        resources.database.in_background(),
        resources.clock,
        public_url=settings.public_url,
        nudge=nudge,
        announce=announce,
        token_bytes=resources.token_bytes,
    )
