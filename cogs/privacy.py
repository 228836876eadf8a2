"""/privacy: what is kept of a person, a copy of it, and its deletion; always private."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.privacy import PRIVACY_ITEMS, send_deletion_question, send_export, send_holdings


class PrivacyCog(commands.Cog):
    """The commands /privacy show, export and delete."""

    privacy = app_commands.Group(name="privacy", description="What the bot keeps of you: see it, take it, delete it")

    def __init__(self, services: InteractionServices) -> None:
        self._services = services

    @privacy.command(name="show", description="What the bot keeps of you, and for how long")
    async def show(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_holdings(interaction, self._services)

    @privacy.command(name="export", description="All that the bot keeps of you, as a JSON file")
    async def export(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_export(interaction, self._services)

    @privacy.command(name="delete", description="Delete your prompts, your history and your settings; asks first")
    async def delete(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_deletion_question(interaction)


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*PRIVACY_ITEMS)
    await bot.add_cog(PrivacyCog(bot.services))
