"""A local Discord on a port of its own, with a raw REST client and a raw gateway client."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.clock import SandboxClock
from sandbox.local_discord import Actor, LocalDiscord

PAINT: dict[str, Any] = {
    "name": "paint",
    "description": "Paint something",
    "type": 1,
    "integration_types": [0, 1],
    "contexts": [0, 1, 2],
    "options": [
        {"type": 3, "name": "prompt", "description": "What", "required": True, "min_length": 1, "max_length": 20},
        {"type": 4, "name": "seed", "description": "Which", "min_value": -1, "max_value": 99},
        {
            "type": 3,
            "name": "size",
            "description": "How large",
            "choices": [{"name": "Square", "value": "1024*1024"}, {"name": "Wide", "value": "1536*1024"}],
        },
        {"type": 5, "name": "private", "description": "Only me"},
        {"type": 6, "name": "for", "description": "Whom"},
    ],
}


def png(width: int = 2, height: int = 3, padding: int = 0) -> bytes:
    """Return a valid PNG; *padding*: the bytes of a text chunk that makes it larger."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x40\x80\xc0" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows))]
    if padding:
        parts.append(chunk(b"tEXt", b"x" * padding))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> int:
        return self.body["code"]

    def error_codes(self) -> set[str]:
        """Return all short codes in the nested errors tree."""

        def gather(node: Any) -> set[str]:
            found = {error["code"] for error in node.get("_errors", [])} if isinstance(node, dict) else set()
            children = node.values() if isinstance(node, dict) else []
            return found.union(*(gather(child) for child in children)) if children else found

        return gather(self.body.get("errors", {}))


@dataclass(eq=False)
class GatewayClient:
    """A raw gateway connection; `frames`: all that it received."""

    socket: aiohttp.ClientWebSocketResponse
    frames: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, op: int, body: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": body}))

    async def next(self, timeout: float = 60.0) -> dict[str, Any]:
        message = await self.socket.receive(timeout=timeout)
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
        frame = json.loads(message.data)
        self.frames.append(frame)
        return frame

    async def event(self, name: str) -> dict[str, Any]:
        while True:
            frame = await self.next()
            if frame["t"] == name:
                return frame["d"]

    async def identify(self, token: str, **changes: Any) -> None:
        await self.send(2, {"token": token, "intents": 0, "properties": {"os": "x"}, **changes})

    async def close_code(self) -> int | None:
        while True:
            message = await self.socket.receive(timeout=60)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                return self.socket.close_code


class Bench:
    def __init__(self, discord: LocalDiscord, clock: SandboxClock, url: str, http: aiohttp.ClientSession) -> None:
        self.discord = discord
        self.clock = clock
        self.url = url
        self.http = http

    def actor(self, name: str) -> Actor:
        return self.discord.actor(name)

    def channel_id(self, name: str) -> int:
        return self.discord.channels[name].id

    async def rest(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        bot: bool = True,
        files: list[tuple[str, bytes]] | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if bot:
            sent.setdefault("Authorization", f"Bot {self.discord.token}")
        data: Any = raw
        if files is not None:
            data = aiohttp.FormData(quote_fields=False)
            data.add_field("payload_json", json.dumps(body or {}))
            for number, (filename, content) in enumerate(files):
                data.add_field(f"files[{number}]", io.BytesIO(content), filename=filename)
        elif body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with self.http.request(method, f"{self.url}/api/v10{path}", data=data, headers=sent) as response:
            text = await response.text()
            parsed = json.loads(text) if text else None
            return Reply(response.status, parsed, dict(response.headers))

    async def register(self, *commands: dict[str, Any]) -> Reply:
        return await self.rest("PUT", f"/applications/{self.discord.application_id}/commands", list(commands))

    @contextlib.asynccontextmanager
    async def connect(self, *, identify: bool = True, **changes: Any) -> AsyncIterator[GatewayClient]:
        async with self.http.ws_connect(f"{self.url}/gateway?v=10&encoding=json") as socket:
            client = GatewayClient(socket)
            hello = await client.next()
            assert hello["op"] == 10
            if identify:
                await client.identify(self.discord.token, **changes)
                await client.event("READY")
            yield client

    async def paint(self, person: str = "mira", channel: str = "gallery", **options: Any) -> Act:
        """Use the command /paint as a person; it is not answered yet."""
        number = await self.actor(person).command(channel, "paint", **({"prompt": "a castle"} | options))
        return self.act(person, number)

    def act(self, person: str, interaction_id: int) -> Act:
        token = self.actor(person).interaction(interaction_id).token
        return Act(self, person, interaction_id, token)


@dataclass
class Act:
    """One interaction as the bot gets it: its id, its token, and the calls with them."""

    bench: Bench
    person: str
    id: int
    token: str

    async def callback(self, body: Any, *, with_response: bool = True, **more: Any) -> Reply:
        query = "?with_response=true" if with_response else ""
        return await self.bench.rest(
            "POST", f"/interactions/{self.id}/{self.token}/callback{query}", body, bot=False, **more
        )

    async def webhook(self, method: str, tail: str = "", body: Any = None, **more: Any) -> Reply:
        path = f"/webhooks/{self.bench.discord.application_id}/{self.token}{tail}"
        return await self.bench.rest(method, path, body, bot=False, **more)

    async def edit(self, body: Any, **more: Any) -> Reply:
        return await self.webhook("PATCH", "/messages/@original", body, **more)

    async def follow_up(self, body: Any, **more: Any) -> Reply:
        return await self.webhook("POST", "?wait=true", body, **more)

    def seen(self) -> dict[str, Any] | None:
        return self.bench.actor(self.person).answer(self.id)


@contextlib.asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    clock = SandboxClock()
    local = LocalDiscord(clock, rng=random.Random(7))
    app = web.Application()
    address = ""
    local.attach(app, lambda: address)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as http:
            yield Bench(local, clock, address, http)
    finally:
        await local.close()
        await asyncio.sleep(0)
        await runner.cleanup()
