"""Interactions through discord.py's own parser: their channel, and Discord's answers to responses."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from discord import state as discord_state
from discord.http import Route

from discord_api.endpoints import read_leniently
from tests.captured_log import captured_log
from tests.doubles import ManualClock
from tests.integration.discord_rest import a_discord
from tests.integration.raw_server import Wire, raw_server
from tests.integration.test_qwen_client import REQUEST, a_client
from ui.interactions.origin import actor_of, origin_of, requester_of

ALICE = {"id": "7", "username": "alice", "discriminator": "0", "avatar": None}
MEMBER = {"user": ALICE, "roles": [], "permissions": "0", "joined_at": None, "flags": 0, "deaf": False, "mute": False}
IN_A_GUILD: dict[str, Any] = {"guild_id": "20", "member": MEMBER, "context": 0}
OUTSIDE: dict[str, Any] = {"user": ALICE, "context": 1}
TEXT = {"id": "30", "type": 0, "name": "sea", "position": 0, "permission_overwrites": []}


@pytest.fixture(autouse=True)
def lenient() -> Iterator[None]:
    """Change discord.py's parser as bot.py does, and restore it afterwards."""
    state: Any = discord_state
    interactions: Any = discord.interactions
    before = state.Interaction, interactions.InteractionCallbackResponse
    parse = state.ConnectionState.parse_interaction_create
    read_leniently()
    yield
    state.Interaction, interactions.InteractionCallbackResponse = before
    state.ConnectionState.parse_interaction_create = parse


class Listener(discord.Client):
    """Receives interactions as the library parses them from gateway events."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.none(), application_id=5)
        self.heard = list[discord.Interaction[Any]]()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        if event == "interaction":
            self.heard.append(args[0])

    def hear(self, **event: Any) -> discord.Interaction[Any]:
        payload = {
            **{"id": "99", "application_id": "5", "type": 2, "token": "t", "version": 1, "locale": "en-US"},
            **{"data": {"id": "1", "name": "imagine", "type": 1}, "entitlements": [], "attachment_size_limit": 10},
            **{"app_permissions": "0", "authorizing_integration_owners": {"0": event.get("guild_id", "0")}},
            **event,
        }
        self._connection.parsers["INTERACTION_CREATE"](payload)
        return self.heard[-1]


@pytest.fixture
async def listener() -> Listener:
    client = Listener()
    client._connection.user = discord.ClientUser(state=client._connection, data={**ALICE, "id": "5"})  # type: ignore[typeddict-item]
    client.http._HTTPClient__session = object()  # type: ignore[attr-defined] # asked for, and not used here
    return client


@pytest.mark.parametrize("place", [IN_A_GUILD, OUTSIDE], ids=["in a guild", "outside"])
@pytest.mark.parametrize(
    "channel",
    [{"channel": {**TEXT, "type": 777}}, {"channel": None}, {"channel": {}}, {"channel": {"id": "30"}}, {}],
    ids=["of an unknown type", "null", "empty", "its id alone", "absent"],
)
async def test_the_channels_id_is_kept_for_every_kind_of_channel_object(
    listener: Listener, place: dict[str, Any], channel: dict[str, Any]
) -> None:
    interaction = listener.hear(**place, **channel, channel_id="30")
    assert interaction.channel_id == 30
    assert isinstance(interaction.channel, discord.PartialMessageable)
    assert interaction.channel.guild_id == (20 if place is IN_A_GUILD else None)
    assert origin_of(interaction).channel_id == 30


async def test_the_id_in_the_channels_object_is_enough(listener: Listener) -> None:
    assert listener.hear(**IN_A_GUILD, channel={**TEXT, "type": 777}).channel_id == 30


async def test_a_channel_of_a_known_type_stays_what_the_library_makes_of_it(listener: Listener) -> None:
    assert isinstance(listener.hear(**IN_A_GUILD, channel=TEXT, channel_id="30").channel, discord.TextChannel)


async def test_the_message_of_a_pressed_button_is_in_that_channel(listener: Listener) -> None:
    message = {
        **{"id": "40", "channel_id": "30", "author": {**ALICE, "id": "5", "bot": True}, "type": 0, "content": ""},
        **{"timestamp": "2026-01-01T00:00:00+00:00", "edited_timestamp": None, "embeds": [], "attachments": []},
        **{"mentions": [], "mention_roles": [], "mention_everyone": False, "tts": False, "pinned": False},
    }
    data = {"custom_id": "x", "component_type": 2}
    pressed = listener.hear(
        **IN_A_GUILD, type=3, data=data, message=message, channel={**TEXT, "type": 777}, channel_id="30"
    )
    assert pressed.message is not None and pressed.message.channel.id == 30


@pytest.fixture
async def said(listener: Listener) -> AsyncIterator[list[str]]:
    """Make Discord answer each callback with the next of these bodies."""
    bodies = list[str]()

    async def answer(_: web.Request) -> web.Response:
        body = bodies.pop(0).encode()
        return web.Response(body=body, headers={"Content-Type": "application/json"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        before = Route.BASE
        Route.BASE = str(server.make_url("/api/v10"))
        bodies += ['{"id": "5", "username": "imagine", "discriminator": "0", "avatar": null}']
        listener.http.loop = asyncio.get_running_loop()
        await listener.http.static_login("token")
        yield bodies
        await listener.http.close()
        Route.BASE = before


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"interaction": {}}', '{"interaction": {"id": "x"}}'])
async def test_an_accepted_response_without_ids_in_its_answer_is_no_error(
    listener: Listener, said: list[str], body: str
) -> None:
    said.append(body)
    interaction = listener.hear(**IN_A_GUILD, channel=TEXT, channel_id="30")
    response = await interaction.response.send_message("Your balance")
    assert response.message_id is None, "the worker asks for the card"
    assert interaction.response.is_done()


BIG = 2**53 + 1


async def test_who_asks_has_the_roles_that_the_event_names_without_a_cache_of_guilds(listener: Listener) -> None:
    member = {**MEMBER, "roles": [str(BIG), "41"]}
    interaction = listener.hear(**IN_A_GUILD | {"member": member}, channel={**TEXT, "nsfw": True}, channel_id="30")
    asked = requester_of(interaction)
    assert (asked.user_id, asked.guild_id, asked.channel_id, asked.parent_channel_id) == (7, 20, 30, None)
    assert asked.role_ids == {BIG, 41} and asked.age_restricted
    assert (actor_of(interaction).user_id, actor_of(interaction).guild_id) == (7, 20)


async def test_who_asks_in_a_thread_asks_in_its_parent_channel(listener: Listener) -> None:
    details = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": "2026-01-01T00:00:00+00:00"}
    thread = {"id": "31", "type": 11, "name": "t", "parent_id": "30", "owner_id": "7", "thread_metadata": details}
    thread |= {"guild_id": "20", "message_count": 0, "member_count": 1, "rate_limit_per_user": 0, "flags": 0}
    asked = requester_of(listener.hear(**IN_A_GUILD, channel=thread, channel_id="31"))
    assert (asked.channel_id, asked.parent_channel_id, asked.age_restricted) == (31, 30, False)


async def test_who_asks_outside_of_servers_has_no_roles(listener: Listener) -> None:
    asked = requester_of(listener.hear(**OUTSIDE, channel=None, channel_id="30"))
    assert (asked.guild_id, asked.role_ids, asked.age_restricted) == (None, frozenset(), False)


# -- the ids in the log ----------------------------------------------------------------------------------------------


class Handler(Listener):
    """Begins a task for each interaction, as discord.py does for commands, buttons and forms."""

    def __init__(self, handle: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.handle = handle
        self.tasks = list[asyncio.Task[None]]()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        super().dispatch(event, *args, **kwargs)
        if event == "interaction":
            self.tasks.append(asyncio.ensure_future(self.handle()))


async def test_lines_of_calls_made_for_an_interaction_have_its_ids_and_the_gateways_own_lines_have_none() -> None:
    async def respond(wire: Wire) -> None:
        await wire.hear()
        await wire.answer_json(200, {"task_id": "t-1", "status": "PENDING"})

    async def handle() -> None:
        await qwen.create_task(REQUEST)
        await client.get_partial_messageable(2).fetch_message(777)

    with captured_log(ManualClock(), "discord", "qwen_imagine", level=logging.DEBUG) as log:
        async with raw_server(respond) as server, a_client(server.url) as qwen, a_discord() as (rest, client):
            rest.add_message(777, 2)
            rest.fault("GET .*/777", 429, headers={"Via": "1.1 test"})
            handler = Handler(handle)
            handler._connection.user = client.user
            handler.hear(**IN_A_GUILD, channel_id="30", channel=TEXT)
            logging.getLogger("discord.gateway").warning("the connection ended")
            await asyncio.gather(*handler.tasks)
    ids = {"correlation": "99", "user": "7", "guild": "20"}
    for words in ("post task t-1: PENDING", "responded with 429", "/777 with None has returned 200"):
        (line,) = [line for line in log.lines() if re.search(words, line["message"])]
        assert {name: line.get(name) for name in ids} == ids, line
    (own,) = [line for line in log.lines() if "the connection ended" in line["message"]]
    assert "correlation" not in own
