"""Read the gauges of /metrics: what this process knows, and one bounded transaction that only reads.

The rows are read at most every FRESH_SECONDS, however often somebody asks. Knows no Discord and no SQL.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from credits.allowance import CreditPeriod
from generations.circuit import StopReason
from generations.clock import Clock, done_within
from generations.prices import price_of
from limits.request_limits import RequestLimits
from observability.health import ProcessFacts, health_fault, readiness_fault
from observability.metrics import Reading
from processes.counts import load_counts
from processes.status import ApiHealth, ThisProcess
from store.database import Database
from store.errors import StoreError
from store.transactions import Transaction
from version import VERSION

FRESH_SECONDS = 5.0
ANSWER_SECONDS = 2.0  # a database that takes longer is shown as down


class GaugeReader:
    """*api*, *facts*: say how the image API and this process are. *folder*: of the SQLite file; None: there is none."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        this: ThisProcess,
        limits: RequestLimits,
        *,
        api: Callable[[], ApiHealth],
        facts: Callable[[], ProcessFacts],
        folder: Path | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._this = this
        self._limits = limits
        self._api = api
        self._facts = facts
        self._folder = folder
        self._reading: asyncio.Task[list[Reading]] | None = None
        self._read_at = 0.0  # monotonic seconds

    async def read(self) -> list[Reading]:
        """Return every gauge that can be read now."""
        rows = await self._rows()
        is_up = rows is not None and not self._facts().is_database_lost
        return [*self._of_process(), Reading("database_up", is_up), *(rows or ())]

    async def _rows(self) -> list[Reading] | None:
        """Return the gauges of rows; None: the database does not answer."""
        now = self._clock.monotonic()
        if self._reading is None or (self._reading.done() and now - self._read_at >= FRESH_SECONDS):
            self._read_at = now
            self._reading = asyncio.create_task(self._database.read(self._read, self._clock.now_ms()))
        if not await done_within(self._reading, ANSWER_SECONDS, self._clock):
            return None
        try:
            return self._reading.result()
        except StoreError:
            return None

    def _read(self, tx: Transaction, now_ms: int) -> list[Reading]:
        counts = load_counts(tx, self._limits, now_ms)
        periods = (
            (CreditPeriod.DAY, counts.today, counts.spend.day),
            (CreditPeriod.MONTH, counts.month, counts.spend.month),
        )
        spent = [
            reading
            for period, by_outcome, most in periods
            for reading in (
                Reading("api_credits_spent", by_outcome.held, (period, "held")),
                Reading("api_credits_spent", by_outcome.charged, (period, "charged")),
                Reading("api_credits_spent", by_outcome.unknown, (period, "unknown")),
                *([Reading("api_credits_limit", most, (period,))] if most else []),
            )
        ]
        return [
            Reading("line_images", counts.waiting),
            Reading("images_in_flight", counts.in_flight),
            Reading("credits_held", price_of(1) * (counts.waiting + counts.in_flight)),
            Reading("oldest_due_seconds", counts.overdue_seconds),
            *(Reading("images_stopped", counts.circuit.reason is reason, (reason,)) for reason in StopReason),
            Reading("ledger_faults", 0 if counts.check is None else counts.check.faults),
            *spent,
        ]

    def _of_process(self) -> Iterator[Reading]:
        facts, api, presence = self._facts(), self._api(), self._this.presence
        yield Reading("build_info", 1, (VERSION, presence.role))
        yield Reading("healthy", health_fault(facts) is None)
        yield Reading("ready", readiness_fault(facts) is None)
        yield Reading("worker_round_age_seconds", facts.round_age_seconds)
        yield Reading("steps", self._this.steps())
        yield Reading("shards", len(facts.shard_ids or ()))
        yield Reading("shards_up", len(facts.silent_seconds))
        yield Reading("gateway_silent_seconds", max(facts.silent_seconds.values(), default=0.0))
        yield Reading("task_slots", api.slots)
        yield Reading("task_slots_max", api.ceiling)
        yield Reading("api_pause_seconds", api.polls_paused, ("polls",))
        yield Reading("api_pause_seconds", api.posts_paused, ("posts",))
        if self._folder is not None and self._folder.is_dir():
            yield Reading("disk_free_bytes", shutil.disk_usage(self._folder).free)
