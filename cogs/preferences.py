"""/settings: a person's own defaults; always private."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.preferences import PREFERENCE_ITEMS, open_settings

if TYPE_CHECKING:
    from bot import ImagineBot


class PreferencesCog(commands.Cog):
    """The command that sets what /imagine takes for options that are left out."""

    @app_commands.command(name="settings", description="Your own defaults: size, format, private, pings, language")
    async def settings(self, interaction: discord.Interaction[Any]) -> None:
        await open_settings(interaction)


async def setup(bot: ImagineBot) -> None:
    """Called by discord.py when the extension is loaded."""
    bot.add_dynamic_items(*PREFERENCE_ITEMS)
    await bot.add_cog(PreferencesCog())
