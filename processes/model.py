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
    empty: none. *shards_up*: those of them that are connected.
    """

    role: Role = Role.BOT
    shard_count: int | None = None
    shard_ids: str = ""
    shards_up: set[int] = field(default_factory=set[int])


@dataclass(frozen=True, slots=True)
class Process:
    """The row of one process. *steps*: generations that it works on. Times are unix milliseconds."""

    name: str
    role: Role
    shard_count: int | None
    shard_ids: str
    shards_up: int
    steps: int
    started_at_ms: int
    seen_at_ms: int

    def __str__(self) -> str:
        """Describe it in one phrase: `web.1:4:9f3a (bot, shards 0-2 of 6, 3 up, 12 steps)`."""
        shards = (
            f", shards {self.shard_ids} of {self.shard_count or '?'}, {self.shards_up} up" if self.shard_ids else ""
        )
        return f"{self.name} ({self.role}{shards}, {self.steps} steps)"
