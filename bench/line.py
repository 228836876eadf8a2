"""Measure one round of the worker over a long line, without the calls to Discord that follow it."""

from __future__ import annotations

import time
from zoneinfo import ZoneInfo

from bench.figures import Figures, percentile
from bench.seeding import CREDITS, DEADLINE_SECONDS, seed_line
from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from generations import records
from generations.clock import SystemClock
from generations.service import Generations
from limits.request_limits import RequestLimits
from store.database import Database, open_database
from store.transactions import Transaction

ROUNDS = 20
MAX_PER_USER = 3


async def measure_rounds(address: str, count: int) -> Figures:
    """Return how long a round takes in which *count* images wait, one is admitted, and every card is due to be edited
    to its place, in milliseconds."""
    clock = SystemClock()
    now_ms, seconds = clock.now_ms(), list[float]()
    async with open_database(address) as database:
        await seed_line(database, count, now_ms)
        generations = _service(database, clock)
        await database.run(records.take_line_refresh, now_ms)  # the first one has no cards
        for number in range(1, ROUNDS + 1):
            now_ms = records.next_refresh_ms(now_ms)
            began = time.perf_counter()
            ids = await database.run(_round, now_ms, number)
            places, _ = await generations.places_in_line_of(ids)
            seconds.append(time.perf_counter() - began)
            assert len(places) >= count - number, "not every card was due"
    return {"round_ms": percentile(seconds, 0.5) * 1000, "round_most_ms": max(seconds) * 1000}


def _round(tx: Transaction, now_ms: int, slots: int) -> list[int]:
    """Do what generations.worker.loop does in one transaction."""
    records.load_due_work(tx, now_ms)
    records.admit(tx, now_ms=now_ms, max_in_flight=slots, max_per_user=MAX_PER_USER)
    return records.take_line_refresh(tx, now_ms)


def _service(database: Database, clock: SystemClock) -> Generations:
    return Generations(
        database,
        Ledger(Allowance(CREDITS, CreditPeriod.DAY, ZoneInfo("UTC"))),
        RequestLimits(database, ZoneInfo("UTC")),
        clock,
        max_queue=100_000,
        max_per_user=MAX_PER_USER,
        slots=lambda: 1,
        requests_per_minute=0,
        nudge=lambda: None,
        typical_seconds=lambda: None,
        deadline_seconds=DEADLINE_SECONDS,
    )
