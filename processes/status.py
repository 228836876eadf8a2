"""Read how the bot is, for /owner status: one transaction that reads a bounded number of rows, and what this process
knows. Knows no Discord and no SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from generations.clock import Clock
from generations.records.delays import load_delays_ms
from limits.model import BOT, Pause
from limits.records import load_pause
from limits.request_limits import RequestLimits
from processes.counts import Counts, load_counts
from processes.model import Presence, Process
from processes.records import load_alive
from store.database import Database
from store.database_facts import DatabaseFacts, load_facts
from store.transactions import Transaction
from version import VERSION

DELAYS = 200  # requests whose delays are read


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """What this process knows of the image API. Seconds; 0: no pause. *typical_seconds* None: not known yet."""

    slots: int
    ceiling: int
    polls_paused: float
    posts_paused: float
    typical_seconds: float | None


@dataclass(frozen=True, slots=True)
class BotStatus:
    """How the bot was when *counts* were read. *me*: the name of the process that answers. *delays_ms*: of the newest
    requests, from ready to posted."""

    counts: Counts
    me: str
    processes: tuple[Process, ...]
    delays_ms: list[int]
    pause: Pause | None
    database: DatabaseFacts
    api: ApiHealth


@dataclass(frozen=True, slots=True)
class ThisProcess:
    """What this process knows of itself. *steps*: how many generations it works on. *is_shared*: others may share the
    database, and each has a row there."""

    name: str
    presence: Presence
    steps: Callable[[], int]
    is_shared: bool


class StatusReader:
    """*api*: say how the image API is."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        this: ThisProcess,
        limits: RequestLimits,
        *,
        api: Callable[[], ApiHealth],
    ) -> None:
        self._database = database
        self._clock = clock
        self._this = this
        self._api = api
        self._limits = limits

    async def read(self) -> BotStatus:
        """Return how the bot is now."""
        return await self._database.read(self._read, self._clock.now_ms())

    def _read(self, tx: Transaction, now_ms: int) -> BotStatus:
        alive = load_alive(tx, now_ms) if self._this.is_shared else (self._own_row(now_ms),)
        return BotStatus(
            counts=load_counts(tx, self._limits, now_ms),
            me=self._this.name,
            processes=alive,
            delays_ms=load_delays_ms(tx, DELAYS),
            pause=load_pause(tx, BOT),
            database=load_facts(tx),
            api=self._api(),
        )

    def _own_row(self, now_ms: int) -> Process:
        this, presence = self._this, self._this.presence
        shards = (presence.shard_count, presence.shard_ids, len(presence.shards_up))
        return Process(
            this.name, presence.role, *shards, this.steps(), presence.started_at_ms or now_ms, now_ms, VERSION
        )
