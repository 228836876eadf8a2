"""Look at PostgreSQL twice a second during a run: connections, transactions, locks, and work that nobody does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

SAMPLE_SECONDS = 0.5
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

# PostgreSQL docs: The Cumulative Statistics System, "pg_stat_activity"; System Views, "pg_locks". Seconds.
_ACTIVITY = """
SELECT count(*) AS connections,
    max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE state <> 'idle') AS transaction_seconds,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_sessions,
    max(extract(epoch FROM clock_timestamp() - state_change)) FILTER (WHERE state LIKE 'idle in transaction%')
        AS idle_seconds,
    (SELECT max(extract(epoch FROM clock_timestamp() - waitstart)) FROM pg_locks WHERE NOT granted) AS lock_seconds,
    (SELECT max(extract(epoch FROM clock_timestamp()) - lease_until_ms / 1000.0) FROM generations) AS abandoned_seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
# The statement that has waited longest for a lock, and what those do that hold it.
_LONGEST_WAIT = """
SELECT waiting.query AS waits, string_agg(
    format('%s, %s for %s s, in a transaction for %s s: %s', holding.state, holding.wait_event,
        round(extract(epoch FROM clock_timestamp() - holding.state_change), 1),
        round(extract(epoch FROM clock_timestamp() - holding.xact_start), 1), holding.query), '; ') AS holds
FROM pg_stat_activity AS waiting
JOIN pg_stat_activity AS holding
    ON holding.pid = ANY (pg_blocking_pids(waiting.pid)) AND holding.wait_event_type IS DISTINCT FROM 'Lock'
WHERE waiting.datname = current_database()
GROUP BY waiting.pid, waiting.query, waiting.query_start ORDER BY waiting.query_start LIMIT 1
"""
LONG_WAIT_SECONDS = 1.0
QUERY_CHARACTERS = 240


@dataclass(slots=True)
class DatabaseWatch:
    """The greatest values that were seen. *idle*: in a transaction; *abandoned*: since a lease ran out that nobody has
    taken over; *longest_wait*: who waited for a lock, and for whom, where that was long."""

    address: str
    samples: int = 0
    connections: float = 0
    transaction_seconds: float = 0.0
    idle_sessions: float = 0
    idle_seconds: float = 0.0
    lock_seconds: float = 0.0
    abandoned_seconds: float = 0.0
    longest_wait: str = ""

    async def run(self) -> None:
        """Look until cancelled. A database that is away is asked again."""
        while True:
            try:
                await self._sample()
            except LOST:
                await asyncio.sleep(SAMPLE_SECONDS)

    async def _sample(self) -> None:
        connection: Any = await asyncpg.connect(self.address)
        try:
            while True:
                await self._take(connection)
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            connection.terminate()

    async def _take(self, connection: Any) -> None:
        seen: dict[str, Any] = dict(await connection.fetchrow(_ACTIVITY))
        waited = float(seen["lock_seconds"] or 0)
        if waited > max(self.lock_seconds, LONG_WAIT_SECONDS) and (wait := await connection.fetchrow(_LONGEST_WAIT)):
            waits, holds = (" ".join(query.split())[:QUERY_CHARACTERS] for query in wait)
            self.longest_wait = f" ({waits} waited for {holds})"
        self.samples += 1
        for name, value in seen.items():
            setattr(self, name, max(getattr(self, name), float(value or 0)))

    def __str__(self) -> str:
        return "; ".join(
            (
                f"PostgreSQL, looked at {self.samples} times: at most {self.connections:.0f} connections",
                f"longest transaction {self.transaction_seconds:.1f} s",
                f"longest wait for a lock {self.lock_seconds:.1f} s{self.longest_wait}",
                f"up to {self.idle_sessions:.0f} sessions idle in a transaction, for up to {self.idle_seconds:.1f} s",
                f"work of a lease that had run out waited {self.abandoned_seconds:.1f} s at most",
            )
        )
