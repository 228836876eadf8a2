"""Build the services of one process from its settings and open resources, for bot.py, the simulation and the tests.

Opens nothing, starts nothing and reads no environment. Must not know the cogs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from charts.service import UsageCharts
from credits.ledger import Ledger
from discord_api.command_ids import CommandIds
from discord_api.guild_list import GuildList
from discord_api.owners import BotOwners
from discord_api.shards import parse_shard_ids
from generations import records
from generations.callbacks import Callbacks
from generations.clock import DatabaseClock, Deadline
from generations.credit_changes import CreditChanges
from generations.token_only_channels import TokenOnlyChannels
from generations.worker.api_health import read_api_health
from generations.worker.loop import Worker
from images.image_memory import ImageMemory
from limits import records as limit_records
from limits.request_limits import RequestLimits
from observability.health import ProcessFacts
from processes.model import Presence, Role
from processes.service import Processes
from processes.status import ApiHealth, StatusReader, ThisProcess
from processes.wakeups import keep_listening
from reports.service import Reports
from services.resources import Resources
from services.senders import Senders, build_senders
from services.use_cases import build_request_limits, build_use_cases
from settings import Settings
from store.address import parse_database_url
from store.database import Database
from store.key_values import load_value
from ui.delivery.channel_lookup import ChannelLookup
from ui.delivery.image_urls import Thumbnails
from ui.delivery.names import Names
from ui.interactions.buttons import card_buttons
from ui.interactions.card_deletion import CardDeletion
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.command_permissions import CommandPermissions
from ui.interactions.first_response import FirstResponse

if TYPE_CHECKING:
    from processes.gauges import GaugeReader

DRAIN_SECONDS = 21.0
LAST_CALLS_SECONDS = 3.0  # of them for edits, pings and alerts that outlast the worker's steps


@dataclass(frozen=True, slots=True)
class Services(InteractionServices):
    """All services of one process."""

    database: Database
    ledger: Ledger
    callbacks: Callbacks | None
    worker: Worker
    senders: Senders
    guild_list: GuildList
    presence: Presence
    open_gauges: Callable[[Callable[[], ProcessFacts]], GaugeReader]
    processes: Processes | None  # None: no other process can use the database

    async def start(self) -> None:
        """Make this process known to those that share its database, and take over the database's clock.

        Call it before anything else is done, and stop() at the end.
        """
        self.presence.started_at_ms = self.clock.now_ms()
        if self.processes is not None:
            await self.processes.start()

    async def stop(self) -> None:
        """Tell the other processes that this one has ended."""
        if self.processes is not None:
            await self.processes.stop()

    def facts(self, *, is_logged_in: bool) -> ProcessFacts:
        """Return what this process knows of itself, for its health."""
        presence, now = self.presence, self.clock.monotonic()
        return ProcessFacts(
            round_age_seconds=self.worker.rounds.age_seconds,
            is_database_lost=self.worker.rounds.is_database_lost,
            is_stopping=self.worker.is_stopping,
            is_logged_in=is_logged_in,
            has_gateway=presence.role is Role.BOT,
            shard_ids=parse_shard_ids(presence.shard_ids) if presence.shard_ids else None,
            silent_seconds={shard: now - presence.heard_at.get(shard, now) for shard in presence.shards_up},
        )

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take nothing more on, and finish what is in flight within *seconds*.

        First the worker's steps, beside which edits, pings and alerts are sent; then what is left of these. Requests
        that still come are refused, unless another process is there to make their images.
        """
        deadline = Deadline(self.clock, seconds)
        if self.processes is None or not self.processes.are_others:
            self.generations.drain()
        await self.worker.drain(deadline.left(reserve=LAST_CALLS_SECONDS))
        await self.senders.drain(deadline)


def build_services(settings: Settings, resources: Resources, client: ImagineClient) -> Services:
    """Build all services, and give *client* those that commands, buttons and forms use."""
    database_clock = DatabaseClock(resources.clock)
    if resources.shared:
        resources = replace(resources, clock=database_clock)
    database, clock = resources.database, resources.clock
    images = ImageMemory(settings.image_memory_mb * 1024 * 1024)
    token_only = TokenOnlyChannels(clock, database)
    presence, channels = Presence(), ChannelLookup(client, clock)
    reports, limits = Reports(database, clock, resources.store, images), build_request_limits(settings, database)
    senders = build_senders(settings, resources, client, images, token_only, channels, reports, limits)
    use_cases = build_use_cases(
        *(settings, resources, images, limits, senders.delivery, senders.operator, senders.pings),
        maintenance=senders.maintenance(),
    )
    command_ids = CommandIds(client, partial(database.read, load_value), settings.discord_api_url)
    first_progress = use_cases.worker.publisher.first_progress
    this = ThisProcess(resources.owner, presence, use_cases.worker.steps, resources.shared)
    api = partial(read_api_health, use_cases.context)
    services = Services(
        settings=settings,
        clock=clock,
        rng=resources.rng,
        generations=use_cases.generations,
        history=use_cases.history,
        people=use_cases.people,
        privacy=use_cases.privacy,
        limits=use_cases.limits,
        request_limits=use_cases.request_limits,
        token_only=token_only,
        delivery=senders.delivery,
        thumbnails=Thumbnails(client, clock),
        first_response=FirstResponse(
            *(use_cases.generations, senders.delivery, clock, first_progress, token_only),
            buttons=card_buttons,
            channels=channels,
        ),
        card_deletion=CardDeletion(client, use_cases.generations, clock),
        reports=reports,
        report_notices=senders.report_notices,
        guild_log=senders.guild_log,
        names=Names(client, clock),
        owners=BotOwners(client, clock, settings.owner_ids),
        credit_changes=CreditChanges(database, use_cases.ledger, clock),
        status=StatusReader(database, clock, this, limits, api=api),
        usage_charts=UsageCharts(database, use_cases.request_limits.calendar),
        command_permissions=CommandPermissions(client, clock, command_ids),
        command_ids=command_ids,
        database=database,
        ledger=use_cases.ledger,
        callbacks=use_cases.callbacks,
        worker=use_cases.worker,
        senders=senders,
        guild_list=_build_guild_list(resources, client),
        presence=presence,
        open_gauges=partial(_open_gauges, settings, resources, this, limits, api),
        processes=_build_processes(settings, resources, database_clock, use_cases.worker, presence),
    )
    client.services = services
    return services


def _open_gauges(
    settings: Settings,
    resources: Resources,
    this: ThisProcess,
    limits: RequestLimits,
    api: Callable[[], ApiHealth],
    facts: Callable[[], ProcessFacts],
) -> GaugeReader:
    """Build what reads the gauges of /metrics."""
    from processes.gauges import GaugeReader  # only where they are read

    address = parse_database_url(settings.database_url)
    return GaugeReader(
        resources.database.in_background(),
        resources.clock,
        this,
        limits,
        api=api,
        facts=facts,
        folder=None if resources.database.is_postgresql else Path(str(address.database)).parent,
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
    settings: Settings, resources: Resources, clock: DatabaseClock, worker: Worker, presence: Presence
) -> Processes | None:
    if not resources.shared:
        return None
    return Processes(
        resources.database,
        clock,
        resources.owner,
        presence,
        steps=worker.steps,
        oldest_due_ms=records.oldest_due_ms,
        listen=partial(keep_listening, settings.database_url, clock, worker.nudge),
    )
