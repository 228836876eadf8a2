"""The list of what is mutated names files that are there, and no room mutates what another one does."""

from __future__ import annotations

import tomllib

from tests.architecture.laws import ROOT, product
from tests.mutants.rooms import NOT_MUTATED, ROOMS


def test_every_module_and_test_of_a_room_is_there() -> None:
    listed = {path for room in ROOMS.values() for path in (*room.modules, *room.tests)}
    assert [path for path in sorted(listed) if not (ROOT / path.partition("::")[0]).is_file()] == []


def test_each_module_is_mutated_in_one_room() -> None:
    modules = [module for room in ROOMS.values() for module in room.modules]
    assert sorted(modules) == sorted(set(modules))


def test_every_room_of_the_product_is_mutated_or_says_why_not() -> None:
    mutated = {module.partition("/")[0].removesuffix(".py") for room in ROOMS.values() for module in room.modules}
    assert {module.room for module in product()} - mutated == set(NOT_MUTATED)


def test_every_equivalent_mutant_is_of_a_module_that_is_mutated_and_has_a_reason() -> None:
    listed = tomllib.loads((ROOT / "tests/mutants/equivalent.toml").read_text("utf-8"))
    modules = {module for room in ROOMS.values() for module in room.modules}
    assert {entry["file"] for entry in listed["mutant"]} <= modules
    assert all(entry["reason"].strip() for entry in (*listed["mutant"], *listed["rule"]))
