"""One websocket of the bot: hello, identify or resume, heartbeats, close codes (Discord docs: Gateway).

Knows no events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from sandbox.local_discord.gateway.session import Session
from sandbox.local_discord.state.model import Json

HEARTBEAT_INTERVAL_MS = 41_250
LARGEST_PAYLOAD = 4096
MOST_EVENTS_PER_MINUTE = 120


class Closing(Exception):
    """The server ends the connection with a code of Discord's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Host(Protocol):
    """What a connection needs of the gateway."""

    def identify(self, connection: Connection, body: Json) -> Session | None: ...
    def resume(self, connection: Connection, body: Json) -> Session | None: ...
    def left(self, connection: Connection, *, by_client: bool) -> None: ...
    def closing(self, code: int, reason: str) -> None: ...


class Connection:
    """Frames go out through one queue, so that their order is the order of what happened."""

    def __init__(self, host: Host, monotonic: Callable[[], float]) -> None:
        self._host = host
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
        """Serve it to its end. With a code it is closed at once, before HELLO: a gateway that restarts was seen to."""
        await self._socket.prepare(request)
        self._transport = request.transport
        if code_instead_of_hello is None:
            hello: Json = {"heartbeat_interval": HEARTBEAT_INTERVAL_MS, "_trace": []}
            self.send({"op": 10, "t": None, "s": None, "d": hello})
        else:
            self.close(code_instead_of_hello, "Closed on purpose.")
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        except Closing as closing:
            self._host.closing(closing.code, closing.reason)
            self._server_closed = True
            self.close(closing.code, closing.reason)
            await writer
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            by_client = not self._server_closed and self._socket.close_code in (1000, 1001)
            self._host.left(self, by_client=by_client)
        return self._socket

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            if isinstance(frame, Closing):
                self._server_closed = True
                await self._end(frame)
                return
            try:
                await self._socket.send_str(json.dumps(frame, separators=(",", ":")))
            except ConnectionError:
                return

    async def _end(self, closing: Closing) -> None:
        """1006 is no code to send: it is a line that just breaks."""
        if closing.code == 1006 and self._transport is not None:
            self._transport.abort()
            return
        await self._socket.close(code=closing.code, message=closing.reason.encode())

    async def _read(self) -> None:
        patience = HEARTBEAT_INTERVAL_MS / 1000 * 2
        while True:
            try:
                message = await self._socket.receive(timeout=patience)
            except TimeoutError:
                raise Closing(4009, "Session timed out.") from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            self._count()
            self._act(self._decode(message.data))

    def _count(self) -> None:
        now = self._monotonic()
        self._received_at = [moment for moment in self._received_at if moment > now - 60] + [now]
        if len(self._received_at) > MOST_EVENTS_PER_MINUTE:
            raise Closing(4008, "You are sending too many gateway events.")

    def _decode(self, raw: str | bytes) -> Json:
        if len(raw) > LARGEST_PAYLOAD:
            raise Closing(4002, "Error while decoding payload.")
        try:
            frame: Any = json.loads(raw)
        except ValueError:
            raise Closing(4002, "Error while decoding payload.") from None
        if not isinstance(frame, dict) or not isinstance(frame.get("op"), int):  # pyright: ignore[reportUnknownMemberType]  # JSON
            raise Closing(4002, "Error while decoding payload.")
        return frame  # pyright: ignore[reportUnknownVariableType]  # JSON

    def _act(self, frame: Json) -> None:
        op, body = frame["op"], frame.get("d")
        if op == 1:
            self.send({"op": 11, "t": None, "s": None, "d": None})
        elif op == 2:
            if self.session is not None:
                raise Closing(4005, "Already authenticated.")
            self.session = self._host.identify(self, body or {})
        elif op == 6:
            if self.session is not None:
                raise Closing(4005, "Already authenticated.")
            self.session = self._host.resume(self, body or {})
        elif op in (3, 4, 8, 31):
            if self.session is None:
                raise Closing(4003, "Not authenticated.")
        else:
            raise Closing(4001, "Unknown opcode.")
