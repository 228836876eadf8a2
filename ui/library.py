"""What the bot changes inside discord.py before anything else is done with it. Knows no bot and no setting."""

from __future__ import annotations

import logging
from typing import Any

import discord
import yarl
from discord import gateway as discord_gateway
from discord import http as discord_http


def point_library_at(api_url: str, gateway_url: str) -> None:
    """Make discord.py speak to the given addresses: Discord itself, a proxy in front of it, or the sandbox.

    discord.py 2.7.1 has no option for this; these two class attributes are read at every request and connection
    (http.py `Route.__init__`, gateway.py `from_client`). Raises RuntimeError when a release renames them.
    """
    route: Any = discord_http.Route
    websocket: Any = discord_gateway.DiscordWebSocket
    if not (isinstance(getattr(route, "BASE", None), str) and hasattr(websocket, "DEFAULT_GATEWAY")):
        raise RuntimeError("this release of discord.py names its addresses differently; requirements.txt pins 2.7.1")
    route.BASE = api_url
    websocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def quiet_library() -> None:
    """What discord.py says of things that this bot does without on purpose is left out of the log."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    logging.getLogger("discord.state").setLevel(logging.ERROR)  # "Guilds intent seems to be disabled"
