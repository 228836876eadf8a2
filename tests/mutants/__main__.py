"""`python -m tests.mutants [ROOM ...]`: plant small faults in the modules of a room and see whether its tests fail.

mutmut makes the mutants and runs the tests, in a copy of the tree under .mutants/ROOM. Printed: killed, survived, and
each survivor with its change. What is written in equivalent.toml changes nothing that could be seen and is not counted.
Exit code 0 when 85 % or more of all were killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.mutants.rooms import ROOMS, Room

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".mutants"
WANTED_SHARE = 0.85
KILLED = frozenset({"killed", "timeout", "segfault", "suspicious"})  # a test that never ends finds it too


class Equivalents(NamedTuple):
    """What equivalent.toml says: single mutants, and patterns of text that may be changed at will."""

    mutants: list[dict[str, str]]
    patterns: list[re.Pattern[str]]

    @classmethod
    def load(cls) -> Equivalents:
        listed = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text("utf-8"))
        return cls(listed["mutant"], [re.compile(rule["pattern"]) for rule in listed["rule"]])

    def hold(self, mutant: Mutant) -> bool:
        """Whether *mutant* changes nothing that anybody could see."""
        by_rule = (rule.sub("", mutant.before) == rule.sub("", mutant.after) for rule in self.patterns)
        return any(mutant.matches(entry) for entry in self.mutants) or any(by_rule)

    def unused(self, room: Room, used: list[Mutant]) -> list[dict[str, str]]:
        """Entries for *room* that no survivor was."""
        own = (entry for entry in self.mutants if entry["file"] in room.modules)
        return [entry for entry in own if not any(mutant.matches(entry) for mutant in used)]


class Mutant(NamedTuple):
    """One planted fault. *before* and *after* are the changed lines, each stripped, joined by a space."""

    file: str
    line: int
    function: str
    before: str
    after: str
    status: str

    def matches(self, entry: dict[str, str]) -> bool:
        return all(entry[name] == getattr(self, name) for name in ("file", "function", "before", "after"))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Plant small faults and see whether tests fail."
    )
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"one of {', '.join(ROOMS)}; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that share the work")
    parser.add_argument("--percent", type=int, default=100, help="of the mutants, drawn at random but always the same")
    parser.add_argument("--report", action="store_true", help="print what the last run found, and run nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.rooms) - set(ROOMS):
        parser.error(f"no room is called {', '.join(sorted(unknown))}")
    equivalents = Equivalents.load()
    whole = Counter[str]()
    for name in arguments.rooms or ROOMS:
        if not arguments.report:
            run(name, ROOMS[name], arguments.jobs, arguments.percent)
        whole += report(name, ROOMS[name], equivalents)
    print(f"all: {summary(whole)}")
    return 0 if whole["killed"] >= WANTED_SHARE * whole.total() else 1


def run(name: str, room: Room, jobs: int, percent: int) -> None:
    """Mutate the modules of *room* in a copy of the tree and run its tests on *percent* of the mutants."""
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for path in filter(None, listed):
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # tests ask it for the files of the tree
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(mutmut_settings(room, sorted({path.split("/")[0] for path in listed if path})))
    with (folder / "log").open("w", encoding="utf-8") as log:
        mutmut = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
        if percent < 100:
            mutmut += drawn(folder, room, percent)
        done = subprocess.run(mutmut, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{name}: mutmut failed, see {folder / 'log'}")


def drawn(folder: Path, room: Room, percent: int) -> list[str]:
    """The names of *percent* of the mutants."""
    os.chdir(folder)
    from mutmut.mutation.file_mutation import mutate_file_contents  # pyright: ignore[reportMissingImports]
    from mutmut.utils.format_utils import get_mutant_name  # pyright: ignore[reportMissingImports]

    names = [
        get_mutant_name(Path(file), mutant)
        for file in room.modules
        for mutant in mutate_file_contents(file, Path(file).read_text("utf-8")).mutant_names
    ]
    return sorted(random.Random(0).sample(names, max(1, len(names) * percent // 100)))


def mutmut_settings(room: Room, top: list[str]) -> str:
    values = {
        "source_paths": sorted({module.split("/")[0] for module in room.modules}),
        "only_mutate": room.modules,
        "also_copy": [path for path in top if path != "pyproject.toml"],
        "pytest_add_cli_args": ["-m", "not postgres", "-p", "no:cacheprovider", "-p", "no:xdist"],
        "pytest_add_cli_args_test_selection": room.tests,
        "timeout_constant": 5.0,  # seconds; a mutant may take this and its tests' own time, times the multiplier
        "timeout_multiplier": 3.0,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(["", "[tool.mutmut]", *lines, ""])


def report(name: str, room: Room, equivalents: Equivalents) -> Counter[str]:
    """Print the figures of *room* and each survivor; return the figures."""
    found, left_out = Counter[str](), list[Mutant]()
    for mutant in mutants(name, room):
        if mutant.status in KILLED:
            found["killed"] += 1
        elif equivalents.hold(mutant):
            left_out.append(mutant)
        else:
            found["survived"] += 1
            print(f"{mutant.file}:{mutant.line} {mutant.function} ({mutant.status})")
            print(f"    - {mutant.before}\n    + {mutant.after}")
    for entry in equivalents.unused(room, left_out):
        print("equivalent.toml names what was not drawn, is killed or gone:", entry["file"], entry["after"])
    print(f"{name}: {summary(found)}, {len(left_out)} equivalent", flush=True)
    return found


def summary(found: Counter[str]) -> str:
    share = 100 * found["killed"] / max(1, found.total())
    return f"{found['killed']} killed, {found['survived']} survived, {share:.1f} %"


def mutants(name: str, room: Room) -> Iterator[Mutant]:
    """What mutmut left in the folder of a room."""
    os.chdir(SCRATCH / name)
    from mutmut.mutation.data import SourceFileMutationData  # pyright: ignore[reportMissingImports]
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # pyright: ignore[reportMissingImports]
    from mutmut.stats import status_by_exit_code  # pyright: ignore[reportMissingImports]

    for file in room.modules:
        data = SourceFileMutationData(path=file)
        data.load()
        source = Path(file).read_text("utf-8").splitlines()
        for key, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            if status == "not checked":
                continue
            shown = get_diff_for_mutant(key, path=file) if status not in KILLED else ""
            yield read_mutant(file, source, key, shown, status)


def read_mutant(file: str, source: list[str], key: str, shown: str, status: str) -> Mutant:
    """*key* as mutmut writes it: module.x_function__mutmut_7 or module.xǁClassǁmethod__mutmut_7."""
    dotted = re.sub(r"__mutmut_\d+\Z", "", key.rpartition(".")[2]).removeprefix("x")
    function = dotted.removeprefix("_") if "ǁ" not in dotted else dotted.removeprefix("ǁ").replace("ǁ", ".")
    lines = shown.splitlines()[2:]
    before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return Mutant(file, line_of(source, function, lines), function, before, after, status)


def line_of(source: list[str], function: str, shown: list[str]) -> int:
    """Where the change is in the file: the diff counts from the function's first line."""
    name = function.rpartition(".")[2]
    starts = [
        number for number, line in enumerate(source, 1) if re.match(rf"\s*(async )?def {re.escape(name)}\(", line)
    ]
    within = next((int(found[1]) for line in shown if (found := re.match(r"@@ -(\d+)", line))), 1)
    before = next((index for index, line in enumerate(shown[1:]) if line.startswith("-")), 0)
    return (starts[0] if starts else 1) + within - 1 + before


if __name__ == "__main__":
    sys.exit(main())
