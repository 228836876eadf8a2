"""Whether a person is told, with a ping, that their images are there. Decided once for each generation, for ever.

The decision is written before anything is sent: a process that dies in between loses a ping, and none comes twice.
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

log = logging.getLogger("qwen_imagine.worker")

SLOW_SECONDS = 30.0  # longer than people like to watch


class PingDecisions:
    """Decides, in one transaction each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def decide(self, generation: Generation) -> Generation | None:
        """*generation* as its rows have it now, if its person is to be pinged; None: not, or it was decided before."""
        now_ms = self._clock.now_ms()
        async with self._database.transaction() as tx:
            fresh = await records.load(tx, generation.id)
            if fresh is None or not has_arrived(fresh) or not await records.decide_ping(tx, fresh.id, now_ms):
                return None
            preferences = await load_preferences(tx, fresh.origin.user_id) or Preferences()
        if not wants_ping(fresh, preferences.ping, now_ms):
            return None
        log.info("generation %s: its person is told", fresh.id)
        # The rows may have forgotten the token by now, and only that reaches some places.
        return replace(fresh, origin=replace(fresh.origin, token=generation.origin.token))


def has_arrived(generation: Generation) -> bool:
    """Whether something stands on a card, and nothing more is on its way there. Pure."""
    states = {image.state for image in generation.images}
    return generation.finished and State.DELIVERED in states and State.SUCCEEDED not in states


def wants_ping(generation: Generation, ping: Ping, now_ms: int) -> bool:
    """Never for what only one person sees, nor where a message of its own in the direct messages told them. Pure."""
    if generation.request.private or generation.card_channel_id is not None:
        return False
    took_seconds = (now_ms - generation.created_at_ms) / 1000
    return ping is Ping.ALWAYS or (ping is Ping.SLOW and took_seconds > SLOW_SECONDS)
