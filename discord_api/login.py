"""Log in to Discord, again and again until it succeeds."""

from __future__ import annotations

import itertools
import logging

import discord

from backoff import doubled_seconds
from discord_api.errors import NO_ANSWER, asking, described, retry_seconds
from generations.clock import Clock

log = logging.getLogger("qwen_imagine")

RETRY_SECONDS = 10.0
RETRY_SECONDS_MAX = 300.0  # calls during a ban of this address prolong it


async def log_in(client: discord.Client, token: str, clock: Clock) -> None:
    """Log in; while Discord can't be reached or answers with an error, try again, less and less often.

    A process that ended instead would be started again at once, and try again. *client*'s setup_hook, which the last
    step of each login calls, must make no call to Discord, or it would be run again. Raises discord.LoginFailure for
    a refused token.
    """
    for tries in itertools.count(1):
        try:
            with asking(client, to_log_in=True):
                await client.login(token)
            return
        except (*NO_ANSWER, discord.HTTPException) as error:
            wait = doubled_seconds(tries, first=RETRY_SECONDS, most=RETRY_SECONDS_MAX)
            seconds = max(wait, retry_seconds(error))
            log.warning("Discord can't be reached, again in %.0f s: %s", seconds, described(error))
        await client.http.close()
        client.http.connector = discord.utils.MISSING  # closed with its session; the next login makes a new one
        await clock.sleep(seconds)
