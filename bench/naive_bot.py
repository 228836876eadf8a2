"""A bot as tutorials write it, to compare with: defer, POST, sleep, GET, edit, download, upload. Nothing is durable."""

from __future__ import annotations

import asyncio
import io
import os

import aiohttp
import discord
import yarl
from discord import app_commands, gateway, http

http.Route.BASE = os.environ["DISCORD_API_URL"]
gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])

API_URL = os.environ["QWEN_API_URL"]
POLL_SECONDS = 5


class NaiveBot(discord.Client):
    session: aiohttp.ClientSession

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default())
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {os.environ['QWEN_API_KEY']}"})
        await self.tree.sync()


bot = NaiveBot()


@bot.tree.command(description="Make an image from a prompt")
@app_commands.describe(prompt="What the image shows")
async def imagine(interaction: discord.Interaction, prompt: str) -> None:
    await interaction.response.defer()
    async with bot.session.post(f"{API_URL}/generate", json={"prompt": prompt}) as response:
        task_id = (await response.json())["data"]["task_id"]
    while True:
        await asyncio.sleep(POLL_SECONDS)
        async with bot.session.get(f"{API_URL}/status", params={"task_id": task_id}) as response:
            data = (await response.json())["data"]
        if data["status"] == "SUCCESS":
            break
        if data["status"] == "FAILED":
            await interaction.edit_original_response(content=f"{prompt}: {data['error_message']}")
            return
        await interaction.edit_original_response(content=f"{prompt}: {data['status'].lower()} …")
    async with bot.session.get(data["response"][0]) as response:
        image = await response.read()
    await interaction.edit_original_response(content=prompt, attachments=[discord.File(io.BytesIO(image), "image.jpg")])


bot.run(os.environ["DISCORD_TOKEN"])
