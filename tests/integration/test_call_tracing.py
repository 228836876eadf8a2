"""Every HTTP call of discord.py is counted, with those that it repeats by itself."""

from __future__ import annotations

import asyncio
import re

import discord
import pytest

from discord_api.call_tracing import trace_calls
from discord_api.errors import NO_ANSWER
from observability.prometheus import PrometheusMetrics
from tests.integration.discord_rest import a_discord


async def test_calls_are_counted_by_method_and_status_with_what_discord_asks_to_wait() -> None:
    metrics = PrometheusMetrics()
    async with a_discord() as (rest, _):
        client = discord.Client(intents=discord.Intents.none(), http_trace=trace_calls(metrics))

        async def log_in() -> None:
            try:
                await asyncio.wait_for(client.login("token.of.the-bot"), 60)
            finally:
                await client.http.close()
                client.http.connector = discord.utils.MISSING  # as discord_api.login does

        rest.fault("GET /users/@me", 429, headers={"Retry-After": "120"})
        with pytest.raises(discord.HTTPException):
            await log_in()
        rest.fault("GET /users/@me", 500, drop=True, times=9)
        with pytest.raises(NO_ANSWER):
            await log_in()
        rest.faults.clear()
        await log_in()
    text = metrics.expose([]).decode()
    counted = dict(re.findall(r'^qwen_imagine_discord_calls_total{method="GET",status="(\w+)"} (\S+)$', text, re.M))
    assert counted["429"] == "1.0"
    assert float(counted["200"]) == 2, "the person and the application"
    assert {*counted} - {"200", "429"} <= {"ServerDisconnectedError", "ClientOSError"} and len(counted) == 3
    assert 'qwen_imagine_rate_limit_wait_seconds_total{service="discord"} 120.0' in text
    assert "qwen_imagine_discord_call_seconds_count" in text
