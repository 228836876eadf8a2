"""The panel's routes: the image API's mood, the bot process and the clock, for the page and for nobody else.

Every answer is the whole panel as one JSON object. Knows nothing of Discord.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import aiohttp
from aiohttp import web

from sandbox.bot_process import BotProcess
from sandbox.clock import SandboxClock
from sandbox.image_api import CARDS, ImageApi

ROOT = "/sandbox/panel"
PUSH_SECONDS = 0.5
DEFER_AFTER_SECONDS = 2.0  # an action that takes longer goes on; its end is seen on the live socket

Json = dict[str, object]


class Panel:
    """What the panel shows and does. `attach()` adds its routes."""

    def __init__(self, *, bot: BotProcess, images: ImageApi, clock: SandboxClock) -> None:
        self._bot = bot
        self._images = images
        self._clock = clock
        self._sockets: set[web.WebSocketResponse] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._actions: Mapping[str, Callable[[], Awaitable[None]]] = {
            "start": bot.start,
            "kill": bot.kill,
            "stop": bot.stop,
            "restart": bot.restart,
        }

    def attach(self, app: web.Application) -> None:
        app.router.add_get(ROOT, self._show, allow_head=False)
        app.router.add_get(f"{ROOT}/live", self._live, allow_head=False)
        app.router.add_post(f"{ROOT}/mood", self._answering(self._set_mood))
        app.router.add_post(f"{ROOT}/bot", self._answering(self._act_on_bot))
        app.router.add_post(f"{ROOT}/clock", self._answering(self._move_clock))
        app.on_shutdown.append(self._shut_down)

    def describe(self) -> Json:
        """The panel object, as the page reads it. Times in unix milliseconds of the sandbox's clock."""
        images = self._images
        return {
            "bot": {
                "state": self._bot.state.value,
                "pid": self._bot.pid,
                "since_ms": self._bot.since_ms,
                "restarts": self._bot.restarts,
                "log": list(self._bot.log),
            },
            "image_api": {
                "mood": images.mood.value,
                "moods": [
                    {"id": card.mood.value, "group": card.group, "label": card.label, "help": card.help}
                    for card in CARDS
                ],
                "remaining": images.remaining,
                "tasks": images.service.count_tasks(),
                "posts": len(images.posts),
            },
            "clock": {"offset_ms": self._clock.offset_ms, "now_ms": self._clock.now_ms()},
        }

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(self.describe())

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        """Push the panel when something but the time of day has changed, at most twice a second."""
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        self._sockets.add(socket)
        shown = None
        try:
            while not socket.closed:
                panel = self.describe()
                if _without_time(panel) != shown:
                    shown = _without_time(panel)
                    await socket.send_json(panel)
                await _listen(socket, PUSH_SECONDS)
        except ConnectionError:
            pass  # the page has gone
        finally:
            self._sockets.discard(socket)
        return socket

    async def _shut_down(self, _: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        for errand in list(self._errands):
            errand.cancel()

    def _answering(
        self, act: Callable[[Json], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                await act(await _read_object(request))
            except ValueError as error:
                return web.json_response({"error": str(error)}, status=400)
            return web.json_response(self.describe())

        return answer

    async def _set_mood(self, wanted: Json) -> None:
        mood, count = wanted.get("mood"), wanted.get("count")
        if not isinstance(mood, str) or mood not in {card.mood.value for card in CARDS}:
            raise ValueError("There is no such mood.")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise ValueError("The count of tasks must be a whole number.")
        self._images.set_mood(mood, count)

    async def _act_on_bot(self, wanted: Json) -> None:
        action = wanted.get("action")
        if not isinstance(action, str) or action not in self._actions:
            raise ValueError(f"The bot can be told to {', '.join(self._actions)}; nothing else.")
        errand = asyncio.ensure_future(self._actions[action]())
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)
        await asyncio.wait([errand], timeout=DEFER_AFTER_SECONDS)

    async def _move_clock(self, wanted: Json) -> None:
        seconds = wanted.get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError("advance_seconds must be a number.")
        self._clock.advance(seconds)


def _without_time(panel: Json) -> Json:
    clock = cast("Json", panel["clock"])
    return {**panel, "clock": clock["offset_ms"]}


async def _listen(socket: web.WebSocketResponse, seconds: float) -> None:
    """Wait, while noticing that the page closes; what it says is not for us."""
    try:
        async with asyncio.timeout(seconds):
            while not socket.closed:
                await socket.receive()
    except TimeoutError:
        return


async def _read_object(request: web.Request) -> Json:
    try:
        body: object = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    return cast("Json", body)
