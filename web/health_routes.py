"""GET /healthz, /readyz and /metrics: whether this process works, whether it is of use to people now, and figures.

Must not know rows, workers or Discord.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address

from aiohttp import web

from observability.health import ProcessFacts, health_fault, readiness_fault
from observability.metrics import Metrics, Reading
from web.responses import build_response

HEALTH_PATHS = ("/healthz", "/readyz", "/metrics")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus docs: Exposition formats
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip")


class HealthRoutes:
    """The routes as `app`. *facts*: say how this process is now. *read_gauges*: of /metrics. *token*: METRICS_TOKEN."""

    def __init__(
        self,
        facts: Callable[[], ProcessFacts],
        metrics: Metrics,
        read_gauges: Callable[[], Awaitable[Sequence[Reading]]],
        *,
        token: str,
    ) -> None:
        self._facts = facts
        self._metrics = metrics
        self._read_gauges = read_gauges
        self._token = token
        self.app = web.Application(client_max_size=1)
        self.app.router.add_get("/healthz", self._healthz)
        self.app.router.add_get("/readyz", self._readyz)
        self.app.router.add_get("/metrics", self._show_metrics)

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(health_fault(self._facts()), "well")

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(readiness_fault(self._facts()), "ready")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        if not may_read_metrics(request.remote or "", request.headers, self._token):
            headers = {"WWW-Authenticate": "Bearer"} if self._token else {}
            return build_response(401 if self._token else 403, headers, text="not for you; see METRICS_TOKEN\n")
        text = self._metrics.expose(await self._read_gauges())
        return build_response(200, {"Content-Type": CONTENT_TYPE}, text=text.decode())


def may_read_metrics(peer: str, headers: Mapping[str, str], token: str) -> bool:
    """Whether this caller may read the metrics: with *token*, or where that is empty directly from a private address. A
    request that a proxy forwards comes from a private address too, and may be anybody's. Pure."""
    if token:
        sent = headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(sent, f"Bearer {token}".encode())
    try:
        is_private = ip_address(peer).is_private
    except ValueError:
        return False
    return is_private and not any(name in headers for name in FORWARDED)


def _answer(fault: str | None, well: str) -> web.Response:
    return build_response(200 if fault is None else 503, text=f"{fault or well}\n")
