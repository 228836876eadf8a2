"""The Discord client of the bot, and the services that commands, buttons and forms use.

A button or a form that comes back is made by discord.py without a constructor of ours: it finds its services at
`interaction.client.services`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from charts.service import UsageCharts
from discord_api.command_ids import CommandIds
from discord_api.owners import BotOwners
from generations.clock import Clock
from generations.credit_changes import CreditChanges
from generations.history import History
from generations.privacy import Privacy
from generations.service import Generations
from generations.token_only_channels import TokenOnlyChannels
from limits.request_limits import RequestLimits
from limits.service import Limits
from people.service import People
from processes.status import StatusReader
from reports.service import Reports
from settings import Settings
from ui.delivery.cards import DiscordDelivery
from ui.delivery.guild_log import GuildLog
from ui.delivery.image_urls import Thumbnails
from ui.delivery.names import Names
from ui.delivery.report_notices import ReportNotices
from ui.interactions.card_deletion import CardDeletion
from ui.interactions.command_permissions import CommandPermissions
from ui.interactions.errors import Tree
from ui.interactions.first_response import FirstResponse


@dataclass(frozen=True, slots=True)
class InteractionServices:
    """What commands, buttons and forms use. Built by services/build.py."""

    settings: Settings
    clock: Clock
    rng: random.Random
    generations: Generations
    history: History
    people: People
    privacy: Privacy
    limits: Limits
    request_limits: RequestLimits
    token_only: TokenOnlyChannels
    delivery: DiscordDelivery
    thumbnails: Thumbnails
    first_response: FirstResponse
    card_deletion: CardDeletion
    reports: Reports
    report_notices: ReportNotices
    guild_log: GuildLog
    names: Names
    owners: BotOwners
    credit_changes: CreditChanges
    status: StatusReader
    usage_charts: UsageCharts
    command_permissions: CommandPermissions
    command_ids: CommandIds


class ImagineClient(commands.AutoShardedBot):
    """discord.py's client without intents, caches and mentions. Set `services` before it logs in."""

    services: InteractionServices
    is_logged_in = False  # setup_hook() sets it, the last step of each login: discord_api.errors.asking

    def __init__(self, **options: Any) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=Tree,
            intents=discord.Intents.none(),  # slash commands and buttons need none
            allowed_mentions=discord.AllowedMentions.none(),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            **options,
        )
