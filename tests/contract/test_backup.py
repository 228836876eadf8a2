"""Backups of a SQLite file, and how they are put in its place. The rows are those of tests/contract/test_move.py."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from generations import records
from generations.model import State
from store.backup import NOT_SQLITE, back_up, count_rows, restore
from store.database import Database, open_database
from store.errors import BackupRefused, DatabaseInUse, SchemaTooNew
from store.key_values import load_value, save_value
from store.schema import NEWEST_REVISION, migrate_to, read_revisions
from store.sole_use import sole_use
from store.sqlite_file import APPLICATION_ID
from store.transactions import Transaction
from tests.contract.harness import MIRA, make_harness
from tests.contract.test_history import make
from tests.contract.test_move import fill, read_rows
from tests.databases import SqliteMaker

POSTGRESQL = "postgresql://user:canary@host/name"


def nothing(tx: Transaction) -> None:
    """Do what the commands need not do in a test."""


def address_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def rows(path: Path) -> object:
    async with open_database(address_of(path)) as database:
        return await database.run(read_rows)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def damage(path: Path) -> None:
    content = path.read_bytes()
    half, quarter = len(content) // 2, len(content) // 4
    path.write_bytes(content[:half] + b"\x55" * quarter + content[half + quarter :])


@pytest_asyncio.fixture(loop_scope="session")
async def running(sqlite_maker: SqliteMaker, tmp_path: Path) -> AsyncIterator[Database]:
    """Return the database of a bot that runs, with rows in every table, all of them still in the write-ahead log."""
    path = tmp_path / "bot.db"
    shutil.copy(sqlite_maker.template, path)
    with sole_use(address_of(path)):
        async with open_database(address_of(path)) as database:
            harness = make_harness(database)
            await make(harness, 11)
            await harness.ask(13, count=2)
            await database.run(fill)
            yield database


# ---- backup --------------------------------------------------------------------------------------------------------


async def test_a_backup_of_a_running_bot_has_every_row_and_is_readable_by_its_owner_alone(
    running: Database, tmp_path: Path
) -> None:
    counts: dict[str, int] = {}
    await back_up(address_of(tmp_path / "bot.db"), tmp_path / "copy.db", lambda tx: counts.update(count_rows(tx)))
    await running.run(save_value, "proof", "written after the backup")
    copied = await rows(tmp_path / "copy.db")
    assert isinstance(copied, dict) and {name: len(found) for name, found in copied.items()} == counts
    assert (await running.run(read_rows)) | {"key_values": copied["key_values"]} == copied
    assert ("proof", "written after the backup") not in copied["key_values"]
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert [name for name in sorted(os.listdir(tmp_path)) if not name.startswith("bot.db")] == ["copy.db"]


async def test_a_backup_holds_up_no_writer_and_sees_one_moment(running: Database, tmp_path: Path) -> None:
    """Whoever checks the copy finds what was there when it began, whatever is written meanwhile."""
    seen: list[str | None] = []
    with closing(sqlite3.connect(tmp_path / "bot.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE key_values SET value = 'not committed'")
        await back_up(
            address_of(tmp_path / "bot.db"), tmp_path / "copy.db", lambda tx: seen.append(load_value(tx, "proof"))
        )
        writer.execute("ROLLBACK")
    assert seen != [None] and "not committed" not in seen


async def test_a_backup_overwrites_nothing(running: Database, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine", "utf-8")
    with pytest.raises(BackupRefused, match=r"copy\.db is there already"):
        await back_up(address_of(tmp_path / "bot.db"), tmp_path / "copy.db", nothing)

    def take_the_name(tx: Transaction) -> None:
        (tmp_path / "second.db").write_text("mine", "utf-8")

    with pytest.raises(BackupRefused, match=r"second\.db can't be made: File exists"):
        await back_up(address_of(tmp_path / "bot.db"), tmp_path / "second.db", take_the_name)
    assert [(tmp_path / name).read_text("utf-8") for name in ("copy.db", "second.db")] == ["mine", "mine"]


async def test_no_backup_stays_when_its_check_fails(running: Database, tmp_path: Path) -> None:
    def fail(tx: Transaction) -> None:
        raise RuntimeError("the check failed")

    with pytest.raises(RuntimeError, match="the check failed"):
        await back_up(address_of(tmp_path / "bot.db"), tmp_path / "copy.db", fail)
    assert all(name.startswith("bot.db") for name in os.listdir(tmp_path))


async def test_a_backup_of_an_earlier_schema_stays_as_it_is_and_is_tried_with_the_newest(tmp_path: Path) -> None:
    async with open_database(address_of(tmp_path / "bot.db")) as database:
        await database.run(migrate_to, "0003")
        await database.run(Transaction.exec_driver_sql, f"PRAGMA application_id = {APPLICATION_ID}")
    revisions: list[set[str]] = []
    await back_up(
        address_of(tmp_path / "bot.db"), tmp_path / "copy.db", lambda tx: revisions.append(read_revisions(tx))
    )
    assert revisions == [{NEWEST_REVISION}]
    async with open_database(address_of(tmp_path / "copy.db")) as database:
        assert await database.read(read_revisions) == {"0003"}


async def test_what_is_no_file_of_this_bot_is_neither_backed_up_nor_restored(tmp_path: Path) -> None:
    change(tmp_path / "foreign.db", "CREATE TABLE shopping (item TEXT)")
    (tmp_path / "words.db").write_text("shopping list\n" * 500, "utf-8")
    (tmp_path / "empty.db").touch()
    for name, sentence in {
        "foreign.db": "is not a database of this bot",
        "words.db": "can't be copied: file is not a database",
        "empty.db": "is not a database of this bot",
        "missing.db": "there is no file ",
    }.items():
        with pytest.raises(BackupRefused, match=sentence):
            await back_up(address_of(tmp_path / name), tmp_path / "copy.db", nothing)
        with pytest.raises(BackupRefused, match=sentence):
            await restore(address_of(tmp_path / "bot.db"), tmp_path / name, nothing, replace=True)
    assert sorted(os.listdir(tmp_path)) == ["bot.db.lock", "empty.db", "foreign.db", "words.db"]


async def test_postgresql_is_refused_with_a_sentence_that_names_no_address(tmp_path: Path) -> None:
    for refused in (
        back_up(POSTGRESQL, tmp_path / "copy.db", nothing),
        restore(POSTGRESQL, tmp_path / "copy.db", nothing, replace=True),
    ):
        with pytest.raises(BackupRefused) as error:
            await refused
        assert str(error.value) == NOT_SQLITE
        assert "docs/backup.md" in NOT_SQLITE and "canary" not in NOT_SQLITE


# ---- restore -------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def backup(running: Database, tmp_path: Path) -> Path:
    await back_up(address_of(tmp_path / "bot.db"), tmp_path / "copy.db", nothing)
    return tmp_path / "copy.db"


async def test_a_backup_is_put_where_no_file_is_or_one_without_rows(
    backup: Path, tmp_path: Path, sqlite_maker: SqliteMaker
) -> None:
    assert await restore(address_of(tmp_path / "new/bot.db"), backup, nothing, replace=False) is None
    shutil.copy(sqlite_maker.template, tmp_path / "bare.db")
    aside = await restore(address_of(tmp_path / "bare.db"), backup, nothing, replace=False)
    assert aside == tmp_path / "bare.db.replaced-1"
    assert await rows(tmp_path / "new/bot.db") == await rows(tmp_path / "bare.db") == await rows(backup)
    assert stat.S_IMODE((tmp_path / "new/bot.db").stat().st_mode) == 0o600


async def test_a_file_that_a_bot_uses_is_not_replaced(backup: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseInUse, match=r"bot\.db is in use by process"):
        await restore(address_of(tmp_path / "bot.db"), backup, nothing, replace=True)


async def test_rows_are_replaced_only_when_asked_and_are_kept_with_their_log(backup: Path, tmp_path: Path) -> None:
    for part in ("", "-wal"):  # as a killed bot leaves them
        shutil.copy(tmp_path / f"bot.db{part}", tmp_path / f"old.db{part}")
    change(backup, "UPDATE key_values SET value = 'in the backup'")
    with pytest.raises(BackupRefused, match=r"old\.db has rows: .* restore --replace"):
        await restore(address_of(tmp_path / "old.db"), backup, nothing, replace=False)
    aside = await restore(address_of(tmp_path / "old.db"), backup, nothing, replace=True)
    assert aside is not None and (await rows(aside)) == await rows(tmp_path / "bot.db")
    assert await rows(tmp_path / "old.db") == await rows(backup) != await rows(aside)
    again = await restore(address_of(tmp_path / "old.db"), aside, nothing, replace=True)
    assert again == tmp_path / "old.db.replaced-2"
    assert await rows(tmp_path / "old.db") == await rows(aside)


async def test_a_damaged_file_is_replaced_only_when_asked(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "old.db").write_text("damaged\n" * 500, "utf-8")
    with pytest.raises(BackupRefused, match=r"old\.db has rows"):
        await restore(address_of(tmp_path / "old.db"), backup, nothing, replace=False)
    aside = await restore(address_of(tmp_path / "old.db"), backup, nothing, replace=True)
    assert aside is not None and aside.read_text("utf-8").startswith("damaged")


async def test_a_backup_of_a_newer_version_or_one_that_can_not_be_changed_leaves_all_as_it_is(
    backup: Path, tmp_path: Path
) -> None:
    def fail(tx: Transaction) -> None:
        raise RuntimeError("it can't be changed")

    with pytest.raises(RuntimeError, match="can't be changed"):
        await restore(address_of(tmp_path / "new.db"), backup, fail, replace=False)
    change(backup, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="schema 9999"):
        await restore(address_of(tmp_path / "new.db"), backup, nothing, replace=False)
    assert not (tmp_path / "new.db").exists()


async def test_a_damaged_backup_is_refused(backup: Path, tmp_path: Path) -> None:
    damage(backup)
    with pytest.raises(BackupRefused, match=r"copy\.db (can't be copied: |is damaged)"):
        await restore(address_of(tmp_path / "new.db"), backup, nothing, replace=False)
    assert not (tmp_path / "new.db").exists()


async def test_a_file_with_rows_that_its_own_rules_forbid_is_damaged(backup: Path, tmp_path: Path) -> None:
    change(backup, "PRAGMA ignore_check_constraints = ON", "UPDATE accounts SET available = -1")
    with pytest.raises(BackupRefused, match=r"copy\.db is damaged \(CHECK constraint failed in accounts\)"):
        await back_up(address_of(backup), tmp_path / "second.db", nothing)
    assert not (tmp_path / "second.db").exists()


async def test_images_that_were_in_line_are_not_posted_again_after_a_restore(backup: Path, tmp_path: Path) -> None:
    """They may have been made since. An image with a task goes on, and one that is due at no time stays so."""
    await restore(address_of(tmp_path / "new.db"), backup, records.assume_posted, replace=False)
    async with open_database(address_of(tmp_path / "new.db")) as database:
        harness = make_harness(database)
        assert [image.state for image in (await harness.load(13)).images] == [State.SUBMITTING] * 2
        assert (await harness.load(11)).images[0].state is State.DELIVERED
        assert [generation.id for generation in await harness.claim()] == [13]
        assert await database.run(harness.ledger.audit) == []
        assert await harness.numbers(MIRA) == (35, 10)
