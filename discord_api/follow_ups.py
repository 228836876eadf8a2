"""Send a new message by an interaction's token (Discord docs: Receiving and Responding, "Followup Messages").

It reaches the place of the interaction also where the bot's own token does not, and opens an archived thread again.
It has no nonce, so it is sent once: discord.py 2.7.1 would repeat it after a 5xx (webhook/async_.py, `request`), and
Discord may have taken the first one. Knows no card.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import discord


class SingleTry:
    """Stand in for discord.py's HTTP session in one call. Repeat a request only after a 429, which is a sure refusal.

    After any other failure the next request raises what that one ended with: DiscordServerError or an OSError.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._failed: discord.DiscordServerError | OSError | None = None

    @contextlib.asynccontextmanager
    async def request(self, *args: Any, **options: Any) -> AsyncGenerator[Any]:
        if self._failed is not None:
            raise self._failed
        try:
            async with self._session.request(*args, **options) as response:
                if response.status >= 500:
                    self._failed = discord.DiscordServerError(response, None)
                yield response
        except OSError as error:
            self._failed = error
            raise


async def send_follow_up(
    client: discord.Client, application_id: int, token: str, *, ephemeral: bool, **content: Any
) -> discord.WebhookMessage:
    """Send *content*, which is what Webhook.send takes. Raises as that does."""
    data: Any = {"id": application_id, "type": discord.WebhookType.application.value, "token": token}
    state = client._connection  # pyright: ignore[reportPrivateUsage]
    webhook = discord.Webhook.from_state(data, state)
    session: Any = SingleTry(webhook.session)
    webhook.session = session
    return await webhook.send(**content, ephemeral=ephemeral, wait=True)
