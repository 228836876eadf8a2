"""Check whether this tree can be released as a version: `make release VERSION=1.0.0`. Tags and pushes nothing.

First what takes seconds: the tree, version.py, CHANGELOG.md, the migrations. Then `make check`, which installs what is
locked and also compares README, .env.example and the drawing in docs/architecture.md with the code, and `make test`,
which also upgrades every earlier schema and compares the locks with what is asked for. Exit code 1 if anything is
wrong; else the last line tags the version.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(ROOT := Path(__file__).resolve().parents[1]))
from version import VERSION

SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)
MIGRATIONS = ROOT / "store/migrations/versions"
NOTE = "**Before you update:**"  # of CHANGELOG.md, before what an operator must do first


def main(arguments: list[str]) -> int:
    """Print what is wrong, or the command that makes the tag. Return the exit code."""
    if len(arguments) != 1 or not SEMVER.fullmatch(arguments[0]):
        print("usage: make release VERSION=1.0.0", file=sys.stderr)
        return 64
    version = arguments[0]
    faults = list(find_faults(version))
    for fault in faults:
        print(f"release: {fault}", file=sys.stderr)
    if faults or not all(_succeeds("make", target) for target in ("check", "test")):
        return 1
    if _git("status", "--porcelain"):
        print("release: the checks changed files; commit them, then begin again", file=sys.stderr)
        return 1
    print(f"{version} can be released. To tag it:\ngit tag -a v{version} -m 'Qwen Imagine {version}'")
    return 0


def find_faults(version: str) -> Iterator[str]:
    """Yield a sentence for each thing that takes seconds to check."""
    if _git("status", "--porcelain"):
        yield "the tree is not clean: commit or stash what git status shows"
    if version != VERSION:
        yield f"version.py says {VERSION}"
    yield from version_faults(version, _git("tag", "--list", "v*").split())
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    yield from changelog_faults(changes, version)
    for path in sorted(MIGRATIONS.glob("*.py")):
        yield from migration_faults(path.name, path.read_text("utf-8"), version, changes)


def version_faults(version: str, tags: list[str]) -> Iterator[str]:
    """Yield a sentence unless *version* is newer than every tag."""
    newest = max((_numbers(tag[1:]) for tag in tags if SEMVER.fullmatch(tag[1:])), default=None)
    if newest is not None and _numbers(version) <= newest:
        yield f"{'.'.join(map(str, newest))} is tagged already"


def read_changes(text: str) -> dict[str, tuple[str | None, str]]:
    """Return the sections of CHANGELOG.md in their order: by version, the day and what follows."""
    _, *parts = HEADING.split(text)
    return {version: (day, body) for version, day, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def changelog_faults(text: str, version: str) -> Iterator[str]:
    """Yield what is wrong with the newest section, in the form of keepachangelog.com."""
    sections = read_changes(text)
    if sections.pop("Unreleased", ("", ""))[1].strip():
        yield "CHANGELOG.md has changes that are not released: move them under the version's heading"
    day, body = sections.get(version, ("", ""))
    if next(iter(sections), None) != version:
        yield f"CHANGELOG.md does not begin with ## [{version}] - and the day of the release"
    elif not _is_day(day):
        yield f"CHANGELOG.md says {day} where the day of {version} belongs, such as 2026-01-31"
    elif not re.search(r"^- \S", body, re.MULTILINE):
        yield f"CHANGELOG.md says nothing of {version}"


def _is_day(text: str | None) -> bool:
    try:
        return date.fromisoformat(text or "").isoformat() == text
    except ValueError:
        return False


def migration_faults(name: str, source: str, version: str, changes: str) -> Iterator[str]:
    """Yield a sentence if a migration contracts and this release does not tell so.

    That it says so when it takes something away is tested by tests/contract/test_expand_only.py.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "contracts":
            since = str(ast.literal_eval(node.value))
            if not SEMVER.fullmatch(since) or _numbers(since) > _numbers(version):
                yield f"{name} takes something away that {version} may still use: it names {since}"
            elif since == version and NOTE not in read_changes(changes).get(version, (None, ""))[1]:
                yield f"{name} takes something away: CHANGELOG.md needs a line {NOTE} that says from which release on"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _succeeds(*command: str) -> bool:
    print(f"release: {' '.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
