"""/privacy: what is kept of a person, a copy of it, and its deletion; always private."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.privacy import PRIVACY_ITEMS, ask_before_deletion, open_holdings, send_export

if TYPE_CHECKING:
    from bot import ImagineBot


class PrivacyCog(commands.Cog):
    """The commands about what is kept."""

    privacy = app_commands.Group(name="privacy", description="What the bot keeps of you: see it, take it, delete it")

    @privacy.command(name="show", description="What the bot keeps of you, and for how long")
    async def show(self, interaction: discord.Interaction[Any]) -> None:
        await open_holdings(interaction)

    @privacy.command(name="export", description="All that the bot keeps of you, as a JSON file")
    async def export(self, interaction: discord.Interaction[Any]) -> None:
        await send_export(interaction)

    @privacy.command(name="delete", description="Delete your prompts, your history and your settings; asks first")
    async def delete(self, interaction: discord.Interaction[Any]) -> None:
        await ask_before_deletion(interaction)


async def setup(bot: ImagineBot) -> None:
    """Called by discord.py when the extension is loaded."""
    bot.add_dynamic_items(*PRIVACY_ITEMS)
    await bot.add_cog(PrivacyCog())
