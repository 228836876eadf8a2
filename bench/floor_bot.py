"""A bot that answers and does nothing else: what no bot on discord.py can be faster than."""

from __future__ import annotations

import os

import discord
import yarl
from discord import app_commands, gateway, http

http.Route.BASE = os.environ["DISCORD_API_URL"]
gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])


class FloorBot(discord.Client):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.none())
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        await self.tree.sync()


bot = FloorBot()


@bot.tree.command(description="Answer")
async def imagine(interaction: discord.Interaction, prompt: str) -> None:
    await interaction.response.send_message("Taken.")


bot.run(os.environ["DISCORD_TOKEN"])
