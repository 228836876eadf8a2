"""Judge from what a process knows of itself whether it is healthy, and whether it is ready. Pure.

Healthy: the worker's loop turns and the database answers; otherwise a restart may help. Ready: what people type reaches
it. Waiting for Discord is healthy and not ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROUND_SECONDS = 10.0  # without a round of the worker for so long something is wrong
SILENT_SECONDS = 90.0  # two heartbeats of the gateway (Discord asks for one in about 41 s) and some more


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What a process knows of itself.

    *round_age_seconds*: since the worker's last whole round, or since its start. *is_database_lost*: the round after it
    failed for the database. *shard_ids*: of this process; None: not known yet. *silent_seconds*: of each shard that is
    connected, since the gateway was heard. *has_gateway*: False for a process that only makes images.
    """

    round_age_seconds: float
    is_database_lost: bool = False
    is_stopping: bool = False
    is_logged_in: bool = True
    has_gateway: bool = True
    shard_ids: tuple[int, ...] | None = None
    silent_seconds: Mapping[int, float] = field(default_factory=dict[int, float])


def health_fault(facts: ProcessFacts) -> str | None:
    """Return why the process is not healthy, in one line; None: it is."""
    if facts.is_stopping or facts.round_age_seconds < ROUND_SECONDS:
        return None
    seconds = f"{facts.round_age_seconds:.0f} s"
    if facts.is_database_lost:
        return f"the database does not answer; the worker's last round ended {seconds} ago"
    return f"the worker's loop or the database is stuck; the last round ended {seconds} ago"


def readiness_fault(facts: ProcessFacts) -> str | None:
    """Return why people get no answer from this process, in one line; None: they do."""
    if facts.is_stopping:
        return "the bot is stopping"
    if (fault := health_fault(facts)) is not None:
        return fault
    if not facts.is_logged_in:
        return "not logged in to Discord yet"
    return _gateway_fault(facts) if facts.has_gateway else None


def _gateway_fault(facts: ProcessFacts) -> str | None:
    if facts.shard_ids is None:
        return "Discord has not said yet how many shards there are"
    missing = [shard for shard in facts.shard_ids if shard not in facts.silent_seconds]
    if missing:
        return f"not connected to Discord's gateway: shards {', '.join(map(str, missing))}"
    silent = max(facts.silent_seconds.values(), default=0.0)
    return f"Discord's gateway was last heard {silent:.0f} s ago" if silent >= SILENT_SECONDS else None
