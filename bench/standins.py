"""Lean stand-ins for Discord (gateway and REST) and the image API, on one port.

They check nothing and keep no message, so that they cost little beside the bot that is measured; they note when each
command was sent, answered and posted, and count calls. tests/ and sandbox/ have those that are strict.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import math
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web
from PIL import Image

from discord_api.snowflakes import snowflake_at

HOST = "127.0.0.1"
ANSWER_SECONDS = 3.0  # Discord docs: Receiving and Responding, "you must send an initial response within 3 seconds"
APPLICATION = GUILD = CHANNEL = "1"
BOT_USER = {"id": APPLICATION, "username": "bench", "discriminator": "0", "avatar": None, "bot": True}
# View Channel, Send Messages, Attach Files, Read Message History, and sending in threads (Discord docs: Permissions)
PERMISSIONS = str(1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 38)


@dataclass(slots=True)
class Command:
    """One /imagine. Times are monotonic seconds; inf: not yet."""

    sent_at: float
    answered_at: float = math.inf
    ready_at: float = math.inf  # when the image API has its image
    posted_at: float = math.inf  # when the whole image has reached Discord


@dataclass(slots=True)
class Task:
    """One task of the image API."""

    command: Command
    polled_at: float = -math.inf


@dataclass
class StandIns:
    """Both servers, and what they noted. *durations*: how long each following task takes, in seconds; *image*: the
    bytes of every image; *session*: makes the calls back."""

    durations: Iterator[float]
    image: bytes
    session: aiohttp.ClientSession
    url: str = ""
    commands: dict[str, Command] = field(default_factory=dict)  # by interaction token
    tasks: dict[str, Task] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)  # the bot has been sent READY
    ready_at: float = math.inf
    calls: int = 0  # calls to Discord about messages and interactions
    polls: int = 0
    closest_polls_seconds: float = math.inf
    unknown: list[str] = field(default_factory=list)  # calls that no route takes
    _sockets: dict[int, web.WebSocketResponse] = field(default_factory=dict)  # by shard
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _callbacks: set[asyncio.Task[None]] = field(default_factory=set)

    def settings(self) -> dict[str, str]:
        """Return the environment of a bot that is to call these servers."""
        return {
            "DISCORD_TOKEN": "MTAwMDAwMDAwMDAwMDAwMDAw.GbenchX." + "x" * 30,
            "DISCORD_API_URL": f"{self.url}/api/v10",
            "DISCORD_GATEWAY_URL": f"{self.url.replace('http', 'ws', 1)}/gateway",
            "QWEN_API_KEY": "sk-bench",
            "QWEN_API_URL": f"{self.url}/image-api",
            "QWEN_IMAGE_HOSTS": HOST,
        }

    async def send_command(self, number: int) -> Command:
        """Send one /imagine, each from another person, to one shard after another."""
        socket = self._sockets[number % len(self._sockets)]
        token = f"bench-{number}"
        event = interaction(
            self._snowflake(), token, user_id=10_000 + number, prompt=f"{token} a lighthouse in a storm"
        )
        command = self.commands[token] = Command(time.monotonic())
        await self._send(socket, "INTERACTION_CREATE", event)
        return command

    def seed_task(self, task_id: str, token: str) -> None:
        """Let the image API know a task, made before the bot started, that runs until finish_all()."""
        self.seed_command(token)
        self.tasks[task_id] = Task(self.commands[token])

    def seed_command(self, token: str) -> None:
        """Take the request of a command that was sent before the bot started. Its prompt begins with *token*."""
        self.commands[token] = Command(-math.inf)

    def finish_all(self) -> None:
        """End all tasks."""
        now = time.monotonic()
        for task in self.tasks.values():
            task.command.ready_at = min(task.command.ready_at, now)

    def routes(self, app: web.Application) -> None:
        api, router = "/api/v10", app.router
        for path in ("/gateway", "/gateway/"):
            router.add_get(path, self._gateway)
        router.add_get(f"{api}/gateway/bot", self._gateway_bot)
        router.add_get(f"{api}/users/@me", self._me)
        for path in ("/oauth2/applications/@me", "/applications/@me"):
            router.add_get(api + path, self._application)
        router.add_put(f"{api}/applications/{{application}}/commands", self._command_list)
        router.add_post(f"{api}/interactions/{{id}}/{{token}}/callback", self._answer)
        router.add_route("*", f"{api}/webhooks/{{application}}/{{token}}/messages/{{message}}", self._message)
        router.add_post(f"{api}/webhooks/{{application}}/{{token}}", self._message)
        router.add_route("*", f"{api}/channels/{{channel}}/messages/{{message}}", self._message)
        router.add_post(f"{api}/channels/{{channel}}/messages", self._message)
        router.add_post("/image-api/generate", self._generate)
        router.add_get("/image-api/status", self._status)
        router.add_get("/images/{name}", self._image)
        router.add_route("*", "/{rest:.*}", self._unknown)

    # -- Discord's gateway ---------------------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 41_250}, "s": None, "t": None})
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            match json.loads(message.data):
                case {"op": 1}:
                    await socket.send_json({"op": 11})
                case {"op": 2, "d": asked}:
                    await self._send_ready(socket, asked.get("shard", [0, 1]))
                case {"op": 6, "d": asked}:
                    self._sockets[int(asked["session_id"])] = socket
                    await self._send(socket, "RESUMED", {})
                case _:
                    pass
        return socket

    async def _send_ready(self, socket: web.WebSocketResponse, shard: list[int]) -> None:
        self._sockets[shard[0]] = socket
        gateway_url = self.settings()["DISCORD_GATEWAY_URL"]
        application = {"id": APPLICATION, "flags": 0}
        event = {"v": 10, "user": BOT_USER, "guilds": [], "resume_gateway_url": gateway_url}
        session = {"session_id": str(shard[0]), "shard": shard, "application": application}
        await self._send(socket, "READY", {**event, **session})
        self.ready_at = time.monotonic()
        self.ready.set()

    async def _send(self, socket: web.WebSocketResponse, event: str, data: dict[str, Any]) -> None:
        await socket.send_str(json.dumps({"op": 0, "t": event, "s": next(self._numbers), "d": data}))

    # -- Discord's REST ------------------------------------------------------------------------------------------

    async def _gateway_bot(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 16}
        return _json({"url": self.settings()["DISCORD_GATEWAY_URL"], "shards": 1, "session_start_limit": limit})

    async def _me(self, request: web.Request) -> web.Response:
        return _json(BOT_USER)

    async def _application(self, request: web.Request) -> web.Response:
        owner = {"id": "2", "username": "owner", "discriminator": "0", "avatar": None}
        known = {"id": APPLICATION, "name": "bench", "icon": None, "description": "", "verify_key": "00", "summary": ""}
        flags = {"bot_public": True, "bot_require_code_grant": False, "team": None, "flags": 0}
        return _json({**known, **flags, "owner": owner})

    async def _command_list(self, request: web.Request) -> web.Response:
        known = {"application_id": APPLICATION, "version": "1", "default_member_permissions": None, "description": ""}
        listed = [{"type": 1, **known, **command, "id": str(self._snowflake())} for command in await request.json()]
        return _json(listed)

    async def _answer(self, request: web.Request) -> web.Response:
        """Take the first response to a command; refuse it after three seconds."""
        now = time.monotonic()
        self.calls += 1
        command = self.commands[request.match_info["token"]]
        kind = json.loads(await request.read())["type"]
        if now - command.sent_at > ANSWER_SECONDS:
            return _json({"code": 10062, "message": "Unknown interaction"}, status=404)
        command.answered_at = now
        message_id = str(self._snowflake())
        told = {"id": request.match_info["id"], "type": 2, "response_message_id": message_id}
        resource = {"type": kind, **({"message": _message(message_id, with_image=False)} if kind == 4 else {})}
        return _json({"interaction": told, "resource": resource})

    async def _message(self, request: web.Request) -> web.Response:
        """Take an edit or a new message. Libraries send a multipart body only where a file comes along."""
        self.calls += 1
        with_image = request.content_type.startswith("multipart/")
        async for _ in request.content.iter_any():
            pass
        command = self.commands.get(request.match_info.get("token", ""))
        if with_image and command is not None:
            command.posted_at = min(command.posted_at, time.monotonic())
        named = request.match_info.get("message", "@original")
        message_id = str(self._snowflake()) if named == "@original" else named
        return _json(_message(message_id, with_image=with_image))

    async def _unknown(self, request: web.Request) -> web.Response:
        self.unknown.append(f"{request.method} {request.path}")
        return _json({"code": 0, "message": "404: Not Found"}, status=404)

    # -- the image API -------------------------------------------------------------------------------------------

    async def _generate(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        seconds, task_id = next(self.durations), f"n01{len(self.tasks):012d}qwenimg"
        command = self.commands[body["prompt"].split()[0]]
        command.ready_at = time.monotonic() + seconds
        self.tasks[task_id] = Task(command)
        if url := body.get("callback_url"):
            asyncio.get_running_loop().call_at(command.ready_at, self._call_back, url, task_id)
        return _envelope({"task_id": task_id, "status": "PENDING"})

    def _call_back(self, url: str, task_id: str) -> None:
        async def call() -> None:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.post(url, json={"task_id": task_id, "status": "SUCCESS"}) as response:
                    await response.read()

        calling = asyncio.create_task(call())
        self._callbacks.add(calling)
        calling.add_done_callback(self._callbacks.discard)

    async def _status(self, request: web.Request) -> web.Response:
        task_id, now = request.query["task_id"], time.monotonic()
        task = self.tasks[task_id]
        self.polls += 1
        self.closest_polls_seconds = min(self.closest_polls_seconds, now - task.polled_at)
        task.polled_at = now
        done = task.command.ready_at <= now
        known = {"task_id": task_id, "error_message": None, "created_at": "2026-01-01T00:00:00Z", "request": {}}
        if not done:
            return _envelope({**known, "status": "IN_PROGRESS", "consumed_credits": 0, "response": None})
        images = [f"{self.url}/images/{task_id}.jpg"]
        return _envelope({**known, "status": "SUCCESS", "consumed_credits": 5, "response": images})

    async def _image(self, request: web.Request) -> web.Response:
        return web.Response(body=self.image, content_type="image/jpeg")

    def _snowflake(self) -> int:
        return snowflake_at(time.time_ns() // 1_000_000) | next(self._numbers) & 0x3FFFFF


@contextlib.asynccontextmanager
async def open_standins(durations: Iterator[float], image: bytes) -> AsyncIterator[StandIns]:
    """Open the stand-ins; they listen until the block ends. Each image of the image API is *image*."""
    async with aiohttp.ClientSession() as session:
        standins = StandIns(durations, image, session)
        app = web.Application(client_max_size=32 << 20)
        standins.routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, backlog=4096).start()
        standins.url = f"http://{HOST}:{runner.addresses[0][1]}"
        try:
            yield standins
        finally:
            await runner.cleanup()


def task_durations(median_seconds: float, seed: int) -> Iterator[float]:
    """Yield how long tasks take: log-normal, with a sigma of 0.4; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield rng.lognormvariate(math.log(median_seconds), 0.4)


def make_image(side: int = 1024) -> bytes:
    """Return a JPEG of noise, about 1 MB."""
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(buffer, "JPEG", quality=93)
    return buffer.getvalue()


def interaction(interaction_id: int, token: str, *, user_id: int, prompt: str) -> dict[str, Any]:
    """Return the event of an /imagine in a guild (Discord docs: Receiving and Responding, "Interaction Structure")."""
    user = {"id": str(user_id), "username": "someone", "discriminator": "0", "avatar": None}
    fields = {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}
    channel = {"id": CHANNEL, "type": 0, "name": "bench", "position": 0, "permissions": PERMISSIONS, "nsfw": False}
    return {
        "id": str(interaction_id),
        "application_id": APPLICATION,
        "type": 2,
        "token": token,
        "version": 1,
        "guild_id": GUILD,
        "guild": {"id": GUILD, "locale": "en-US", "features": []},
        "channel_id": CHANNEL,
        "channel": {**channel, "parent_id": None, "last_message_id": None},
        "data": {"id": "1", "name": "imagine", "type": 1, "options": [{"name": "prompt", "type": 3, "value": prompt}]},
        "member": {"user": user, **fields, "permissions": PERMISSIONS},
        "locale": "en-US",
        "guild_locale": "en-US",
        "app_permissions": PERMISSIONS,
        "entitlements": [],
        "authorizing_integration_owners": {"0": GUILD},
        "context": 0,
        "attachment_size_limit": 10 << 20,
    }


def _message(message_id: str, *, with_image: bool) -> dict[str, Any]:
    """Return a message as Discord does: attachments that components show are named in these alone."""
    media = {"url": f"https://cdn.example/attachments/1/{message_id}/image.jpg", "attachment_id": message_id}
    gallery = [{"type": 12, "id": 2, "items": [{"media": media}]}] if with_image else []
    return {
        "id": message_id,
        "channel_id": CHANNEL,
        "type": 20,
        "flags": 1 << 15,
        "content": "",
        "author": BOT_USER,
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        **{name: [] for name in ("attachments", "embeds", "mentions", "mention_roles")},
        **{name: False for name in ("pinned", "tts", "mention_everyone")},
        "components": [{"type": 17, "id": 1, "components": gallery, "spoiler": False}],
    }


def _json(body: Any, status: int = 200) -> web.Response:
    # Without a charset, as Discord sends it: discord.py reads JSON with a charset as text.
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")


def _envelope(data: dict[str, Any]) -> web.Response:
    return web.json_response({"code": 200, "message": "success", "data": data})
