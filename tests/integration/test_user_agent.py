"""What Discord is told of the program that calls it (Discord docs: API Reference, "User Agent")."""

from __future__ import annotations

import re

import discord

from discord_api.endpoints import send_version
from discord_api.login import log_in
from tests.doubles import ManualClock
from tests.integration.discord_rest import a_discord
from version import VERSION


async def test_every_call_names_this_version_also_those_with_an_interactions_token() -> None:
    for _ in range(2):
        send_version()  # a second time, too
        async with a_discord() as (rest, _):
            client = discord.Client(intents=discord.Intents.none())
            await log_in(client, "token.of.the-bot", ManualClock())
            await discord.Webhook.partial(1, "token", client=client).send("a message", wait=True)
            await client.close()
        assert {(call.path, call.authorized) for call in rest.calls} >= {
            *(("/users/@me", True), ("/webhooks/1/token", False))
        }
        for call in rest.calls:
            expected = rf"DiscordBot \(https://\S+ [0-9.]+\) .*qwen-imagine/{re.escape(VERSION)}"
            assert re.fullmatch(expected, call.user_agent), (call.path, call.user_agent)
