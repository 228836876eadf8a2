"""Listen on PORT for a moment, as the bot would, to see whether PUBLIC_URL leads here."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

REQUEST_SECONDS = 5.0


class PortTaken(Exception):
    """Another process listens there."""


class PortRefused(Exception):
    """This user may not listen there."""


@asynccontextmanager
async def answering(host: str, port: int, proof: bytes) -> AsyncGenerator[None]:
    """Answer every HTTP request on the port with *proof*, until the block ends. Raises PortTaken and PortRefused."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            async with asyncio.timeout(REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(proof)}\r\nConnection: close\r\n"
                writer.write(head.encode("ascii") + b"Cache-Control: no-store\r\n\r\n" + proof)
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        raise (PortTaken if error.errno == errno.EADDRINUSE else PortRefused) from None
    try:
        yield
    finally:
        server.close()
