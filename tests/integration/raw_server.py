"""A TCP server whose answers a test writes byte for byte, to break HTTP in every way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Conversation = Callable[["Wire"], Awaitable[None]]


@dataclass(slots=True)
class Wire:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def hear(self) -> bytes:
        """Read one whole request, head and body, and keep it in the server's list."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        self.server.requests.append(head + body)
        self.server.heard.set()
        return head + body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"", *, connection: str = "close", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", f"Connection: {connection}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.say("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def answer_json(
        self, code: int, data: object = None, message: str = "success", *, connection: str = "close"
    ) -> None:
        body = json.dumps({"code": code, "message": message, "data": data}).encode()
        await self.answer(200, body, connection=connection)

    def reset(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    async def stay_silent(self) -> None:
        await asyncio.Event().wait()


@dataclass(slots=True)
class RawServer:
    """Counts connections, keeps the requests that were read, and runs *respond* on each connection."""

    respond: Conversation
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._run(Wire(reader, writer, self)))
        self._running.add(task)
        await asyncio.wait([task])

    async def _run(self, wire: Wire) -> None:
        try:
            await self.respond(wire)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            wire.writer.close()

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


@asynccontextmanager
async def raw_server(respond: Conversation) -> AsyncIterator[RawServer]:
    """Listen on a free port of 127.0.0.1 and run *respond* for each connection."""
    raw = RawServer(respond)
    listener = await asyncio.start_server(raw.accept, "127.0.0.1", 0)
    raw.port = listener.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        listener.close()
        await raw.stop()
        await asyncio.sleep(0)
