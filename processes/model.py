"""What is known of the processes that share one database. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a process does: a bot has a gateway and works, a worker only works."""

    BOT = "bot"
    WORKER = "worker"


@dataclass(slots=True)
class Presence:
    """What this process tells the others of itself; whoever knows it sets it, and each beat writes it down.

    *shard_count*: of the whole bot; None: not known yet, or no gateway. *shard_ids*: of this process, such as "0-5";
    empty: none. *shards_up*: those of them that are connected. *started_at_ms*: unix milliseconds; None: it has not
    begun. *heard_at*: when the gateway was heard last on each shard, in monotonic seconds; the rows don't have it.
    """

    role: Role = Role.BOT
    shard_count: int | None = None
    shard_ids: str = ""
    shards_up: set[int] = field(default_factory=set[int])
    started_at_ms: int | None = None
    heard_at: dict[int, float] = field(default_factory=dict[int, float])


@dataclass(frozen=True, slots=True)
class Process:
    """The row of one process. Times are unix milliseconds.

    *steps*: generations that it works on. *version*: of the program; None: one that did not write it yet.
    """

    name: str
    role: Role
    shard_count: int | None
    shard_ids: str
    shards_up: int
    steps: int
    started_at_ms: int
    seen_at_ms: int
    version: str | None = None

    def __str__(self) -> str:
        """Describe it in one phrase: `web.1:4:9f3a (bot 1.0.0, shards 0-2 of 6, 3 up, 12 steps)`."""
        shards = (
            f", shards {self.shard_ids} of {self.shard_count or '?'}, {self.shards_up} up" if self.shard_ids else ""
        )
        version = f" {self.version}" if self.version else ""
        return f"{self.name} ({self.role}{version}{shards}, {self.steps} steps)"
