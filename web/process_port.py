"""Open the port of a process: health if PORT is set, callbacks if PUBLIC_URL is. Imported only for one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from observability.health import ProcessFacts
from observability.loop_stall import watch_loop
from observability.metrics import Metrics
from services.build import Services
from web.callback_routes import CallbackRoutes
from web.health_routes import HealthRoutes
from web.server import Routes, listen_host, open_web

log = logging.getLogger("qwen_imagine.web")


@asynccontextmanager
async def open_port(
    services: Services, metrics: Metrics, facts: Callable[[], ProcessFacts], *, port_is_given: bool
) -> AsyncGenerator[None]:
    """Serve until the block ends. *facts*: how this process is now. *port_is_given*: as for web.server.listen_host.

    Raises PortUnavailable.
    """
    settings, clock = services.settings, services.clock
    callbacks = None if services.callbacks is None else CallbackRoutes(services.callbacks, clock)
    health = None
    if settings.port is not None:
        read_gauges = services.open_gauges(facts).read
        health = HealthRoutes(facts, metrics, read_gauges, token=settings.metrics_token)
    routes = Routes(callbacks, health)
    host = listen_host(settings.public_url, port_is_given=port_is_given)
    async with open_web(routes, host=host, port=settings.callback_port) as port:
        log.info("%s: served on %s:%s", " and ".join(routes.names()), host, port)
        watching = asyncio.create_task(watch_loop(metrics, sleep=clock.sleep, monotonic=clock.monotonic))
        try:
            yield
        finally:
            watching.cancel()
