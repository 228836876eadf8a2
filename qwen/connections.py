"""What the image API's calls and the image's download share about aiohttp: faults, and no silent repeats.

Must not know what is sent or fetched.
"""

from __future__ import annotations

import aiohttp

USER_AGENT = "qwen-imagine"
# What aiohttp raises for the network's faults: its own tree, asyncio's timeouts, and bare socket errors.
NETWORK_FAULTS = (aiohttp.ClientError, TimeoutError, OSError)


class ConnectionBroke(aiohttp.ClientError):
    """The connection could not be made or broke; `fault` is what aiohttp said of it."""

    def __init__(self, fault: aiohttp.ClientError) -> None:
        super().__init__(type(fault).__name__)
        self.fault = fault


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A client middleware under which aiohttp sends once. On its own it sends a GET whose connection broke a second
    time at once (aiohttp 3.14.5, client.py, `retry_persistent_connection`), which no pace of ours would know of.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
        raise ConnectionBroke(fault) from fault


def fault_name(fault: BaseException) -> str:
    """The fault's kind as one word. Never its text, which holds addresses."""
    return type(fault.fault if isinstance(fault, ConnectionBroke) else fault).__name__
