"""Refuses requests that do not come from programs of this machine or from the sandbox's own page.

The sandbox listens on loopback, but a page of any site in the same browser could still reach it: by a name that
resolves to 127.0.0.1 (DNS rebinding, stopped by the Host check) or by a cross-site request (stopped by the Origin
check).
"""

from __future__ import annotations

import functools

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.json_bodies import error_response

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def is_loopback_host(host: str) -> bool:
    """Return whether a Host header names this machine, with any port or none."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host.lower() in LOOPBACK_NAMES
    return name.lower() in LOOPBACK_NAMES and port.isascii() and port.isdigit()


def refusal(host: str, origin: str | None) -> str | None:
    """Return why a request with these headers is refused, None when it is not."""
    if not is_loopback_host(host):
        return "The sandbox answers on 127.0.0.1 only: the Host header names another machine."
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "The sandbox answers its own page only: the Origin header names another site."
    return None


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 with a sentence to what does not come from this machine's own page or programs."""
    reason = refusal(request.headers.get("Host", ""), request.headers.get("Origin"))
    if reason is not None:
        return error_response(403, reason)
    return await handler(request)


def guarded(handler: Handler) -> Handler:
    """Return a handler that the guard protects also where the application has no such middleware."""
    return functools.partial(guard, handler=handler)
