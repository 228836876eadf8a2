"""Change discord.py at start: addresses, User-Agent, how it reads interactions, its log. Knows no bot and no setting.

Each change checks that the pinned release still has what it changes, and raises RuntimeError when it has not.
"""

from __future__ import annotations

import contextvars
import logging
from typing import Any

import discord
import yarl
from discord import client as discord_client
from discord import gateway as discord_gateway
from discord import http as discord_http
from discord import interactions as discord_interactions
from discord import state as discord_state
from discord.utils import _get_as_snowflake  # pyright: ignore[reportPrivateUsage] (as the method it is used beside)

from observability.correlation import set_interaction
from version import VERSION

log = logging.getLogger("qwen_imagine.gateway")

# Discord docs: API Reference, "User Agent": DiscordBot ($url, $versionNumber), to which more may be appended.
USER_AGENT_END = f" qwen-imagine/{VERSION}"
# What reading JSON of another shape than expected raises, in discord.py and here.
UNREADABLE = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
    discord.InvalidData,
)


def point_library_at(api_url: str, gateway_url: str) -> None:
    """Make discord.py call the given addresses: Discord itself, a proxy in front of it, or the sandbox.

    discord.py 2.7.1 has no option for this; these two class attributes are read at every request and connection
    (http.py `Route.__init__`, gateway.py `from_client`).
    """
    route: Any = discord_http.Route
    websocket: Any = discord_gateway.DiscordWebSocket
    _check(isinstance(getattr(route, "BASE", None), str) and hasattr(websocket, "DEFAULT_GATEWAY"), "its addresses")
    route.BASE = api_url
    websocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def send_version() -> None:
    """Make every client that is made from now on send the version of this bot in its User-Agent."""
    client: Any = discord_client
    _check(client.HTTPClient in (discord_http.HTTPClient, VersionedHTTPClient), "its HTTP client")
    client.HTTPClient = VersionedHTTPClient


class VersionedHTTPClient(discord_http.HTTPClient):
    """An HTTP client with USER_AGENT_END at the end of its User-Agent.

    discord.py 2.7.1 names itself only in calls with the bot's own token and to the gateway; those with an interaction's
    token (webhook/async_.py) go over the same session with aiohttp's name, so the session gets the header too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user_agent += USER_AGENT_END

    async def static_login(self, token: str) -> Any:
        me = await super().static_login(token)
        session: Any = getattr(self, "_HTTPClient__session")  # noqa: B009 - its name is mangled
        session.headers["User-Agent"] = self.user_agent
        return me


def read_leniently() -> None:
    """Make discord.py keep the channel's id of every interaction, name the interaction in the log, and accept an empty
    response to a callback. Call it before a client is made.

    The names are looked up at every event and answer (state.py `parse_interaction_create`; interactions.py
    `InteractionResponse`), that of the parser with each new client (state.py `ConnectionState.__init__`).
    """
    state: Any = discord_state
    interactions: Any = discord_interactions
    seams = (
        *((discord.Interaction, "_from_data"), (discord.InteractionCallbackResponse, "_update")),
        (discord_state.ConnectionState, "parse_interaction_create"),
    )
    _check(all(callable(getattr(kind, name, None)) for kind, name in seams), "how it reads an interaction")
    _check(hasattr(state, "Interaction") and hasattr(interactions, "InteractionCallbackResponse"), "its interactions")
    state.ConnectionState.parse_interaction_create = _parse_interaction
    state.Interaction = PlacedInteraction
    interactions.InteractionCallbackResponse = LenientCallbackResponse


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"this release of discord.py names {what} differently; requirements.txt pins 2.7.1")


class PlacedInteraction(discord.Interaction[Any]):
    """An interaction that always has its channel.

    discord.py 2.7.1 drops a channel of a type that it doesn't know, or one that comes without its object, and with it
    the id that every event carries (Discord docs: Receiving and Responding, Interaction object, `channel_id`).
    """

    __slots__ = ()

    def _from_data(self, data: Any) -> None:
        event: Any = {**data, "channel": data.get("channel") or {}}
        super()._from_data(event)
        set_interaction(self.id, getattr(self.user, "id", None), self.guild_id)
        channel_id = _get_as_snowflake(data, "channel_id") or _get_as_snowflake(data.get("channel") or {}, "id")
        if self.channel is not None or channel_id is None:
            return
        place: Any = discord.PartialMessageable(state=self._state, id=channel_id, guild_id=self.guild_id)
        self.channel = place
        if self.message is not None:
            self.message.channel = place


_PARSE: Any = getattr(discord_state.ConnectionState, "parse_interaction_create", None)


def _parse_interaction(state: Any, data: Any) -> None:
    """Parse and dispatch an interaction. The tasks that handle it inherit its ids; the gateway's own lines don't."""
    contextvars.copy_context().run(_PARSE, state, data)


class LenientCallbackResponse(discord.InteractionCallbackResponse[Any]):
    """The body of a 2xx to an interaction's response, which Discord has then accepted, whatever the body says: one that
    can't be read leaves *message_id* None, and the worker looks up the card."""

    def _update(self, data: Any) -> None:
        try:
            super()._update(data)
        except UNREADABLE as error:
            log.warning("Discord took an answer and said nothing that can be read of it (%s)", type(error).__name__)
            self.id, self._thinking, self._ephemeral = 0, False, False
            self.message_id = self.activity_id = self.resource = None


def quiet_library() -> None:
    """Drop discord.py's warnings about features that this bot does not use."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    logging.getLogger("discord.state").setLevel(logging.ERROR)  # "Guilds intent seems to be disabled"
