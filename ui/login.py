"""Logging in, for as long as it takes. Must not know what is done afterwards."""

from __future__ import annotations

import logging

import discord

from generations.clock import Clock
from qwen.connections import NETWORK_FAULTS

log = logging.getLogger("qwen_imagine")

RETRY_SECONDS = 10.0


async def log_in(client: discord.Client, token: str, clock: Clock) -> None:
    """Log in, again and again while Discord can't be reached. Raises discord.LoginFailure for a refused token."""
    while True:
        try:
            await client.login(token)
            return
        except (*NETWORK_FAULTS, discord.DiscordServerError) as error:
            log.warning("Discord can't be reached (%s), again in %.0f s", type(error).__name__, RETRY_SECONDS)
            await client.http.close()
            await clock.sleep(RETRY_SECONDS)
