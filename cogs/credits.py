"""/credits: balance, held credits, the next refill and the last entries; always private."""

from __future__ import annotations

import asyncio

import discord
from discord import app_commands
from discord.ext import commands

from generations.clock import done_within
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import NOBODY, defer
from ui.interactions.origin import requester_of
from ui.interactions.responses import DEFER_AFTER_SECONDS
from ui.views.cards_credits import build_credits


class CreditsCog(commands.Cog):
    """The command /credits."""

    def __init__(self, services: InteractionServices) -> None:
        self._services = services

    @app_commands.command(name="credits", description="Your credits, when they refill, and where they went")
    async def credits(self, interaction: discord.Interaction[ImagineClient]) -> None:
        loading = asyncio.ensure_future(self._services.generations.statement(requester_of(interaction)))
        if await done_within(loading, DEFER_AFTER_SECONDS, self._services.clock):
            view = build_credits(await loading)
            await interaction.response.send_message(view=view, ephemeral=True, allowed_mentions=NOBODY)
            return
        await defer(interaction, private=True)
        view = build_credits(await loading)
        await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    await bot.add_cog(CreditsCog(bot.services))
