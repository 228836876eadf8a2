"""The mark beside a SQLite file that its fault was reported."""

from __future__ import annotations

from pathlib import Path

from store.fault_mark import QUIET_MS, forget_report, note_report


def test_a_fault_is_reported_once_in_six_hours_until_the_file_works_again(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/imagine.db"
    times = (QUIET_MS, QUIET_MS + 1, 2 * QUIET_MS - 1, 2 * QUIET_MS)
    assert [note_report(address, at_ms) for at_ms in times] == [True, False, False, True]
    forget_report(address)
    assert note_report(address, 2 * QUIET_MS + 1)


def test_a_fault_is_not_reported_where_no_mark_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "utf-8")
    assert not note_report(f"sqlite:///{tmp_path}/data/imagine.db", QUIET_MS)
    assert not note_report("postgresql://user@host/name", QUIET_MS)
