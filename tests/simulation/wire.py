"""Replacements of the two objects of discord.py that open connections; they call the simulated Discord."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import discord
from discord.http import HTTPClient, Route
from discord.user import ClientUser
from discord.webhook.async_ import AsyncWebhookAdapter

from discord_api.follow_ups import SingleTry
from tests.simulation.fake_discord import APPLICATION, BOT, GUILD, FakeDiscord, Interaction
from ui.interactions.client import ImagineClient


def _path(route: Route) -> str:
    return unquote(urlsplit(route.url).path.removeprefix("/api/v10"))


def _payload(plain: Any, multipart: Iterable[dict[str, Any]] | None) -> dict[str, Any]:
    for part in multipart or ():
        if part["name"] == "payload_json":
            return json.loads(part["value"])
    return json.loads(json.dumps(plain or {}))


def _files(files: Sequence[discord.File] | None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in files or ():
        file.fp.seek(0)
        found[file.filename] = file.fp.read()
    return found


class Webhooks(AsyncWebhookAdapter):
    """Calls by an interaction's token."""

    def __init__(self, fake_discord: FakeDiscord) -> None:
        super().__init__()
        self._world = fake_discord
        self._turns: dict[str, asyncio.Lock] = {}

    async def request(
        self,
        route: Route,
        session: Any,
        *,
        payload: Any = None,
        multipart: Any = None,
        files: Any = None,
        **_: Any,
    ) -> Any:
        turn = self._turns.setdefault(str(route.webhook_token), asyncio.Lock())
        async with turn:
            sent = _payload(payload, multipart), _files(files)
            repeats = not isinstance(session, SingleTry)
            return await self._world.call(route.method, _path(route), *sent, repeats=repeats)


class BotCalls(HTTPClient):
    """Calls by the bot's own token."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fake_discord: FakeDiscord) -> None:
        super().__init__(loop)
        self._world = fake_discord

    async def request(self, route: Route, *, files: Any = None, form: Any = None, **kwargs: Any) -> Any:
        return await self._world.call(route.method, _path(route), _payload(kwargs.get("json"), form), _files(files))


class Client(ImagineClient):
    """The bot's client, whose calls go to the simulated Discord."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fake_discord: FakeDiscord) -> None:
        super().__init__()
        state: Any = self._connection
        calls: Any = BotCalls(loop, fake_discord)
        self.is_logged_in = True  # what comes before the login is tested end to end
        calls._HTTPClient__session = object()  # must exist, is never used
        self.http = state.http = calls
        state.user = ClientUser(state=state, data=BOT)  # type: ignore[arg-type]
        state.store_view = lambda view, message_id=None: None  # its timers use the real clock

    def interaction(
        self, interaction: Interaction, data: dict[str, Any], kind: int, **more: Any
    ) -> discord.Interaction[Client]:
        """Build the event as the gateway delivers it."""
        person = {**BOT, "id": str(interaction.person), "bot": False}
        member = {"user": person, "roles": [], "permissions": "0", "joined_at": None, "flags": 0, "deaf": False}
        payload = {
            **{
                "id": str(interaction.id),
                "application_id": str(APPLICATION),
                "type": kind,
                "token": interaction.token,
                "version": 1,
            },
            **{"data": data, "guild_id": str(GUILD), "locale": "en-US", "context": 0, "entitlements": []},
            "channel": {
                "id": str(interaction.channel_id),
                "type": 0,
                "name": "sea",
                "position": 0,
                "permission_overwrites": [],
            },
            **{"member": {**member, "mute": False}, "app_permissions": str(discord.Permissions.all().value)},
            **{"authorizing_integration_owners": {"0": str(GUILD)}, "attachment_size_limit": interaction.limit},
            **more,
        }
        return discord.Interaction(data=payload, state=self._connection)  # type: ignore[arg-type]
