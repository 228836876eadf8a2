"""A small bot over raw HTTP and a raw websocket, for the tests of the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sandbox.world import Sandbox

V2 = 1 << 15
EPHEMERAL = 1 << 6
Json = dict[str, Any]

COMMANDS: list[Json] = [
    {
        "name": "imagine",
        "type": 1,
        "description": "Make 1 to 4 images from a prompt",
        "options": [
            {
                "name": "prompt",
                "type": 3,
                "description": "What to paint",
                "required": True,
                "min_length": 1,
                "max_length": 2000,
            },
            {
                "name": "size",
                "type": 3,
                "description": "Width and height",
                "choices": [
                    {"name": "Square 1024×1024", "value": "1024*1024"},
                    {"name": "Portrait 1024×1536", "value": "1024*1536"},
                ],
            },
            {"name": "seed", "type": 4, "description": "A whole number", "min_value": -1, "max_value": 2147483647},
            {"name": "private", "type": 5, "description": "Only you see it"},
        ],
    },
    {"name": "credits", "type": 1, "description": "Your balance"},
    {"name": "Imagine this", "type": 3},
]


class TinyBot:
    """Answers each interaction with what `answer(interaction)` returns: an interaction callback, or None
    for no answer.
    """

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bot {box.discord.token}"})
        self._listening: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.interactions: list[Json] = []
        self.answer: Callable[[Json], Json | None] = lambda _: text_answer("heard")

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        await asyncio.wait_for(self._ready.wait(), 60)
        await self.call("PUT", f"/applications/{self._box.discord.application_id}/commands", json=COMMANDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listening is not None
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        await self._http.close()

    async def call(self, method: str, path: str, **body: Any) -> Any:
        async with self._http.request(method, f"{self._box.url}/api/v10{path}", **body) as response:
            data = await response.json() if response.content_type == "application/json" else None
            assert response.status < 300, (method, path, response.status, data)
            return data

    def channel(self, name: str) -> int:
        return self._box.discord.channels[name].id

    async def post(self, channel: str, *components: Json, **files: bytes) -> Json:
        """Post a Components V2 message; *files*: name=bytes, named by attachment://name.png."""
        payload = {"flags": V2, "components": list(components)}
        return await self._send(channel, payload, files)

    async def say(self, channel: str, content: str) -> Json:
        return await self._send(channel, {"content": content, "allowed_mentions": {"parse": []}}, {})

    async def edit(self, message: Json, *components: Json) -> Json:
        path = f"/channels/{message['channel_id']}/messages/{message['id']}"
        return await self.call("PATCH", path, json={"components": list(components)})

    async def _send(self, channel: str, payload: Json, files: dict[str, bytes]) -> Json:
        path = f"/channels/{self.channel(channel)}/messages"
        if not files:
            return await self.call("POST", path, json=payload)
        form = aiohttp.FormData()
        names = [f"{name}.png" for name in files]
        payload["attachments"] = [{"id": str(n), "filename": name} for n, name in enumerate(names)]
        form.add_field("payload_json", json.dumps(payload), content_type="application/json")
        for n, data in enumerate(files.values()):
            form.add_field(f"files[{n}]", data, filename=names[n], content_type="image/png")
        return await self.call("POST", path, data=form)

    async def _listen(self) -> None:
        async with self._http.ws_connect(
            f"{self._box.url.replace('http', 'ws', 1)}/gateway?v=10&encoding=json"
        ) as socket:
            await socket.receive_json()  # hello
            identify = {
                "token": self._box.discord.token,
                "intents": 0,
                "properties": {"os": "", "browser": "", "device": ""},
            }
            await socket.send_json({"op": 2, "d": identify})
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    await self._receive(frame.json())

    async def _receive(self, event: Json) -> None:
        if event.get("t") == "READY":
            self._ready.set()
        if event.get("t") != "INTERACTION_CREATE":
            return
        interaction = event["d"]
        self.interactions.append(interaction)
        answer = self.answer(interaction)
        if answer is not None:
            await self.call("POST", f"/interactions/{interaction['id']}/{interaction['token']}/callback", json=answer)


def text_answer(content: str, *, private: bool = False) -> Json:
    return {"type": 4, "data": {"content": content, "flags": EPHEMERAL if private else 0}}


def text(content: str) -> Json:
    return {"type": 10, "content": content}


def card(*parts: Json) -> Json:
    return {"type": 17, "accent_color": 0x0F766E, "components": list(parts)}


def row(*buttons: Json) -> Json:
    return {"type": 1, "components": list(buttons)}


def button(label: str, style: int = 2) -> Json:
    return {"type": 2, "style": style, "label": label, "custom_id": f"{label}:1"}


def gallery(*items: tuple[str, str]) -> Json:
    return {
        "type": 12,
        "items": [{"media": {"url": f"attachment://{name}.png"}, "description": alt} for name, alt in items],
    }
