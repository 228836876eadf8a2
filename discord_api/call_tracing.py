"""Count the HTTP calls that discord.py makes, with those that it repeats by itself. Used only where metrics are read.

discord.py takes a TraceConfig of its HTTP library for this (discord.Client's option `http_trace`).
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp

from observability.metrics import Metrics

Call = SimpleNamespace  # of one call, from its start to its end


def trace_calls(metrics: Metrics) -> aiohttp.TraceConfig:
    """Return the option for discord.Client. No address, token or body is read."""

    async def begin(_: aiohttp.ClientSession, call: Call, __: aiohttp.TraceRequestStartParams) -> None:
        call.began_at = asyncio.get_running_loop().time()

    def seconds(call: Call) -> float:
        return asyncio.get_running_loop().time() - call.began_at

    async def end(_: aiohttp.ClientSession, call: Call, ended: aiohttp.TraceRequestEndParams) -> None:
        metrics.discord_called(ended.method, str(ended.response.status), seconds(call))
        if ended.response.status == 429:
            metrics.rate_limited("discord", _seconds(ended.response.headers.get("Retry-After", "")))

    async def fail(_: aiohttp.ClientSession, call: Call, failed: aiohttp.TraceRequestExceptionParams) -> None:
        metrics.discord_called(failed.method, type(failed.exception).__name__, seconds(call))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(begin)
    tracing.on_request_end.append(end)
    tracing.on_request_exception.append(fail)
    return tracing


def _seconds(header: str) -> float:
    try:
        return max(0.0, float(header))
    except ValueError:
        return 0.0
