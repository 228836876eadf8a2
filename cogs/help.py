"""/help: what this bot does, what it costs here, and its commands; always private."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from settings import Settings
from ui.interactions.client import ImagineClient
from ui.interactions.responses import send_view
from ui.views.cards_help import BotLimits, CommandList, Pages, build_help

FIRST = "imagine"  # in the list; the others follow by name


class HelpCog(commands.Cog):
    """The command /help. Uses no database, so that it works in an outage."""

    def __init__(self, limits: BotLimits, pages: Pages) -> None:
        self._limits = limits
        self._pages = pages

    @app_commands.command(name="help", description="What this bot does, what it costs here, and its commands")
    async def help(self, interaction: discord.Interaction[ImagineClient]) -> None:
        commands = list_commands(interaction.client.tree)
        await send_view(interaction, build_help(self._limits, commands, self._pages))


def list_commands(tree: app_commands.CommandTree[Any]) -> CommandList:
    """Return every command that needs no permission."""
    everything = tree.get_commands(type=discord.AppCommandType.chat_input)
    roots = sorted(everything, key=lambda command: (command.name != FIRST, command.name))
    found = [leaf for root in roots if root.default_permissions is None for leaf in _leaves(root)]
    menus = tree.get_commands(type=discord.AppCommandType.message)
    return CommandList(
        [(command.qualified_name, command.description) for command in found],
        [menu.name for menu in menus if menu.default_permissions is None],
    )


def _leaves(command: app_commands.Command[Any, ..., Any] | app_commands.Group) -> Iterator[Any]:
    if isinstance(command, app_commands.Group):
        for child in command.commands:
            yield from _leaves(child)
    else:
        yield command


def bot_limits(settings: Settings) -> BotLimits:
    """Return what people should know of the settings."""
    return BotLimits(
        allowance=settings.credits_per_period,
        period=settings.credit_period,
        timezone=settings.timezone.key,
        per_person=settings.max_images_per_user,
        in_line=settings.max_queue,
        requests_per_minute=settings.requests_per_minute,
        deadline_seconds=settings.task_deadline_seconds,
    )


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    settings = bot.services.settings
    pages = Pages(settings.support_url, settings.privacy_url, settings.terms_url)
    await bot.add_cog(HelpCog(bot_limits(settings), pages))
