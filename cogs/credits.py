"""/credits: what a person has, what is held, when it refills, and the last entries; always private."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

from generations.clock import Clock, done_within
from generations.service import Generations
from ui.interactions.errors import NOBODY, defer
from ui.interactions.responses import DEFER_AFTER_SECONDS
from ui.views.cards_credits import build_credits

if TYPE_CHECKING:
    from bot import ImagineBot


class CreditsCog(commands.Cog):
    """The command that shows the account."""

    def __init__(self, generations: Generations, clock: Clock) -> None:
        self._generations = generations
        self._clock = clock

    @app_commands.command(name="credits", description="Your credits, when they refill, and where they went")
    async def credits(self, interaction: discord.Interaction[Any]) -> None:
        looking = asyncio.ensure_future(self._generations.statement(interaction.user.id))
        if await done_within(looking, DEFER_AFTER_SECONDS, self._clock):
            view = build_credits(await looking)
            await interaction.response.send_message(view=view, ephemeral=True, allowed_mentions=NOBODY)
            return
        await defer(interaction, private=True)
        view = build_credits(await looking)
        await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


async def setup(bot: ImagineBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(CreditsCog(bot.generations, bot.clock))
