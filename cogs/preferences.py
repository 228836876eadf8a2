"""/settings: a person's own defaults; always private."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.preferences import PREFERENCE_ITEMS, send_settings


class PreferencesCog(commands.Cog):
    """The command /settings."""

    def __init__(self, services: InteractionServices) -> None:
        self._services = services

    @app_commands.command(name="settings", description="Your own defaults: size, format, private, pings, language")
    async def settings(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_settings(interaction, self._services)


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*PREFERENCE_ITEMS)
    await bot.add_cog(PreferencesCog(bot.services))
