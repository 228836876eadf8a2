"""Decide, once for each generation, whether to ping the person when their images are ready.

The decision is written before the ping is sent: a process that dies in between loses a ping, and none is sent twice.
Knows rows and preferences; knows no Discord library and no SQL.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from generations import records
from generations.clock import Clock
from generations.model import Generation, State
from people.model import Ping, Preferences
from people.records import load_preferences
from store.database import Database
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

SLOW_SECONDS = 30.0  # with Ping.SLOW, only what took longer than this


class PingDecisions:
    """Make each decision in one transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def decide(self, generation: Generation) -> Generation | None:
        """Return *generation* as its rows have it now, if a ping is to be sent; None: not, or it was decided before."""
        now_ms = self._clock.now_ms()
        fresh = await self._database.run(_decide, generation.id, now_ms)
        if fresh is None:
            return None
        log.info("generation %s: its person is told", fresh.id)
        # The rows may have no token any more, and only the token reaches some channels.
        return replace(fresh, origin=replace(fresh.origin, token=generation.origin.token))


def _decide(tx: Transaction, generation_id: int, now_ms: int) -> Generation | None:
    """Write that the ping is decided. Return the generation if a ping is to be sent."""
    fresh = records.load(tx, generation_id)
    if fresh is None or not has_arrived(fresh) or not records.decide_ping(tx, fresh.id, now_ms):
        return None
    preferences = load_preferences(tx, fresh.origin.user_id) or Preferences()
    return fresh if wants_ping(fresh, preferences.ping, now_ms) else None


def has_arrived(generation: Generation) -> bool:
    """Whether an image was delivered, and none is still to be. Pure."""
    states = {image.state for image in generation.images}
    return generation.finished and State.DELIVERED in states and State.SUCCEEDED not in states


def wants_ping(generation: Generation, ping: Ping, now_ms: int) -> bool:
    """Whether the person wants a ping; never for a private card, nor for one in their direct messages. Pure."""
    if generation.request.private or generation.card_channel_id is not None:
        return False
    took_seconds = (now_ms - generation.created_at_ms) / 1000
    return ping is Ping.ALWAYS or (ping is Ping.SLOW and took_seconds > SLOW_SECONDS)
