"""What the API client and the image downloader share about aiohttp: network errors, and no silent repeats.

Must not know what is sent or downloaded.
"""

from __future__ import annotations

import aiohttp

from version import VERSION

USER_AGENT = f"qwen-imagine/{VERSION}"
# How long a connection is kept for the next GET: less than the 5 s after which Node.js closes an idle one (Node.js
# docs: http, server.keepAliveTimeout); other servers keep theirs for longer.
KEPT_SECONDS = 4.0
# What aiohttp raises for network errors: its own exceptions, timeouts, and plain socket errors.
NETWORK_FAULTS = (aiohttp.ClientError, TimeoutError, OSError)


class ConnectionBroke(aiohttp.ClientError):
    """The connection could not be made or broke; `fault` is what aiohttp said of it."""

    def __init__(self, fault: aiohttp.ClientError) -> None:
        super().__init__(type(fault).__name__)
        self.fault = fault


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Client middleware: keep aiohttp from repeating a request. By itself it repeats a GET whose connection broke
    at once (aiohttp 3.14.5, client.py, `retry_persistent_connection`), and polls would come too close.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
        raise ConnectionBroke(fault) from fault


def fault_name(fault: BaseException) -> str:
    """Return the name of the error's class. Never its text, which holds addresses."""
    return type(fault.fault if isinstance(fault, ConnectionBroke) else fault).__name__
