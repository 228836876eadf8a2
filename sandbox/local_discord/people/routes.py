"""The page's routes: a person acts by POST and sees by one websocket. They answer pages of this machine only."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from sandbox.guard import guarded
from sandbox.json_bodies import NotAnObject, error_response, read_object
from sandbox.local_discord.people import administration
from sandbox.local_discord.people.actor import Actor
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.people.forms import read_picks, values_sent
from sandbox.local_discord.people.live_feed import LiveFeed
from sandbox.local_discord.recording import Recording
from sandbox.local_discord.schemas.commands import CHAT_INPUT
from sandbox.local_discord.state.model import Json, Person
from sandbox.local_discord.state.snowflakes import is_snowflake
from sandbox.local_discord.state.state import State

_Act = Callable[[Actor, Json], Awaitable[Json]]


class PeopleRoutes:
    def __init__(
        self, state: State, live_feed: LiveFeed, recording: Recording, actor: Callable[[Person], Actor]
    ) -> None:
        self._state = state
        self._live_feed = live_feed
        self._recording = recording
        self._actor = actor

    def attach(self, app: web.Application) -> None:
        for name, handler in (("live", self._live), ("violations", self._violations), ("requests", self._requests)):
            app.router.add_get(f"/sandbox/{name}", guarded(handler))
        acts: dict[str, _Act] = {
            "command": self._command,
            "press": self._press,
            "submit": self._submit,
            "upload": self._upload,
            "say": self._say,
            "delete": self._delete,
            "archive": self._archive,
            "command-permissions": self._permit,
            "channel": self._make_channel,
            "age-restriction": self._restrict,
            "app": self._install,
        }
        for name, act in acts.items():
            app.router.add_post(f"/sandbox/{name}", guarded(self._acting(act)))

    def _acting(self, act: _Act) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that reads the body and the person, and answers a refusal with 400 and its sentence."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                body = await read_object(request)
                person = self._state.person(str(body.get("as", "")))
                if person is None:
                    raise Refused("There is no such person.")
                return web.json_response(await act(self._actor(person), body))
            except (Refused, NotAnObject) as refused:
                return error_response(400, str(refused))

        return handle

    async def _command(self, actor: Actor, body: Json) -> Json:
        channel = actor.find_channel(_id(body, "channel_id"))
        target = _id(body, "target_id") if "target_id" in body else None
        options: Any = body.get("options") or []
        if not isinstance(options, list):
            raise Refused("options must be a list.")
        kind = _id(body, "command_type") if "command_type" in body else CHAT_INPUT
        sent = cast("list[Any]", options)
        return {"interaction_id": str(actor.run_command(channel, kind, _text(body, "name"), sent, target))}

    async def _press(self, actor: Actor, body: Json) -> Json:
        values = read_picks(body.get("values"))
        number = actor.press_custom_id(_id(body, "message_id"), _text(body, "custom_id"), values)
        return {"interaction_id": str(number)}

    async def _submit(self, actor: Actor, body: Json) -> Json:
        number = await actor.submit(_id(body, "interaction_id"), values_sent(body.get("components")))
        return {"interaction_id": str(number)}

    async def _upload(self, actor: Actor, body: Json) -> Json:
        """Take a file for an open form, in base64."""
        try:
            data = base64.b64decode(_text(body, "data"), validate=True)
        except ValueError:
            raise Refused("data must be base64.") from None
        return {"attachment_id": await actor.upload(_id(body, "interaction_id"), _text(body, "filename"), data)}

    async def _say(self, actor: Actor, body: Json) -> Json:
        return {"message_id": str(await actor.say(_id(body, "channel_id"), _text(body, "content")))}

    async def _delete(self, actor: Actor, body: Json) -> Json:
        await actor.delete_message(_id(body, "message_id"))
        return {}

    async def _archive(self, actor: Actor, body: Json) -> Json:
        await actor.archive(_id(body, "channel_id"))
        return {}

    async def _permit(self, actor: Actor, body: Json) -> Json:
        """Replace the permissions of the command `command_id`, without it those of the whole app."""
        guild = administration.find_guild(self._state, _id(body, "guild_id"))
        target = str(_id(body, "command_id")) if "command_id" in body else None
        administration.set_command_permissions(self._state, actor.person, guild, target, body.get("permissions"))
        return {}

    async def _make_channel(self, actor: Actor, body: Json) -> Json:
        nsfw = body.get("nsfw") is True
        channel = await actor.make_channel(str(_id(body, "guild_id")), _text(body, "name"), nsfw=nsfw)
        return {"channel_id": str(channel.id)}

    async def _restrict(self, actor: Actor, body: Json) -> Json:
        await actor.set_age_restricted(_id(body, "channel_id"), body.get("nsfw") is True)
        return {}

    async def _install(self, actor: Actor, body: Json) -> Json:
        change = actor.add_app if body.get("installed") is True else actor.remove_app
        await change(str(_id(body, "guild_id")))
        return {}

    async def _live(self, request: web.Request) -> web.StreamResponse:
        person = self._state.person(request.query.get("as", ""))
        if person is None:
            return error_response(400, "There is no such person.")
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        subscription = self._live_feed.subscribe(person)
        sending = asyncio.create_task(_send_all(socket, subscription.events))
        try:
            async for _ in socket:
                pass
        finally:
            self._live_feed.unsubscribe(subscription)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    async def _violations(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"violations": self._recording.violations_as_json()})

    async def _requests(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"requests": self._recording.requests_as_json()})


def _id(body: Json, key: str) -> int:
    """Return a snowflake or small number, sent as text or as a number."""
    value = str(body.get(key, ""))
    if not is_snowflake(value):
        raise Refused(f"{key} must be a whole number.")
    return int(value)


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise Refused(f"{key} must be text.")
    return value


async def _send_all(socket: web.WebSocketResponse, events: asyncio.Queue[Json | None]) -> None:
    while True:
        event = await events.get()
        if event is None:
            await socket.close(code=1001)
            return
        try:
            await socket.send_json(event)
        except ConnectionError:
            return
