"""Build what sends to Discord by itself: cards, pings, alerts to the owner, notices of reports, lines of log channels.

Opens nothing and starts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from generations.clock import Deadline
from generations.follow_ups import FollowUps
from generations.stale_edits import StaleEditGuard
from generations.token_only_channels import TokenOnlyChannels
from images.image_memory import ImageMemory
from limits.outbox import Outbox
from limits.request_limits import RequestLimits
from reports.service import Reports
from services.resources import Resources
from settings import Settings
from store.errors import DatabaseLost
from store.leases import take_lease
from ui.delivery import cards, guild_log, owner_alerts, pings, report_notices
from ui.delivery.cards import DiscordDelivery
from ui.delivery.channel_lookup import ChannelLookup
from ui.delivery.guild_log import GuildLog
from ui.delivery.owner_alerts import OwnerAlerts
from ui.delivery.pings import CardPings
from ui.delivery.report_notices import ReportNotices
from ui.interactions.buttons import card_buttons
from ui.interactions.client import ImagineClient
from ui.interactions.report_decisions import report_buttons


@dataclass(frozen=True, slots=True)
class Senders:
    """What sends to Discord without being asked by a command, a button or a form."""

    delivery: DiscordDelivery
    pings: CardPings
    operator: OwnerAlerts
    report_notices: ReportNotices
    guild_log: GuildLog

    def maintenance(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Return what is to be done regularly: send what an earlier process or an outage has left."""
        return (self.report_notices.run_due, self.operator.run_due, self.guild_log.run_due)

    async def drain(self, deadline: Deadline) -> None:
        """Send what is under way, side by side, each within its own seconds and *deadline*."""
        senders = (
            (self.delivery, cards.DRAIN_SECONDS),
            (self.pings, pings.DRAIN_SECONDS),
            (self.operator, owner_alerts.DRAIN_SECONDS),
            (self.report_notices, report_notices.DRAIN_SECONDS),
            (self.guild_log, guild_log.DRAIN_SECONDS),
        )
        await asyncio.gather(*(sender.drain(min(most, deadline.left())) for sender, most in senders))


def build_senders(
    settings: Settings,
    resources: Resources,
    client: ImagineClient,
    images: ImageMemory,
    token_only: TokenOnlyChannels,
    channels: ChannelLookup,
    reports: Reports,
    limits: RequestLimits,
) -> Senders:
    """Build them all."""
    clock, outbox = resources.clock, Outbox(resources.database, resources.clock)
    claim = partial(_claim_alert, resources) if resources.shared else None
    operator = OwnerAlerts(client, clock, settings.owner_ids, claim, outbox)
    return Senders(
        _build_delivery(resources, client, token_only, images),
        CardPings(client, clock, token_only),
        operator,
        ReportNotices(client, reports, limits, operator.owners, report_buttons),
        GuildLog(client, channels, outbox, clock),
    )


def _build_delivery(
    resources: Resources, client: ImagineClient, token_only: TokenOnlyChannels, images: ImageMemory
) -> DiscordDelivery:
    database, clock = resources.database, resources.clock
    return DiscordDelivery(
        client,
        clock,
        StaleEditGuard(database.in_background(), clock) if resources.shared else None,
        token_only,
        FollowUps(database, clock),
        rng=resources.rng,
        images=images,
        buttons=card_buttons,
    )


async def _claim_alert(resources: Resources, matter: str, seconds: float) -> bool:
    """Take the lease of alerts about *matter*, or extend it. Return False while another process has it."""
    now_ms = resources.clock.now_ms()
    until_ms = now_ms + round(seconds * 1000)
    try:
        return await resources.database.run(take_lease, f"alert {matter}", resources.owner, now_ms, until_ms)
    except DatabaseLost:
        return True
