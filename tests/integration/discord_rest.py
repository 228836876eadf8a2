"""A small server with a few of Discord's REST routes, for tests of timing and faults.

Messages keep their attachments by Discord's rules: an edit's `attachments` is the whole list to keep and to add, and a
gallery may name only what is on the message and is in the same request with its file name. sandbox.local_discord is the
complete stand-in.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import discord
from aiohttp import web
from aiohttp.test_utils import TestServer
from discord.http import Route

BOT = {"id": "500", "username": "imagine", "discriminator": "0", "avatar": None, "bot": True}
NAMES_OF_CODES = {10008: "Unknown Message", 50027: "Invalid Webhook Token"}


@dataclass
class Call:
    """One request that the server received."""

    method: str
    path: str
    body: dict[str, Any]
    files: dict[str, bytes]  # by file name
    authorized: bool
    query: dict[str, str]
    user_agent: str = ""


@dataclass
class Fault:
    """Answers *times* calls whose "METHOD path" matches with an error."""

    pattern: str
    status: int
    code: int = 0
    times: int = 1
    skip: int = 0  # the number of matching calls that succeed first
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False  # cut the connection instead
    body: Any = ...  # answer with this JSON
    page: bool = False  # answer with an HTML page, like a proxy or CDN in front of Discord


class DiscordRest:
    """The server's state for tests: its calls, its messages, its faults, and a gate that delays calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.messages: dict[int, dict[str, Any]] = {}
        self.posted: set[int] = set()  # posted with the bot's own token: no interaction's token reaches them
        self.faults: list[Fault] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()  # set by each call; clear it to wait for the next
        self.most_at_once = 0
        self.hides_attachment_ids = False
        self.renames_files = False
        self.tells_no_ids = False  # galleries are answered as they were sent, and no attachment is listed
        self.resolves_kept = True  # without a list, a gallery may name what the message holds
        self.fails_over_text: int | None = None  # 503 to components with more characters than that
        self.fails_over_components = False  # 503 to a new message that has any
        self.asked_in = 0  # the channel of follow-ups
        self.fails_with_files = False  # 503 to an edit that brings files
        self.guild_ids: list[int] = []  # servers that the bot user is in
        self.commands_only: set[int] = set()  # servers that have the commands without the bot user
        self._now = 0
        self._next_id = 9000

    def add_message(self, message_id: int, channel_id: int) -> None:
        self.messages[message_id] = {"channel_id": channel_id, "components": [], "attachments": {}, "content": ""}

    def fault(self, pattern: str, status: int, code: int = 0, **more: Any) -> None:
        self.faults.append(Fault(pattern, status, code, **more))

    def edits(self) -> list[Call]:
        return [call for call in self.calls if call.method == "PATCH"]

    def tried(self) -> list[str]:
        """The calls after the login, as "METHOD path"."""
        return [f"{call.method} {call.path}" for call in self.calls if "@me" not in call.path or call.method == "POST"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        call = await _read(request)
        self.calls.append(call)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.arrived.set()
        try:
            if call.path not in ("/users/@me", "/oauth2/applications/@me"):
                await self.gate.wait()
            return self._fault_for(call, request) or self._failure_over(call) or self._answer(call)
        finally:
            self._now -= 1

    def _fault_for(self, call: Call, request: web.Request) -> web.Response | None:
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, f"{call.method} {call.path}"):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.drop:
                    assert request.transport is not None
                    request.transport.close()
                if fault.page:
                    return web.Response(status=fault.status, text="<html>Attention</html>", content_type="text/html")
                if fault.body is not ...:
                    return _json(fault.body, fault.status)
                body = {"code": fault.code, "message": NAMES_OF_CODES.get(fault.code, "no"), "retry_after": 0.05}
                return _json(body, fault.status, fault.headers)
        return None

    def _failure_over(self, call: Call) -> web.Response | None:
        """The 5xx that this payload always gets, or None."""
        components = call.body.get("components")
        fails = (
            (self.fails_over_text is not None and len(str(components)) > self.fails_over_text)
            or (self.fails_over_components and call.method == "POST" and components)
            or (self.fails_with_files and call.method == "PATCH" and call.files)
        )
        return _json({"code": 0, "message": "no"}, 503) if fails else None

    def _answer(self, call: Call) -> web.Response:
        match call.method, call.path.strip("/").split("/"):
            case "GET", ["users", "@me"]:
                return _json(BOT)
            case "GET", ["oauth2", "applications", "@me"]:
                return _json(_APPLICATION)
            case "GET", ["users", "@me", "guilds"]:
                above = sorted(each for each in self.guild_ids if each > int(call.query["after"]))
                return _json([{"id": str(each), "name": "x"} for each in above[: int(call.query["limit"])]])
            case "GET", ["applications", _, "guilds", guild_id, "commands"]:
                is_there = int(guild_id) in {*self.guild_ids, *self.commands_only}
                return _json([]) if is_there else _json({"code": 50001, "message": "Missing Access"}, 403)
            case "POST", ["users", "@me", "channels"]:
                user = {**BOT, "id": str(call.body["recipient_id"]), "bot": False}
                return _json({"id": f"7{call.body['recipient_id']}", "type": 1, "recipients": [user]})
            case "POST", ["channels", channel_id, "messages"]:
                self._next_id += 1
                self.add_message(self._next_id, int(channel_id))
                self.messages[self._next_id]["flags"] = call.body.get("flags", 0)
                self.posted.add(self._next_id)
                return self._write(self._next_id, call)
            case "POST", ["webhooks", _, _]:
                self._next_id += 1
                self.add_message(self._next_id, self.asked_in)
                self.messages[self._next_id]["flags"] = call.body.get("flags", 0)
                return self._write(self._next_id, call)
            case "GET", ["webhooks", _, _, "messages", "@original"]:
                return self._show(min(self.messages))
            case "GET", ["channels", channel_id]:
                return _json({"id": channel_id, "type": 1})
            case "GET", [("webhooks" | "channels"), *_, message_id]:
                found = int(message_id) in self.messages
                return (
                    self._show(int(message_id)) if found else _json({"code": 10008, "message": "Unknown Message"}, 404)
                )
            case "PATCH", ["webhooks", *_, message_id] if int(message_id) in self.posted:
                return _json({"code": 10008, "message": "Unknown Message"}, 404)
            case "PATCH", [("webhooks" | "channels"), *_, message_id]:
                return self._write(int(message_id), call)
        raise AssertionError(f"unexpected {call.method} {call.path}")

    def _write(self, message_id: int, call: Call) -> web.Response:
        message = self.messages.get(message_id)
        if message is None:
            return _json({"code": 10008, "message": "Unknown Message"}, 404)
        attachments = self._attach(message["attachments"], call)
        if "components" in call.body:
            named = {listed.get("filename") for listed in call.body.get("attachments", [])} | set(call.files)
            if "attachments" not in call.body and self.resolves_kept:
                named |= set(message["attachments"].values())
            unknown = _media_names(call.body["components"]) - (set(attachments.values()) & named)
            if unknown:
                return _json({"code": 50035, "message": f"unfurled media attachment not found: {unknown}"}, 400)
            message["components"] = call.body["components"]
        message["attachments"] = attachments
        message["content"] = call.body.get("content", message["content"])
        return self._show(message_id)

    def _attach(self, before: dict[int, str], call: Call) -> dict[int, str]:
        """Kept ones by their id, new ones by their number in the request; without a list, all and the new ones (Discord
        docs: Webhook, "Edit Webhook Message"). One that is listed and not there is left out, so no gallery may name it.
        """
        after: dict[int, str] = {}
        if "attachments" not in call.body:
            for name in call.files:
                self._next_id += 1
                after[self._next_id] = name
            return before | after
        for listed in call.body["attachments"]:
            if int(listed["id"]) in before:
                after[int(listed["id"])] = before[int(listed["id"])]
            elif listed["filename"] in call.files:
                self._next_id += 1
                after[self._next_id] = listed["filename"]
        return after

    def _show(self, message_id: int) -> web.Response:
        message = self.messages[message_id]
        ids = {name: number for number, name in message["attachments"].items()}

        def resolve(part: Any) -> Any:
            if isinstance(part, list):
                return [resolve(item) for item in part]
            if not isinstance(part, dict):
                return part
            name = str(part.get("url", "")).removeprefix("attachment://")
            if self.tells_no_ids:
                return {key: resolve(value) for key, value in part.items()}
            if name in ids and self.hides_attachment_ids:
                return {"url": f"https://cdn.example/attachments/{message['channel_id']}/{ids[name]}/{name}?ex=1"}
            if name in ids:
                shown_name = f"renamed-{ids[name]}" if self.renames_files else name
                return {"url": f"https://cdn.example/{shown_name}", "attachment_id": str(ids[name])}
            return {key: resolve(value) for key, value in part.items()}

        listed = (
            []
            if message["components"] or self.tells_no_ids
            else [_attachment(number, name) for name, number in ids.items()]
        )
        return _json(
            {
                **{"id": str(message_id), "channel_id": str(message["channel_id"]), "author": BOT, "type": 0},
                **{"content": message["content"] or "", "timestamp": "2026-01-01T00:00:00+00:00"},
                "flags": message.get("flags", 32768),
                **{"edited_timestamp": None, "tts": False, "mention_everyone": False, "mentions": [], "embeds": []},
                **{"mention_roles": [], "attachments": listed, "pinned": False},
                "components": resolve(message["components"]),
            }
        )


_APPLICATION = {
    **{"id": "500", "name": "imagine", "icon": None, "description": "", "bot_public": True, "flags": 0, "team": None},
    **{"bot_require_code_grant": False, "verify_key": "", "owner": {**BOT, "id": "42", "bot": False}},
}


def _attachment(number: int, name: str) -> dict[str, Any]:
    return {"id": str(number), "filename": name, "size": 1, "url": "https://cdn.example/x", "proxy_url": "https://x"}


def _media_names(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(_media_names, part))
    if isinstance(part, dict):
        own = {part["url"].removeprefix("attachment://")} if str(part.get("url")).startswith("attachment://") else set()
        return own.union(*map(_media_names, part.values()))
    return set()


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    text = json.dumps(body).encode()
    return web.Response(body=text, status=status, headers={"Content-Type": "application/json", **(headers or {})})


async def _read(request: web.Request) -> Call:
    files: dict[str, bytes] = {}
    body: dict[str, Any] = {}
    if request.content_type == "multipart/form-data":
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[value.filename] = value.file.read()
            elif name == "payload_json":
                body = json.loads(value)
    elif request.can_read_body:
        body = await request.json()
    path = request.path.removeprefix("/api/v10")
    authorized, user_agent = "Authorization" in request.headers, request.headers.get("User-Agent", "")
    return Call(request.method, path, body, files, authorized, dict(request.query), user_agent)


@asynccontextmanager
async def a_discord() -> AsyncIterator[tuple[DiscordRest, discord.Client]]:
    """Start the server and log a client in to it."""
    rest = DiscordRest()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", rest.handle)
    server = TestServer(app)
    await server.start_server()
    real = Route.BASE
    Route.BASE = str(server.make_url("/api/v10"))
    client = discord.Client(intents=discord.Intents.none())
    try:
        await client.login("token.of.the-bot")
        yield rest, client
    finally:
        rest.gate.set()
        await client.close()
        Route.BASE = real
        await server.close()
