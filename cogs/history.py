"""/history: a person's own images, newest first; always private."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from generations.history import WORDS_MAX
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.history import HISTORY_ITEMS, send_history


class HistoryCog(commands.Cog):
    """The command /history."""

    def __init__(self, services: InteractionServices) -> None:
        self._services = services

    @app_commands.command(name="history", description="Your images, newest first; post those that had no place")
    @app_commands.describe(search="Only images whose prompt has all of these words")
    async def history(
        self,
        interaction: discord.Interaction[ImagineClient],
        search: app_commands.Range[str, 1, WORDS_MAX] | None = None,
    ) -> None:
        await send_history(interaction, self._services, search or "")


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*HISTORY_ITEMS)
    await bot.add_cog(HistoryCog(bot.services))
