"""Keep the bot connected to Discord's gateway, whatever ends a connection; discord.py 2.7.1's own loop gives up.

There `Shard.reconnect` lets ReconnectWebSocket escape (a gateway that closes before HELLO), an event that can't be
parsed ends the connection, and each of these closes the client with its HTTP session (shard.py `connect`). Here one
loop per shard opens discord.py's websocket again and again; REST calls go on. The client's own list of shards stays
empty: what needs it (presence, voice, chunks of members) is not used here. Knows no command and no event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import discord
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from discord_api.endpoints import UNREADABLE
from discord_api.errors import asking, described, retry_seconds
from discord_api.gateway_schedule import NEW_SESSION, REFUSALS, STEADY_SECONDS, WRONG_SHARDS, reconnect_seconds
from discord_api.shards import Shards
from generations.clock import Clock
from processes.identify_turns import IdentifyTurns, StartLimit
from processes.model import Presence
from qwen.connections import NETWORK_FAULTS

log = logging.getLogger("qwen_imagine.gateway")

OPEN_SECONDS = 60.0  # from the first byte to HELLO
CLOSE_SECONDS = 2.0  # aiohttp would wait half a minute for the other side's close frame
CLOSE_OPCODE: Any = 8  # RFC 6455, 5.5.1, where the body is the code
CLOSE_FRAME_1000 = (1000).to_bytes(2, "big")
BRIEF_MAX = 4  # so that a gateway that soon drops every connection is tried every 4 to 8 s
UNHEARD_MAX = 3  # after so many resumed connections without an event the session is given up


class GatewayRefused(Exception):
    """Discord refuses this bot until a person changes something. *code*: the close code, one of REFUSALS."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{REFUSALS[code]} (gateway close code {code})")
        self.code = code


class WrongShards(Exception):
    """The number of shards must be fetched again."""


class GatewaySocket(DiscordWebSocket):
    """discord.py's websocket. It drops an event that can't be read, and closes its socket if it ends before HELLO."""

    async def received_message(self, msg: Any, /) -> None:
        """Handle one frame. One that can't be read is logged by its event's name, without its content, and dropped."""
        text = self._decompressor.decompress(msg) if type(msg) is bytes else msg
        if text is None:
            return
        try:
            await super().received_message(text)
        except UNREADABLE as error:
            if self._keep_alive is None:  # before HELLO there is no event
                raise
            log.error(
                "shard %s: the event %s can't be read and is dropped: %s",
                self.shard_id,
                name_of(text),
                described(error),
            )

    async def poll_event(self) -> None:
        """Handle the next frame. Raises discord.ConnectionClosed, with its code, when the other side has closed, and
        ReconnectWebSocket when this side has, because Discord or discord.py's heartbeat asked for it."""
        try:
            await super().poll_event()
        except ReconnectWebSocket as ended:
            if self._close_code is not None:
                raise
            raise discord.ConnectionClosed(self.socket, shard_id=self.shard_id) from ended
        finally:
            if self._keep_alive is None:
                await close(self, 4000)


@dataclass(slots=True)
class Session:
    """What one shard needs to resume, and how its last connections ended."""

    shard_id: int
    id: str | None = None
    sequence: int | None = None
    gateway: yarl.URL | None = None
    use_default_gateway: bool = False  # the session's own address could not be reached last time
    heard: bool = False  # whether this connection has received an event
    unheard: int = 0  # connections in a row that were opened and received none
    brief: int = 0  # connections in a row that received an event and soon ended
    failures: int = 0  # how the next wait is computed: reconnect_seconds()

    def take(self, socket: DiscordWebSocket) -> None:
        """Take session id, sequence and address from *socket*."""
        if socket.sequence is not None and socket.sequence != self.sequence:
            if self.failures and not self.heard:
                log.info("shard %s: events come again", self.shard_id)
            self.heard, self.unheard = True, 0
        self.id, self.sequence, self.gateway = socket.session_id, socket.sequence, socket.gateway

    def count(self, lasted_seconds: float) -> None:
        """Count a connection that has ended. One that received an event ends a row of failures, not of brief ones."""
        if self.heard:
            self.brief = 0 if lasted_seconds >= STEADY_SECONDS else min(self.brief + 1, BRIEF_MAX)
        self.failures = self.brief if self.heard else self.failures + 1

    def forget(self) -> None:
        """Have the next connection identify anew."""
        self.id = self.sequence = self.gateway = None
        self.unheard, self.use_default_gateway = 0, False


class GatewayConnection:
    """Keep the shards of *client* connected, which must be logged in. *rng* spreads the tries.

    *shards*: those of this process; None: all, and as many as Discord recommends. *presence*: is told which they are,
    and which are connected.
    """

    def __init__(
        self,
        client: discord.AutoShardedClient,
        clock: Clock,
        rng: random.Random,
        turns: IdentifyTurns,
        presence: Presence,
        shards: Shards | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._turns = turns
        self._presence = presence
        self._fixed = shards
        self._limit = StartLimit()
        self._not_before = float("-inf")  # set where Discord says that no IDENTIFY is left

    async def run(self) -> NoReturn:
        """Stay connected until cancelled. Raises GatewayRefused."""
        failures = 0
        while True:
            shards = await self._ask_for_shards()
            tasks = [asyncio.create_task(self._keep(Session(number)), name=f"shard {number}") for number in shards.ids]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, GatewayRefused):
                    raise error
                if not isinstance(error, WrongShards | asyncio.CancelledError):
                    log.error("a shard ended by a fault of our own: %s", described(error))
            failures += 1
            await self._clock.sleep(reconnect_seconds(failures, self._rng.random()))

    async def _ask_for_shards(self) -> Shards:
        """Ask Discord, until it answers, how many shards to start and how many sessions may still be started. Return
        the shards of this process."""
        failures = 0
        while True:
            [answer] = await asyncio.gather(self._gateway_bot(), return_exceptions=True)
            if not isinstance(answer, BaseException):
                return self._take_shards(*answer)
            cause = answer.__cause__
            if isinstance(cause, discord.HTTPException) and cause.status == 401:
                raise GatewayRefused(4004) from answer
            failures += 1
            wait = reconnect_seconds(failures, self._rng.random())
            if isinstance(cause, discord.HTTPException) and cause.status == 429:
                wait = max(wait, retry_seconds(cause))  # calls during a ban of this address prolong it
            log.warning("Discord can't be asked for its gateway, again in %.1f s: %s", wait, described(answer))
            await self._clock.sleep(wait)

    async def _gateway_bot(self) -> tuple[StartLimit, int, float]:
        """Return the limits with the number of shards that Discord recommends, how many sessions may still be started,
        and the seconds until there are more."""
        with asking(self._client):
            count, _, limit = await self._client.http.get_bot_gateway()
            of_a_day = int(limit.get("total", StartLimit.a_day))
            left, reset_seconds = int(limit.get("remaining", of_a_day)), float(limit.get("reset_after", 0)) / 1000
            concurrency = max(1, int(limit.get("max_concurrency", 1)))
            return StartLimit(of_a_day, concurrency, max(1, int(count))), left, reset_seconds

    def _take_shards(self, recommended: StartLimit, left: int, reset_seconds: float) -> Shards:
        shards = self._fixed or Shards(recommended.shards, range(recommended.shards))
        client: Any = self._client
        client.shard_count = client._connection.shard_count = shards.count
        client._connection.shard_ids = shards.ids
        self._presence.shard_count, self._presence.shard_ids = shards.count, shards.range_text
        self._limit = replace(recommended, shards=shards.count)
        log.info("starting %s; Discord recommends %d in all", shards, recommended.shards)
        if left < len(shards.ids):
            log.error(
                "Discord lets this bot start %d sessions in the next %.0f s; it waits for more", left, reset_seconds
            )
            self._not_before = self._clock.monotonic() + reset_seconds
        return shards

    async def _keep(self, session: Session) -> NoReturn:
        """Keep one shard connected. Raises GatewayRefused and WrongShards."""
        while True:
            session.heard, began = False, self._clock.monotonic()
            [ended] = await asyncio.gather(self._connect(session), return_exceptions=True)
            session.count(self._clock.monotonic() - began)
            self._client.dispatch("shard_disconnect", session.shard_id)
            wait = max(self._wait_for(session, ended), reconnect_seconds(session.failures, self._rng.random()))
            log.log(
                logging.INFO if isinstance(ended, ReconnectWebSocket) else logging.WARNING,
                "shard %s: the connection to Discord's gateway ended, the next one comes in %.1f s: %s",
                session.shard_id, wait, described(ended),
            )  # fmt: skip
            await self._clock.sleep(wait)

    def _wait_for(self, session: Session, ended: BaseException) -> float:
        """Forget the session if it can't be resumed, and return the least seconds before the next try. Raises
        GatewayRefused and WrongShards."""
        code = ended.code if isinstance(ended, discord.ConnectionClosed) else None
        if code in WRONG_SHARDS and self._fixed is None:
            log.error("shard %s: Discord wants another number of shards (close code %s)", session.shard_id, code)
            raise WrongShards from ended
        if code in REFUSALS:
            raise GatewayRefused(code) from ended
        invalid = isinstance(ended, ReconnectWebSocket) and not ended.resume
        if invalid or code in NEW_SESSION or session.unheard >= UNHEARD_MAX:
            session.forget()
        return 1.0 + 4.0 * self._rng.random() if invalid else 0.0  # Discord docs: Gateway, "Resuming", opcode 9

    async def _connect(self, session: Session) -> NoReturn:
        """Open one connection and handle its events until it ends, which is always by an exception."""
        socket = await (self._identify(session) if session.id is None else self._resume(session))
        session.unheard += 1
        session.take(socket)
        self._presence.shards_up.add(session.shard_id)
        code = 4000  # the session can be resumed
        try:
            while True:
                self._presence.heard_at[session.shard_id] = self._clock.monotonic()
                await socket.poll_event()
                session.take(socket)
        except asyncio.CancelledError:
            code = 1000
            await leave(socket)
            raise
        finally:
            self._presence.shards_up.discard(session.shard_id)
            session.take(socket)
            await close(socket, code)

    async def _identify(self, session: Session) -> GatewaySocket:
        await self._clock.sleep(max(0.0, self._not_before - self._clock.monotonic()))
        async with self._turns.turn(session.shard_id, self._limit) as turn, asyncio.timeout(OPEN_SECONDS):
            socket = await GatewaySocket.from_client(self._client, initial=True, shard_id=session.shard_id)
            turn.was_sent = True
            async with contextlib.AsyncExitStack() as unless_ready:
                unless_ready.push_async_callback(close, socket, 1000)  # without READY nobody could resume the session
                while socket.session_id is None:  # until READY; whatever ends the connection instead is raised
                    await socket.poll_event()
                unless_ready.pop_all()
            return socket

    async def _resume(self, session: Session) -> GatewaySocket:
        """Resume at the session's own address, and at the default one every other time that this fails."""
        use_default, session.use_default_gateway = session.use_default_gateway, not session.use_default_gateway
        async with asyncio.timeout(OPEN_SECONDS):
            socket = await GatewaySocket.from_client(
                self._client,
                initial=True,
                gateway=None if use_default else session.gateway,
                shard_id=session.shard_id,
                session=session.id,
                sequence=session.sequence,
                resume=True,
            )
        session.use_default_gateway = False
        return socket


async def leave(socket: DiscordWebSocket) -> None:
    """Send the close frame that ends the session, and handle the events that Discord sent before it read that frame:
    aiohttp's own close drops them. Waits for CLOSE_SECONDS. Never raises."""

    async def read_the_rest() -> NoReturn:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.socket.send_frame(CLOSE_FRAME_1000, CLOSE_OPCODE)
            while True:
                await socket.poll_event()

    await asyncio.gather(read_the_rest(), return_exceptions=True)


async def close(socket: DiscordWebSocket, code: int) -> None:
    """End the heartbeat, send the close frame, and wait for the reply for CLOSE_SECONDS. Never raises."""
    with contextlib.suppress(*NETWORK_FAULTS):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code)


def name_of(frame: str) -> str:
    """Return the name of a frame's event, for the log; "?" for what has none."""
    try:
        name = json.loads(frame)["t"]
    except UNREADABLE:
        return "?"
    return name if isinstance(name, str) and re.fullmatch(r"[A-Z_]{1,64}", name) else "?"
