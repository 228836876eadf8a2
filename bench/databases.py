"""A PostgreSQL server of the bench's own, started when it is first needed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psutil

from tests.chaos.postgres import open_postgres
from tests.databases import PostgresqlMaker

# PostgreSQL docs: The Cumulative Statistics System, "pg_stat_database" and "pg_stat_all_tables". A process of the
# server that works reports what it did within a second. A statement begins a scan of each table that it reads.
COUNTED = """
SELECT xact_commit AS transactions, tup_returned AS rows_read, tup_inserted + tup_updated + tup_deleted AS rows_written,
    (SELECT sum(seq_scan + coalesce(idx_scan, 0))::bigint FROM pg_stat_user_tables) AS scans
FROM pg_stat_database WHERE datname = current_database()
"""


@dataclass(slots=True)
class Databases:
    """*stack* stops the server."""

    stack: contextlib.AsyncExitStack
    version: str = ""
    _maker: PostgresqlMaker | None = None
    _processes: list[psutil.Process] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open_postgresql(self) -> AsyncIterator[str]:
        """Make an empty database. Yield its address; drop it afterwards."""
        if self._maker is None:
            self._maker = await self._start()
        address = await self._maker.create(empty=True)
        try:
            yield address
        finally:
            await self._maker.drop(address)

    async def _start(self) -> PostgresqlMaker:
        postgres = await self.stack.enter_async_context(open_postgres())
        known = postgres.server.get_postmaster_info()
        maker = PostgresqlMaker(str(known.socket_dir), prefix="bench")
        await maker.command("ALTER SYSTEM SET fsync = on")
        await maker.command("SELECT pg_reload_conf()")
        self.version = str(await maker.value("SHOW server_version"))
        self._processes = [psutil.Process(known.pid)]
        return maker

    async def counters(self, address: str) -> dict[str, int]:
        """Return what the database at *address* has done so far: COUNTED, this question included."""
        connection: Any = await asyncpg.connect(address)
        try:
            return dict(await connection.fetchrow(COUNTED))
        finally:
            await connection.close()

    def cpu_seconds(self) -> float:
        """Return the processor time of all processes of the server, those that have ended included; 0 without one."""
        seconds = 0.0
        for server in self._processes:
            ended = server.cpu_times()
            seconds += ended.children_user + ended.children_system
            for process in (server, *server.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    seconds += times.user + times.system
        return seconds
