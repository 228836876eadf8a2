"""How the doctor looks at a database without changing it."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from store.database import open_database
from store.errors import DatabaseUnreachable
from store.inspection import DatabaseMissing, folder_of, inspect_database
from store.schema import NEWEST_REVISION
from store.sole_use import sole_use
from store.sqlite_file import real_path
from store.transactions import Transaction
from tests.databases import DatabaseMaker, PostgresqlMaker, SqliteMaker

BEHIND = text("UPDATE alembic_version SET version_num = '0006'")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below *folder*, with its bytes and the time of its last change."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def open_new(path: str) -> None:
    """Make an empty file."""
    with open(path, "xb"):
        pass


async def test_a_database_is_read_with_its_revision(make_database: DatabaseMaker) -> None:
    address = await make_database.create()
    async with open_database(address, idle_seconds=0) as database:
        found = await inspect_database(address)
        assert found.revisions == frozenset({NEWEST_REVISION})
        assert found.bytes > 100_000 and found.refused == ()
        await database.run(Transaction.execute, BEHIND)
        assert (await inspect_database(address)).revisions == frozenset({"0006"})
    await make_database.drop(address)


async def test_the_clock_is_that_of_the_server_and_a_file_has_none(make_database: DatabaseMaker) -> None:
    address = await make_database.create()
    found = await inspect_database(address)
    if isinstance(make_database, PostgresqlMaker):
        assert found.kind == "PostgreSQL"
        assert found.now_ms is not None and abs(found.now_ms - time.time() * 1000) < 60_000
    else:
        assert (found.kind, found.now_ms) == ("SQLite", None)
    await make_database.drop(address)


async def test_an_empty_database_has_no_revision(make_database: DatabaseMaker) -> None:
    address = await make_database.create(empty=True)
    if isinstance(make_database, SqliteMaker):
        open_new(address.removeprefix("sqlite:///"))
    assert (await inspect_database(address)).revisions == frozenset()
    await make_database.drop(address)


async def test_a_file_beside_a_running_bot_is_read_up_to_the_last_commit_and_not_touched(
    sqlite_maker: SqliteMaker, tmp_path: Path
) -> None:
    path = tmp_path / "bot.sqlite3"
    path.write_bytes(sqlite_maker.template.read_bytes())
    address = f"sqlite:///{path}"
    with sole_use(address):
        async with open_database(address) as database:
            await database.run(Transaction.execute, BEHIND)  # only in the log beside the file so far
            before = snapshot(tmp_path)
            assert (await inspect_database(address)).revisions == frozenset({"0006"})
            after = snapshot(tmp_path)
    assert {name: content for name, (content, _) in before.items() if not name.endswith("-shm")} == {
        name: content for name, (content, _) in after.items() if not name.endswith("-shm")
    }


async def test_a_file_that_nobody_uses_gets_no_log_beside_it(sqlite_maker: SqliteMaker, tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    path.write_bytes(sqlite_maker.template.read_bytes())
    before = snapshot(tmp_path)
    assert (await inspect_database(f"sqlite:///{path}")).revisions == {NEWEST_REVISION}
    assert snapshot(tmp_path) == before and len(before) == 1


async def test_a_file_that_is_not_there_is_not_made_nor_is_its_folder(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/data/deep/bot.sqlite3"
    with pytest.raises(DatabaseMissing) as missing:
        await inspect_database(address)
    assert missing.value.may_be_made
    assert os.listdir(tmp_path) == []
    assert folder_of(address) == real_path(tmp_path)
    assert folder_of("postgresql://ada@db/imagine") is None


async def test_a_file_can_not_be_made_below_another_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DatabaseMissing) as missing:
        await inspect_database(f"sqlite:///{tmp_path}/data/bot.sqlite3")
    assert not missing.value.may_be_made


def damage(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def make_foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title)")
    connection.close()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_text("no database, but a text that is long enough" * 99), "is not a SQLite database"),
        (damage, "is damaged"),
        (make_foreign, "is a database of another program"),
        (lambda path: os.link(path, path.with_name("copy")), "has a second name"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
    ],
)
async def test_a_file_that_can_not_be_used_is_refused_with_the_sentence_of_the_bots_start(
    break_it: Callable[[Path], object], said: str, sqlite_maker: SqliteMaker, tmp_path: Path
) -> None:
    path = tmp_path / "bot.sqlite3"
    path.write_bytes(sqlite_maker.template.read_bytes())
    break_it(path)
    with pytest.raises(DatabaseUnreachable, match=said):
        await inspect_database(f"sqlite:///{path}")


@pytest.mark.postgres
async def test_a_user_without_the_rights_of_the_bot_is_told_what_it_lacks(postgresql_maker: PostgresqlMaker) -> None:
    address, guest = await postgresql_maker.create(), f"{postgresql_maker.prefix}_visitor"
    async with open_database(address, idle_seconds=0) as database:
        await database.run(Transaction.execute, text(f"CREATE ROLE {guest} LOGIN"))
        await database.run(Transaction.execute, text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}"))
    found = await inspect_database(address.replace("postgres@", f"{guest}@"))
    assert found.refused[0] == "may not create tables in its schema"
    assert re.fullmatch(r"does not own \d+ tables, such as accounts", found.refused[1])
    await postgresql_maker.drop(address)
    await postgresql_maker.command(f"DROP ROLE {guest}")


@pytest.mark.postgres
async def test_a_server_that_can_not_be_reached_or_has_no_such_database_is_a_sentence(
    postgresql_maker: PostgresqlMaker,
) -> None:
    with pytest.raises(DatabaseUnreachable, match='database "nothing" does not exist'):
        await inspect_database(postgresql_maker.address("nothing"))
    with pytest.raises(DatabaseUnreachable, match="can't be opened") as unreachable:
        await inspect_database("postgresql://ada:canary@127.0.0.1:9/imagine")
    assert "canary" not in str(unreachable.value)
