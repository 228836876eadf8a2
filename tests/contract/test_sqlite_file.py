"""The file of a SQLite database: its faults at the start and while the bot runs, its permissions, and what stays of
deleted words. Every fault here also happens to root."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update

from discord_api.snowflakes import snowflake_at
from generations.privacy import Privacy
from generations.records.tables import generations
from limits.usage import Calendar
from store.database import VACUUM_DUE_KEY, Database, open_database
from store.errors import DatabaseBroken, DatabaseUnreachable
from store.key_values import load_value, save_value
from store.sole_use import sole_use
from store.sqlite_file import APPLICATION_ID, fault_of
from store.transactions import Transaction
from store.vacuum import vacuum_if_due, words_deleted
from tests.contract.harness import DAY_MS, MIRA, OTTO, make_harness
from tests.contract.test_history import make as make_generation
from tests.databases import SqliteMaker

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX lets an open file be deleted")


def make(path: Path, *statements: str) -> Path:
    """Make a SQLite file, or change one, as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def ask(path: Path, statement: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchone()[0]


async def start(path: Path) -> str:
    """Open and migrate the file as the bot does at its start. Return the sentence of a refusal, or an empty string."""
    try:
        async with open_database(f"sqlite:///{path}") as database:
            await database.migrate()
    except DatabaseUnreachable as error:
        return str(error)
    return ""


def damage(path: Path, page: int) -> None:
    """Overwrite one page and all that follow it; pages count from 1."""
    with path.open("r+b") as file:
        size = 4096
        file.seek((page - 1) * size)
        file.write(b"\x5a" * max(size, path.stat().st_size - file.tell()))


# -- at the start ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"this is no database" * 500, b"short"])
async def test_a_file_that_is_no_database_is_refused_and_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    refusal = await start(path)
    assert refusal.startswith(f"{path} is not a SQLite database")
    assert "DATABASE_URL" in refusal
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE bookmarks (url)",),
        ("CREATE TABLE generations (id)",),
        ("CREATE TABLE alembic_version (version_num)", "CREATE TABLE entries (id)", "CREATE TABLE generations (id)"),
        ("PRAGMA application_id = 77", "CREATE TABLE entries (id)"),
        ("PRAGMA user_version = 3",),
    ],
)
async def test_a_database_of_another_program_is_refused_and_not_changed(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    path = make(tmp_path / "other.db", *statements)
    path.chmod(0o664)  # must not be restricted either
    before = path.read_bytes()
    assert (await start(path)).startswith(f"{path} is a database of another program")
    assert path.read_bytes() == before
    assert rights(path) == 0o664
    assert os.listdir(tmp_path) == ["other.db"]


async def test_a_damaged_file_is_refused_before_anything_is_written(sqlite_maker: SqliteMaker) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    damage(path, 3)
    refusal = await start(path)
    assert refusal.startswith(f"{path} is damaged")
    assert "backup" in refusal


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert await start(tmp_path) == f"{tmp_path} is not a file: name another one in DATABASE_URL"


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "utf-8")
    assert (await start(tmp_path / "data" / "imagine.db")).endswith("can't be opened: File exists")


async def test_a_file_with_a_hard_link_is_refused(sqlite_maker: SqliteMaker) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    os.link(path, f"{path}.second")
    assert (await start(path)).startswith(f"{path} has a second name, a hard link")
    os.remove(f"{path}.second")
    assert await start(path) == ""


async def test_a_symbolic_link_shares_the_lock_of_its_file(sqlite_maker: SqliteMaker, tmp_path: Path) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with sole_use(f"sqlite:///{path}"), pytest.raises(DatabaseUnreachable) as caught, sole_use(f"sqlite:///{link}"):
        pass
    assert str(caught.value).startswith(f"{link} is in use by process {os.getpid()}")
    assert await start(link) == ""
    assert os.listdir(tmp_path) == ["link.db"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_the_file_can_be_locked_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "imagine.db.lock").symlink_to("/dev/full")  # each write to it fails with ENOSPC
    with sole_use(f"sqlite:///{tmp_path}/imagine.db"):
        pass


@pytest.mark.parametrize("of_the_folder", [False, True])
async def test_a_file_without_write_permission_is_refused(sqlite_maker: SqliteMaker, of_the_folder: bool) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    folder = path.parent / f"closed-{path.stem}"
    os.renames(path, folder / path.name)  # makes the folder
    path = folder / path.name
    closed = folder if of_the_folder else path
    closed.chmod(0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("root may write every file: run the tests as another user")
    refusal = await start(path)
    folder.chmod(0o700)
    assert refusal.startswith(f"{path} can't be ")
    assert "right to write" in refusal


def test_an_io_error_on_a_disk_that_was_made_read_only_is_permanent(tmp_path: Path) -> None:
    path = make(tmp_path / "imagine.db", "CREATE TABLE entries (id)")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert fault_of(path, error) is None
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("root may write every file: run the tests as another user")
    assert str(fault_of(path, error)).startswith(f"{path} can't be written")


async def test_a_file_without_tables_as_a_killed_first_start_leaves_it_is_accepted(tmp_path: Path) -> None:
    path = make(tmp_path / "imagine.db", "PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    assert await start(path) == ""
    assert ask(path, "PRAGMA application_id") == APPLICATION_ID


# -- while the bot runs ------------------------------------------------------------------------------------------------


def spoil(path: Path, fault: str) -> None:
    """Change a file in use as an operator, another program or a bad disk would."""
    match fault:
        case "deleted":
            path.unlink()
        case "replaced":
            shutil.copy(path, f"{path}.new")
            os.replace(f"{path}.new", path)
        case "log deleted":
            Path(f"{path}-wal").unlink()
        case "log replaced":
            shutil.copy(f"{path}-wal", f"{path}.new")
            os.replace(f"{path}.new", f"{path}-wal")
        case "a folder":
            path.unlink()
            path.mkdir()
        case "emptied":
            path.write_bytes(b"")
        case "overwritten":
            other = make(path.with_suffix(".other"), "CREATE TABLE bookmarks (url)")
            shutil.copyfile(other, path)
        case "noise":
            damage(path, 1)
        case _:
            damage(path, 2)


GONE = "was deleted or replaced while the bot was running"


def save_many(tx: Transaction) -> None:
    for number in range(400):
        save_value(tx, f"key {number}", "x" * 500)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("deleted", GONE),
        ("replaced", GONE),
        ("a folder", GONE),
        ("emptied", GONE),
        ("overwritten", GONE),
        ("log deleted", ""),
        ("log replaced", ""),
        ("noise", "is not a SQLite database"),
        ("damaged", "is damaged"),
    ],
)
async def test_a_file_that_breaks_while_the_bot_runs_is_not_used_again(
    sqlite_maker: SqliteMaker, fault: str, sentence: str
) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        await database.migrate()
        await database.run(save_many)
        await database.truncate_wal()
        spoil(path, fault)
        raised = list[str]()
        for through in (database, database, database.in_background()):
            with pytest.raises(DatabaseBroken) as caught:
                await through.truncate_wal()
                await through.run(load_value, "key 7")
                await through.run(Transaction.execute, text("DELETE FROM key_values"))
            raised.append(str(caught.value))
        assert raised[0].startswith(f"{path} {sentence}" if sentence else f"{path}-wal {GONE}")
        assert len(set(raised)) == 1


async def test_a_log_that_sqlite_itself_recreates_is_no_fault(sqlite_maker: SqliteMaker) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        for number in range(5):
            await database.run(save_value, "key", str(number))
            await database.truncate_wal()
            await database.vacuum("nothing")
            ask(path, "PRAGMA integrity_check")  # another connection that comes and goes
            if number == 2:
                await database.close()
                assert f"{path.name}-wal" not in os.listdir(path.parent)
        assert await database.run(load_value, "key") == "4"


async def test_a_file_that_becomes_read_only_is_not_used_again(sqlite_maker: SqliteMaker) -> None:
    async with open_database(await sqlite_maker.create()) as database:
        await database.run(Transaction.execute, text("PRAGMA query_only = ON"))
        for way in (database.run, database.read):
            with pytest.raises(DatabaseBroken, match="can't be written"):
                await way(save_value, "word", "x")


# -- who may read it ---------------------------------------------------------------------------------------------------


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_new_database_and_its_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with open_database(f"sqlite:///{tmp_path}/fresh/imagine.db") as database:
            await database.migrate()
            parts = {part.name: rights(part) for part in (tmp_path / "fresh").iterdir()}
    finally:
        os.umask(before)
    assert parts == {"imagine.db": 0o600, "imagine.db-wal": 0o600, "imagine.db-shm": 0o600}
    assert rights(tmp_path / "fresh") == 0o700


async def test_the_files_of_the_database_and_no_others_are_restricted_to_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for name in ("imagine.db", "imagine.db-wal", "imagine.db-shm", "imagine.db.lock", "notes.txt"):
        (folder / name).touch()
        (folder / name).chmod(0o664)
    assert await start(folder / "imagine.db") == ""
    assert rights(folder) == 0o700
    assert {part.name: rights(part) for part in folder.iterdir()} == {
        "imagine.db": 0o600, "imagine.db.lock": 0o600, "notes.txt": 0o664,
    }  # fmt: skip


async def test_a_folder_with_another_name_is_not_changed_and_a_warning_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert await start(folder / "imagine.db") == ""
    assert rights(folder) == 0o777
    assert f"can open the folder {folder}" in caplog.text


# -- what is left of what was erased -----------------------------------------------------------------------------------


def raw_bytes(path: Path) -> bytes:
    """Return all bytes that SQLite has on the disk."""
    parts = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]
    return b"".join(part.read_bytes() for part in parts if part.exists())


@pytest.mark.parametrize("way", ["erased", "purged"])
async def test_no_prompt_stays_on_the_disk_after_it_was_erased_or_purged(sqlite_maker: SqliteMaker, way: str) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        harness = make_harness(database, credits=500)
        for number in range(1, 41):  # several pages of rows, some of them overflowing theirs
            prompt = f"canary {number} " * (1 + number % 5 * 60)
            await make_generation(harness, snowflake_at(harness.clock.at_ms) + number, MIRA, prompt=prompt)
        assert b"canary 7 " in raw_bytes(path)
        privacy = Privacy(
            database, harness.ledger, harness.clock, random.Random(5), Calendar(ZoneInfo("UTC")), retention_days=1
        )
        if way == "erased":
            await privacy.erase(MIRA)
        else:
            harness.clock.at_ms += 3 * DAY_MS
            await privacy.run_maintenance()
        assert b"canary" not in raw_bytes(path)


async def test_words_in_gaps_of_pages_are_removed_by_the_next_maintenance(sqlite_maker: SqliteMaker) -> None:
    """Rows that grow are moved within their page, and secure_delete overwrites only their last place."""
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        harness = make_harness(database, credits=5000)
        rng = random.Random(5)
        numbers = [snowflake_at(harness.clock.at_ms) + number for number in range(100)]
        for index, number in enumerate(numbers):
            prompt = f"canary {index} " + "x" * rng.choice([20, 80, 200, 500, 1200])
            await make_generation(harness, number, MIRA if index % 10 == 3 else OTTO, prompt=prompt)
            for grown in rng.sample(numbers[max(0, index - 8) : index + 1], min(3, index + 1)):
                values = {"token": "t" * rng.choice([100, 180]), "lease_holder": "host-name:12345"}
                growing = update(generations).where(generations.c.id == grown).values(values)
                await database.run(Transaction.execute, growing)
        privacy = Privacy(database, harness.ledger, harness.clock, rng, Calendar(ZoneInfo("UTC")), retention_days=0)
        await privacy.erase(MIRA)
        await privacy.run_maintenance()
        left = raw_bytes(path)
        assert not [index for index in range(3, 100, 10) if f"canary {index} ".encode() in left]
        assert b"canary 4 " in left


async def test_the_file_is_rewritten_at_most_once_an_hour_and_only_after_a_deletion(
    sqlite_maker: SqliteMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hour_ms = 3_600_000
    async with open_database(await sqlite_maker.create()) as database:
        written: list[int] = []
        for at_ms, deletes in ((0, False), (1, True), (2, False), (3, True), (hour_ms, False), (hour_ms + 1, False)):
            if deletes:
                await database.run(words_deleted, at_ms)
            caplog.clear()
            await vacuum_if_due(database, DAY_MS + at_ms)
            if "written anew" in caplog.text:
                written.append(at_ms)
        assert written == [1, hour_ms + 1]


async def test_a_file_above_the_limit_is_not_rewritten_and_stays_due(sqlite_maker: SqliteMaker) -> None:
    async with open_database(await sqlite_maker.create()) as database:
        await database.run(words_deleted, 5)
        assert not await database.vacuum("5", bytes_max=100)
        assert await database.run(load_value, VACUUM_DUE_KEY) == "5"
        assert await database.vacuum("4")
        assert await database.run(load_value, VACUUM_DUE_KEY) == "5"  # something was deleted meanwhile


class WrittenMeanwhile(Database):
    """The same database, to which another program writes whenever it is to be rewritten."""

    def __init__(self, database: Database, other: sqlite3.Connection) -> None:
        self._database, self._other = database, other
        self.is_postgresql = False

    async def run(self, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await self._database.run(work, *args, **kwargs)

    async def vacuum(self, due: str, *, bytes_max: int | None = None) -> bool:
        self._other.execute("BEGIN IMMEDIATE")
        try:
            return await self._database.vacuum(due, bytes_max=bytes_max)
        finally:
            self._other.execute("ROLLBACK")


async def test_rewriting_a_file_that_another_program_writes_is_put_off_for_an_hour(
    sqlite_maker: SqliteMaker, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        await database.run(words_deleted, 5)
        with closing(sqlite3.connect(path, isolation_level=None)) as other, caplog.at_level(logging.WARNING):
            await vacuum_if_due(WrittenMeanwhile(database, other), DAY_MS)
        assert "next try in an hour: (sqlite3.OperationalError) database is locked" in caplog.text
        assert await database.run(load_value, VACUUM_DUE_KEY) == "5"


async def test_a_log_that_another_connection_reads_is_emptied_later_without_waiting(sqlite_maker: SqliteMaker) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        await database.run(save_value, "word", "canary in the log")
        with closing(sqlite3.connect(path, isolation_level=None)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT * FROM key_values").fetchall()
            await database.run(Transaction.execute, text("DELETE FROM key_values"))
            assert not await database.truncate_wal()
        assert b"canary" in raw_bytes(path)
        assert await database.truncate_wal()
        assert b"canary" not in raw_bytes(path)
        assert await database.run(Transaction.scalar, text("PRAGMA busy_timeout")) == 30_000
