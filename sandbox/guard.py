"""The door of the sandbox: only programs and pages of this machine come in.

It listens on loopback, but a page of any site in the same browser could still reach it: by a name that resolves to
127.0.0.1 (DNS rebinding, stopped by the Host check) or by a cross-site request (stopped by the Origin check).
Knows no route.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def is_loopback_host(host: str) -> bool:
    """True for a Host header that names this machine, with any port or none."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host.lower() in LOOPBACK_NAMES
    return name.lower() in LOOPBACK_NAMES and port.isascii() and port.isdigit()


def refusal(host: str, origin: str | None) -> str | None:
    """Why a request with these headers is refused, or None when it may come in."""
    if not is_loopback_host(host):
        return "The sandbox answers on 127.0.0.1 only: the Host header names another machine."
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "The sandbox answers its own page only: the Origin header names another site."
    return None


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 with a sentence to everything that does not come from this machine's own page or programs."""
    reason = refusal(request.headers.get("Host", ""), request.headers.get("Origin"))
    if reason is not None:
        return web.json_response({"error": reason}, status=403)
    return await handler(request)
