"""Ask one address and return what it answers, once and within a time. Must not know what the address is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import aiohttp

from qwen.client import read_capped
from qwen.connections import NETWORK_FAULTS, ConnectionBroke, fault_name, send_once
from qwen.protocol import HttpAnswer

TIMEOUT_SECONDS = 10.0


class Unreached(Exception):
    """Nothing answered. *reason*: the end of a sentence about it, without an address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fetch(Protocol):
    """Ask *url* and return the answer. *redirects*: how many of them are followed. Raises Unreached."""

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, redirects: int = 0
    ) -> HttpAnswer: ...


class PageFetcher:
    """qwen.pages.Fetch over a session of open_sessions(). At most 256 KiB of a body are read."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, redirects: int = 0
    ) -> HttpAnswer:
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                allow_redirects=redirects > 0,
                max_redirects=redirects + 1,
                timeout=self._timeout,
                middlewares=(send_once,),
            ) as response:
                return HttpAnswer(response.status, response.headers, await read_capped(response.content))
        except (*NETWORK_FAULTS, ValueError) as fault:
            raise Unreached(_reason(fault)) from None  # the fault's own words hold addresses


def _reason(fault: Exception) -> str:
    cause = fault.fault if isinstance(fault, ConnectionBroke) else fault
    match cause:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            return "its certificate is not valid"
        case aiohttp.ClientConnectorDNSError():
            return "its name has no address"
        case aiohttp.ClientSSLError():
            return "it speaks no TLS that this machine accepts"
        case aiohttp.ClientConnectorError():
            return "no connection can be made"
        case TimeoutError():
            return "it does not answer in time"
        case aiohttp.TooManyRedirects():
            return "it redirects again and again"
        case _:
            return f"the connection broke ({fault_name(fault)})"
