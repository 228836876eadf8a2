"""One websocket of the bot: hello, identify or resume, heartbeats, close codes (Discord docs: Gateway)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from sandbox.local_discord.gateway.session import Session
from sandbox.local_discord.state.model import Json

HEARTBEAT_INTERVAL_MS = 41_250
ACK_SECONDS = 0.05  # as over a network; discord.py 2.7.1 mistakes one that comes at once for that of the beat before
LARGEST_PAYLOAD = 4096
MOST_EVENTS_PER_MINUTE = 120


class Closing(Exception):
    """The connection is to be closed by the server, with one of Discord's close codes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class ConnectionOwner(Protocol):
    """The methods of the gateway that a connection calls."""

    def identify(self, connection: Connection, body: Json) -> Session | None: ...
    def resume(self, connection: Connection, body: Json) -> Session | None: ...
    def left(self, connection: Connection, *, by_client: bool) -> None: ...
    def closing(self, code: int, reason: str) -> None: ...


def frame(op: int, body: object = None) -> Json:
    """Return a gateway payload that is not an event."""
    return {"op": op, "t": None, "s": None, "d": body}


class Connection:
    """One websocket. Frames go out through one queue, in the order of `send` and `close`."""

    def __init__(self, owner: ConnectionOwner, monotonic: Callable[[], float]) -> None:
        self._owner = owner
        self._monotonic = monotonic
        self._socket = web.WebSocketResponse(heartbeat=None, autoping=True, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[Json | Closing] = asyncio.Queue()
        self._received_at: list[float] = []
        self._server_closed = False
        self._transport: asyncio.Transport | None = None
        self.session: Session | None = None

    def send(self, frame: Json) -> None:
        self._outgoing.put_nowait(frame)

    def close(self, code: int, reason: str) -> None:
        self._outgoing.put_nowait(Closing(code, reason))

    async def run(self, request: web.Request, *, code_instead_of_hello: int | None = None) -> web.WebSocketResponse:
        """Serve the websocket to its end. With *code_instead_of_hello* close it before HELLO (seen on a gateway that
        restarts)."""
        await self._socket.prepare(request)
        self._transport = request.transport
        if code_instead_of_hello is None:
            hello: Json = {"heartbeat_interval": HEARTBEAT_INTERVAL_MS, "_trace": []}
            self.send(frame(10, hello))
        else:
            self.close(code_instead_of_hello, "Closed on purpose.")
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        except Closing as closing:
            self._owner.closing(closing.code, closing.reason)
            self._server_closed = True
            self.close(closing.code, closing.reason)
            await writer
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            by_client = not self._server_closed and self._socket.close_code in (1000, 1001)
            self._owner.left(self, by_client=by_client)
        return self._socket

    async def _write(self) -> None:
        while True:
            following = await self._outgoing.get()
            if isinstance(following, Closing):
                self._server_closed = True
                await self._end(following)
                return
            try:
                await self._socket.send_str(json.dumps(following, separators=(",", ":")))
            except ConnectionError:
                return

    async def _end(self, closing: Closing) -> None:
        """Send the close frame; for 1006, which is never sent, abort the connection instead."""
        if closing.code == 1006 and self._transport is not None:
            self._transport.abort()
            return
        await self._socket.close(code=closing.code, message=closing.reason.encode())

    async def _read(self) -> None:
        timeout_seconds = HEARTBEAT_INTERVAL_MS / 1000 * 2
        while True:
            try:
                message = await self._socket.receive(timeout=timeout_seconds)
            except TimeoutError:
                raise Closing(4009, "Session timed out.") from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            self._limit_events()
            self._handle(self._decode(message.data))

    def _limit_events(self) -> None:
        now = self._monotonic()
        self._received_at = [moment for moment in self._received_at if moment > now - 60] + [now]
        if len(self._received_at) > MOST_EVENTS_PER_MINUTE:
            raise Closing(4008, "You are sending too many gateway events.")

    def _decode(self, raw: str | bytes) -> Json:
        if len(raw) > LARGEST_PAYLOAD:
            raise Closing(4002, "Error while decoding payload.")
        try:
            decoded: Any = json.loads(raw)
        except ValueError:
            raise Closing(4002, "Error while decoding payload.") from None
        if not isinstance(decoded, dict) or not isinstance(decoded.get("op"), int):  # pyright: ignore[reportUnknownMemberType]  # JSON
            raise Closing(4002, "Error while decoding payload.")
        return decoded  # pyright: ignore[reportUnknownVariableType]  # JSON

    def _handle(self, received: Json) -> None:
        op, body = received["op"], received.get("d")
        if op == 1:
            asyncio.get_running_loop().call_later(ACK_SECONDS, self.send, frame(11))
        elif op == 2:
            if self.session is not None:
                raise Closing(4005, "Already authenticated.")
            self.session = self._owner.identify(self, body or {})
        elif op == 6:
            if self.session is not None:
                raise Closing(4005, "Already authenticated.")
            self.session = self._owner.resume(self, body or {})
        elif op in (3, 4, 8, 31):
            if self.session is None:
                raise Closing(4003, "Not authenticated.")
        else:
            raise Closing(4001, "Unknown opcode.")
