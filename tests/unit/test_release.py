"""What `make release` finds before it runs the tests."""

from __future__ import annotations

import pytest

from scripts.release import (
    changelog_faults,
    main,
    migration_faults,
    read_changes,
    version_faults,
)
from tests.architecture.laws import ROOT
from version import VERSION

CHANGES = """# Changelog

## [Unreleased]

## [1.1.0] - 2026-12-01

### Added
- Something.

## [1.0.0] - 2026-11-29

### Added
- Everything.
"""


def test_this_tree_has_a_section_for_its_version() -> None:
    assert list(changelog_faults((ROOT / "CHANGELOG.md").read_text("utf-8"), VERSION)) == []


def test_the_sections_of_the_changelog_are_read_in_their_order() -> None:
    assert list(read_changes(CHANGES)) == ["Unreleased", "1.1.0", "1.0.0"]
    assert read_changes(CHANGES)["1.0.0"] == ("2026-11-29", "\n\n### Added\n- Everything.\n")
    assert list(changelog_faults(CHANGES, "1.1.0")) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("## [Unreleased]\n", "## [Unreleased]\n- More.\n", "has changes that are not released"),
        ("## [1.1.0]", "## [1.3.0]", "does not begin with ## [1.1.0]"),
        ("## [1.1.0] -", "## [1.2.0] - 2026-12-02\n- Newer.\n\n## [1.1.0] -", "does not begin with ## [1.1.0]"),
        ("2026-12-01", "2026-12-32", "says 2026-12-32 where the day"),
        (" - 2026-12-01", "", "says None where the day"),
        ("- Something.", "", "says nothing of 1.1.0"),
    ],
)
def test_a_changelog_that_does_not_fit_the_release_is_refused(before: str, after: str, fault: str) -> None:
    assert before in CHANGES
    (found,) = changelog_faults(CHANGES.replace(before, after, 1), "1.1.0")
    assert fault in found


def test_a_version_must_be_newer_than_every_tag() -> None:
    assert list(version_faults("1.10.0", ["v1.9.0", "v1.0.0", "vNext"])) == []
    for tags in (["v1.10.0"], ["v1.9.0", "v2.0.0"]):
        assert len(list(version_faults("1.10.0", tags))) == 1


def test_a_migration_that_contracts_names_this_release_or_an_earlier_one_and_the_changelog_warns() -> None:
    source = 'revision = "0009"\ncontracts = "1.1.0"\n'
    assert list(migration_faults("0009.py", 'revision = "0009"\n', "1.1.0", CHANGES)) == []
    (unsaid,) = migration_faults("0009.py", source, "1.1.0", CHANGES)
    assert "CHANGELOG.md needs a line **Before you update:**" in unsaid
    warned = CHANGES.replace("- Something.", "- **Before you update:** stop every process of 1.0.0.")
    assert list(migration_faults("0009.py", source, "1.1.0", warned)) == []
    assert list(migration_faults("0009.py", source, "1.2.0", CHANGES)) == []
    (early,) = migration_faults("0009.py", source, "1.0.0", CHANGES)
    assert "that 1.0.0 may still use: it names 1.1.0" in early


def test_another_version_than_that_of_this_tree_is_refused_before_any_test_is_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["999.0.0"]) == 1
    said = capsys.readouterr()
    assert f"release: version.py says {VERSION}\n" in said.err
    assert "release: CHANGELOG.md does not begin with ## [999.0.0]" in said.err
    assert said.out == ""


@pytest.mark.parametrize("arguments", [[], ["1.0"], ["v1.0.0"], ["1.0.0.dev0"], ["1.0.0", "now"]])
def test_without_a_version_of_three_numbers_the_usage_is_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64
    assert capsys.readouterr().err == "usage: make release VERSION=1.0.0\n"
