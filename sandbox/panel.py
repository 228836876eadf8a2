"""The routes of the page's panel: the image API's mood, the bot's processes, outages of servers and the clock.

Every answer is the whole panel as one JSON object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import aiohttp
from aiohttp import web

from sandbox.bot_process import BotProcess
from sandbox.clock import SandboxClock
from sandbox.image_api import CARDS, ImageApi
from sandbox.json_bodies import error_response, read_object
from sandbox.local_discord import Lie, LocalDiscord
from sandbox.shards import ProcessShards

ROOT = "/sandbox/panel"
PUSH_SECONDS = 0.5
ANSWER_AFTER_SECONDS = 2.0  # an action that takes longer goes on; the live socket tells its end

ACTIONS: dict[str, Callable[[BotProcess], Awaitable[None]]] = {
    "start": BotProcess.start,
    "kill": BotProcess.kill,
    "stop": BotProcess.stop,
    "restart": BotProcess.restart,
}

LIES = {
    Lie.KEPT_BY_ID_ALONE: "Kept attachments may be named without their file names",
    Lie.NO_TEXT_LIMIT: "Any number of bytes of text is taken",
    Lie.OPEN_PRIVATE_THREADS: "The bot posts in private threads that it is no member of",
    Lie.NO_ATTACHMENT_IDS: "Answers do not name the ids of attachments",
    Lie.SERVER_COMMANDS_ONLY: "Commands for people are made for servers alone",
}

Json = dict[str, object]


class Panel:
    def __init__(
        self,
        *,
        bots: Sequence[BotProcess],
        shards: Sequence[ProcessShards],
        images: ImageApi,
        discord: LocalDiscord,
        clock: SandboxClock,
    ) -> None:
        self._bots = bots
        self._shards = shards
        self._images = images
        self._discord = discord
        self._clock = clock
        self._sockets: set[web.WebSocketResponse] = set()
        self._running: set[asyncio.Task[None]] = set()

    def attach(self, app: web.Application) -> None:
        app.router.add_get(ROOT, self._get, allow_head=False)
        app.router.add_get(f"{ROOT}/live", self._live, allow_head=False)
        app.router.add_post(f"{ROOT}/mood", self._answering(self._set_mood))
        app.router.add_post(f"{ROOT}/bot", self._answering(self._act_on_bot))
        app.router.add_post(f"{ROOT}/outage", self._answering(self._set_outage))
        app.router.add_post(f"{ROOT}/lie", self._answering(self._set_lie))
        app.router.add_post(f"{ROOT}/clock", self._answering(self._move_clock))
        app.on_shutdown.append(self._shut_down)

    def describe(self) -> Json:
        """Return the panel as JSON. Times are unix milliseconds of the sandbox's clock."""
        images = self._images
        return {
            "bots": [
                {
                    "state": bot.state.value,
                    "pid": bot.pid,
                    "since_ms": bot.since_ms,
                    "restarts": bot.restarts,
                    "log": list(bot.log),
                    "shards": shards.describe(),
                }
                for bot, shards in zip(self._bots, self._shards, strict=True)
            ],
            "image_api": {
                "mood": images.mood.value,
                "moods": [
                    {"id": card.mood.value, "group": card.group, "label": card.label, "help": card.help}
                    for card in CARDS
                ],
                "remaining": images.remaining,
                "tasks": images.count_tasks(),
                "posts": len(images.posts),
            },
            "servers": [
                {"id": str(guild.id), "name": guild.name, "unavailable": self._discord.has_outage(guild.name)}
                for guild in self._discord.guilds
                if guild.has_bot
            ],
            "lies": [
                {"id": lie.value, "label": label, "told": lie in self._discord.faults.lies}
                for lie, label in LIES.items()
            ],
            "clock": {"offset_ms": self._clock.offset_ms, "now_ms": self._clock.now_ms()},
        }

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response(self.describe())

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        """Send the panel when anything but the time of day has changed, at most twice a second."""
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        self._sockets.add(socket)
        sent = None
        try:
            while not socket.closed:
                panel = self.describe()
                if _without_time(panel) != sent:
                    sent = _without_time(panel)
                    await socket.send_json(panel)
                await _listen(socket, PUSH_SECONDS)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._sockets.discard(socket)
        return socket

    async def _shut_down(self, _: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        for action in list(self._running):
            action.cancel()

    def _answering(
        self, act: Callable[[Json], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                await act(await read_object(request))
            except ValueError as error:
                return error_response(400, str(error))
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
        """Do what `action` says with process number `process`, 0 where none is given."""
        action, number = wanted.get("action"), wanted.get("process", 0)
        if not isinstance(action, str) or action not in ACTIONS:
            raise ValueError(f"The bot can be told to {', '.join(ACTIONS)}; nothing else.")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self._bots):
            raise ValueError("There is no such process.")
        running = asyncio.ensure_future(ACTIONS[action](self._bots[number]))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        await asyncio.wait([running], timeout=ANSWER_AFTER_SECONDS)

    async def _set_outage(self, wanted: Json) -> None:
        """Begin or end an outage of a server, as Discord has them."""
        unavailable = wanted.get("unavailable")
        found = [guild.name for guild in self._discord.guilds if str(guild.id) == wanted.get("guild_id")]
        if not found or not isinstance(unavailable, bool):
            raise ValueError("A server's outage begins or ends; name the server by its id.")
        self._discord.set_outage(found[0], unavailable)

    async def _set_lie(self, wanted: Json) -> None:
        """Have the local Discord do something in another way than the real one, or end that."""
        lie, told = wanted.get("lie"), wanted.get("told")
        if not isinstance(lie, str) or lie not in set(Lie) or not isinstance(told, bool):
            raise ValueError("A lie is told or not; name it by its id.")
        self._discord.faults.lie(Lie(lie), told)

    async def _move_clock(self, wanted: Json) -> None:
        seconds = wanted.get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError("advance_seconds must be a number.")
        self._clock.advance(seconds)


def _without_time(panel: Json) -> Json:
    clock = cast("Json", panel["clock"])
    return {**panel, "clock": clock["offset_ms"]}


async def _listen(socket: web.WebSocketResponse, seconds: float) -> None:
    """Wait for *seconds* or until the page closes; what the page sends is ignored."""
    try:
        async with asyncio.timeout(seconds):
            while not socket.closed:
                await socket.receive()
    except TimeoutError:
        return
