"""Decide, once for each generation, whether to ping the person when their images are ready.

The decision is written before the ping is sent: a process that dies in between loses a ping, and none is sent twice.
Knows rows and preferences; knows no Discord library and no SQL.
"""

from __future__ import annotations

from generations import records
from generations.model import Generation, State
from people.model import Ping, Preferences
from people.records import load_preferences
from store.transactions import Transaction

SLOW_SECONDS = 30.0  # with Ping.SLOW, only what took longer than this


def decide_ping(tx: Transaction, generation: Generation, now_ms: int) -> bool:
    """Decide whether a ping is to be sent for *generation*, as its rows are in this transaction, and write that down.

    False also when that was decided before.
    """
    if not has_arrived(generation) or not records.decide_ping(tx, generation.id, now_ms):
        return False
    preferences = load_preferences(tx, generation.origin.user_id) or Preferences()
    return wants_ping(generation, preferences.ping, now_ms)


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
