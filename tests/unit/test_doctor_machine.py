"""What the doctor says of settings, database, tables, disk and room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doctor.machine_checks import (
    MIB,
    find_file_system,
    judge_database,
    judge_disk,
    judge_migrations,
    judge_settings,
    judge_space,
)
from doctor.model import Level, worst_level
from store.errors import DatabaseUnreachable
from store.inspection import DatabaseMissing, Inspected, known_revisions
from store.schema import NEWEST_REVISION

FILE, SERVER = "sqlite:////srv/bot/data/imagine.db", "postgresql://ada:secret@db/imagine"
HEROKU, RAILWAY = {"DYNO": "worker.1"}, {"RAILWAY_SERVICE_ID": "x", "RAILWAY_VOLUME_MOUNT_PATH": "/srv/bot"}


def inspected(**changed: Any) -> Inspected:
    facts: dict[str, Any] = {"kind": "SQLite", "version": "3.45", "bytes": 3 * MIB, "revisions": frozenset()}
    return Inspected(**{**facts, **changed})


def test_each_fault_and_each_warning_of_the_settings_is_a_finding() -> None:
    found = judge_settings(["PORT must be a whole number.", "X is missing."], ["QWEN_FOO is not a setting."], 36)
    assert [(each.level, each.text) for each in found] == [
        (Level.FAIL, "PORT must be a whole number."),
        (Level.FAIL, "X is missing."),
        (Level.WARN, "QWEN_FOO is not a setting."),
    ]
    assert worst_level(judge_settings([], ["x"], 36)) is Level.WARN
    assert [each.level for each in judge_settings([], [], 36)] == [Level.OK]


def test_a_database_that_can_be_used_is_named() -> None:
    found = judge_database(inspected())
    assert (found.level, found.text) == (Level.OK, "SQLite 3.45, 3.0 MiB, can be read and is not damaged.")


def test_a_file_that_is_not_there_is_a_warning_where_the_first_start_can_make_it() -> None:
    found = judge_database(DatabaseMissing(Path("data/x.db"), may_be_made=True))
    assert found.level is Level.WARN and found.text.startswith("There is no file data/x.db. The first start")
    assert judge_database(DatabaseMissing(Path("x.db"), may_be_made=False)).level is Level.FAIL


def test_a_database_that_can_not_be_used_fails_with_the_reason() -> None:
    found = judge_database(DatabaseUnreachable("x.db is damaged"))
    assert (found.level, found.text) == (Level.FAIL, "X.db is damaged.")
    found = judge_database(inspected(refused=("may not create tables in its schema", "does not own 3 tables")))
    assert found.level is Level.FAIL and "may not create tables in its schema; does not own 3" in found.text


def test_the_revisions_of_this_version_are_those_of_its_migrations() -> None:
    assert max(known_revisions()) == NEWEST_REVISION
    assert "0001" in known_revisions()


@pytest.mark.parametrize(
    ("revisions", "level", "advice"),
    [
        ({"0007"}, Level.OK, ""),
        ({"0006"}, Level.WARN, "migrate"),
        (set(), Level.WARN, "migrate"),
        ({"0008"}, Level.FAIL, "Update the bot"),
        ({"0007", "0008"}, Level.FAIL, "Update the bot"),
    ],
)
def test_tables_behind_are_a_warning_and_tables_ahead_a_failure(revisions: set[str], level: Level, advice: str) -> None:
    found = judge_migrations(revisions, "0007", {"0005", "0006", "0007"})
    assert found.level is level and advice in found.advice


@pytest.mark.parametrize(
    ("address", "environment", "file_system", "allowed", "level", "words"),
    [
        (FILE, {}, "ext4", False, Level.OK, "Nothing says"),
        (FILE, {}, None, False, Level.OK, "Nothing says"),
        (FILE, HEROKU, "ext4", False, Level.FAIL, "Heroku empties a disk"),
        (FILE, HEROKU, "ext4", True, Level.OK, "ALLOW_EPHEMERAL_DATABASE says"),
        (FILE, RAILWAY, "ext4", False, Level.OK, "Nothing says"),
        (FILE, {}, "tmpfs", False, Level.WARN, "in memory"),
        (FILE, HEROKU, "overlay", True, Level.WARN, "container's own layer"),
        (SERVER, HEROKU, "overlay", False, Level.OK, "on a server"),
    ],
)
def test_a_disk_that_is_not_kept_is_found(
    address: str, environment: dict[str, str], file_system: str | None, allowed: bool, level: Level, words: str
) -> None:
    found = judge_disk(address, environment, file_system, allowed=allowed)
    assert found.level is level and words in found.text
    assert bool(found.advice) is (level is not Level.OK)


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount_and_of_the_last_one_there() -> None:
    mounts = "\n".join(
        [
            "overlay / overlay rw 0 0",
            "/dev/sda1 /srv ext4 rw 0 0",
            r"/dev/sdb1 /srv/my\040disk xfs rw 0 0",
            "tmpfs /run ext4 rw 0 0",
            "tmpfs /run tmpfs rw 0 0",
            "broken",
        ]
    )
    expected = {"/": "overlay", "/srv/bot": "ext4", "/srv/my disk/x": "xfs", "/srvx": "overlay", "/run": "tmpfs"}
    found = {path: find_file_system(Path(path), mounts) for path in expected}
    assert found == expected
    assert find_file_system(Path("/srv"), "") is None


@pytest.mark.parametrize(
    ("free", "database", "level"),
    [
        (100 * MIB - 1, 0, Level.FAIL),
        (100 * MIB, 0, Level.WARN),
        (1024 * MIB - 1, 0, Level.WARN),
        (1024 * MIB, 0, Level.OK),
        (3000 * MIB - 1, 1000 * MIB, Level.WARN),
        (3000 * MIB, 1000 * MIB, Level.OK),
        (None, 0, Level.OK),
    ],
)
def test_little_room_is_a_warning_and_very_little_a_failure(free: int | None, database: int, level: Level) -> None:
    assert judge_space(free, database).level is level
