"""The mark beside a SQLite file that the owner was told of it."""

from __future__ import annotations

from pathlib import Path

from store.told import QUIET_MS, forget_telling, note_telling


def test_the_owner_is_told_once_in_six_hours_until_the_file_works_again(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/imagine.db"
    times = (QUIET_MS, QUIET_MS + 1, 2 * QUIET_MS - 1, 2 * QUIET_MS)
    assert [note_telling(address, at_ms) for at_ms in times] == [True, False, False, True]
    forget_telling(address)
    assert note_telling(address, 2 * QUIET_MS + 1)


def test_nobody_is_told_where_no_mark_can_be_left(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "utf-8")
    assert not note_telling(f"sqlite:///{tmp_path}/data/imagine.db", QUIET_MS)
    assert not note_telling("postgresql://user@host/name", QUIET_MS)
