"""Fast stand-ins: an image API whose tasks all end at once, and a webhook route that only takes edits.

The rest of Discord is the sandbox's local Discord.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import struct
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.clock import SandboxClock
from sandbox.local_discord import LocalDiscord

HOST = "127.0.0.1"
KEY = "sk-bench"
TOKEN_START = "bench-"  # prefix of the interaction tokens that the fast webhook route takes


@dataclass
class StandIns:
    """The servers that the bot speaks to, and counts of its calls."""

    discord: LocalDiscord
    url: str = ""
    finished: bool = False  # whether the tasks are done
    posts: int = 0
    polls: int = 0
    edits: int = 0
    images: int = 0  # files that came with edits
    polled: dict[str, float] = field(default_factory=dict)
    closest_polls_seconds: float = float("inf")

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/image-api/api/generate", self._generate)
        app.router.add_get("/image-api/api/status", self._status)
        app.router.add_get("/image-api/cdn/{name}", self._image)
        app.router.add_patch(
            "/api/v10/webhooks/{application}/" + TOKEN_START + "{token}/messages/{message}", self._edit
        )

    async def _generate(self, request: web.Request) -> web.Response:
        await request.read()
        self.posts += 1
        return _success({"task_id": f"n01{self.posts:012d}qwenimg", "status": "PENDING"})

    async def _status(self, request: web.Request) -> web.Response:
        task_id, now = request.query["task_id"], time.monotonic()
        self.polls += 1
        before = self.polled.get(task_id)
        if before is not None:
            self.closest_polls_seconds = min(self.closest_polls_seconds, now - before)
        self.polled[task_id] = now
        done = self.finished
        return _success(
            {
                "task_id": task_id,
                "status": "SUCCESS" if done else "IN_PROGRESS",
                "consumed_credits": 5,
                "error_message": None,
                "created_at": "2026-01-01T00:00:00Z",
                "request": {},
                "response": [f"{self.url}/image-api/cdn/{task_id}.png"] if done else None,
            }
        )

    async def _image(self, request: web.Request) -> web.Response:
        return web.Response(body=IMAGE, content_type="image/png")

    async def _edit(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.edits += 1
        with_file = b"filename=" in body[:4000] or b"files[0]" in body
        self.images += with_file
        message_id = request.match_info["message"]
        media = {"url": f"https://cdn.example/attachments/1/{message_id}/a-1.png", "attachment_id": message_id}
        gallery = [{"type": 12, "id": 2, "items": [{"media": media}]}] if with_file else []
        message = {
            "id": message_id,
            "channel_id": "1",
            "type": 20,
            "flags": 32768,
            "content": "",
            "author": {"id": "1", "username": "bench", "discriminator": "0000", "avatar": None, "bot": True},
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            **{name: [] for name in ("attachments", "embeds", "mentions", "mention_roles")},
            **{name: False for name in ("pinned", "tts", "mention_everyone")},
            "components": [{"type": 17, "id": 1, "components": gallery, "spoiler": False}],
        }
        # Without a charset, as Discord sends it: discord.py reads JSON with a charset as text.
        return web.Response(body=json.dumps(message).encode(), content_type="application/json")

    def settings(self) -> dict[str, str]:
        return {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": f"{self.url}/api/v10",
            "DISCORD_GATEWAY_URL": f"{self.url.replace('http', 'ws', 1)}/gateway",
            "QWEN_API_KEY": KEY,
            "QWEN_API_URL": f"{self.url}/image-api/api",
            "QWEN_IMAGE_HOSTS": HOST,
        }


@contextlib.asynccontextmanager
async def open_standins() -> AsyncIterator[StandIns]:
    """Open the stand-ins; they listen until the block ends."""
    standins = StandIns(LocalDiscord(SandboxClock(), rng=random.Random(0)))
    app = web.Application(client_max_size=32 << 20)
    standins.routes(app)
    standins.discord.attach(app, lambda: standins.url)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=4096).start()
    standins.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield standins
    finally:
        await standins.discord.close()
        await runner.cleanup()
        await asyncio.sleep(0)


def _success(data: dict[str, object]) -> web.Response:
    return web.json_response({"code": 200, "message": "success", "data": data})


def _png(side: int, size_bytes: int) -> bytes:
    """Return a valid grey PNG, made as long as a real image by a text chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes((side + 1) * side)))
    padding = chunk(b"tEXt", b"Comment\0" + base64.b64encode(random.Random(0).randbytes(size_bytes * 3 // 4)))
    return b"\x89PNG\r\n\x1a\n" + header + padding + rows + chunk(b"IEND", b"")


IMAGE = _png(1024, 300_000)
