"""Tells the bot's owner what only they can mend. Never floods, never raises. Must not know what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

import discord

from discord_api.errors import NO_ANSWER, asking
from generations.clock import Clock
from ui.texts.card import owner_alert

log = logging.getLogger("qwen_imagine.operator")

QUIET_SECONDS = 6 * 3600.0
DRAIN_SECONDS = 2.0
BEFORE_START_SECONDS = 8.0


class OwnerAlerts:
    """generations.ports.Operator: one log line and one direct message to each owner, per matter and six hours.

    *owner_ids*: who to tell; empty: whoever owns the application at Discord.
    """

    def __init__(self, client: discord.Client, clock: Clock, owner_ids: Collection[int]) -> None:
        self._client = client
        self._clock = clock
        self._owner_ids = frozenset(owner_ids)
        self._told_at: dict[str, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, matter: str, detail: str) -> None:
        """Say *detail*, a full sentence of our own, unless *matter* (a short constant) was told of lately."""
        now = self._clock.monotonic()
        if now - self._told_at.get(matter, float("-inf")) < QUIET_SECONDS:
            return
        self._told_at[matter] = now
        log.error("%s: %s", matter, detail)
        task = asyncio.create_task(self._send(matter, detail))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def tell_before_start(self, token: str, detail: str) -> None:
        """Say *detail* by REST alone, from a process that is about to end. Gives up where Discord does not answer."""
        with contextlib.suppress(discord.LoginFailure, discord.HTTPException, TimeoutError, *NO_ANSWER):
            async with asyncio.timeout(BEFORE_START_SECONDS), self._client:
                with asking(self._client):
                    await self._client.login(token)
                await self._send("start", detail)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait for the messages that are under way, but not for an outage to end: the log has said it too."""
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=seconds)
            if late:
                log.warning("stopping: %d messages to the owner cut off after %.0f s", len(late), seconds)

    async def _send(self, matter: str, detail: str) -> None:
        try:
            owner_ids = self._owner_ids or await self._application_owners()
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.warning("%s: the application's owner can't be asked for (%s)", matter, type(error).__name__)
            return
        for owner_id in sorted(owner_ids):
            try:
                with asking(self._client):
                    channel = await self._client.create_dm(discord.Object(owner_id))
                    await channel.send(owner_alert(detail), allowed_mentions=discord.AllowedMentions.none())
            except (discord.HTTPException, *NO_ANSWER) as error:
                log.warning("%s: the owner %s can't be told (%s)", matter, owner_id, type(error).__name__)

    async def _application_owners(self) -> frozenset[int]:
        with asking(self._client):
            application = await self._client.application_info()
        team = application.team
        if team is not None and team.owner_id is not None:
            return frozenset({team.owner_id})
        return frozenset({application.owner.id})
