"""docs/known-faults.md: each row says what this bot does instead, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.architecture.laws import ROOT, product

COLUMNS = ["what goes wrong", "seen in", "here", "shown by"]


def table_rows() -> list[list[str]]:
    """Return the cells of each row of each table, without headings."""
    lines = (ROOT / "docs/known-faults.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row != COLUMNS and set("".join(row)) != {"-"}]


@cache
def names_in(name: str) -> frozenset[str]:
    """Return the tests at the top of a file, by which pytest finds them."""
    tree = ast.parse((ROOT / name).read_text("utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_every_row_has_all_cells_and_links_to_where_it_was_seen() -> None:
    rows = table_rows()
    assert len(rows) > 60
    for row in rows:
        assert len(row) == len(COLUMNS) and all(row), row
        assert "](https://" in row[1] or row[1] == "the same", row


@pytest.mark.parametrize("row", table_rows(), ids=lambda row: row[0][:60])
def test_every_test_that_a_row_names_stands_in_its_file(row: list[str]) -> None:
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(\w+)`", row[3])
    assert named and re.sub(r"`tests/[a-z0-9_/]+\.py::\w+`", "", row[3]).strip(", ") == "", row[3]
    for name, test in named:
        assert (ROOT / name).is_file(), name
        assert test in names_in(name), f"{name} has no {test}"


def test_no_client_asks_for_an_intent() -> None:
    asked = [
        ast.unparse(word.value)
        for module in product()
        for node in module.nodes()
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "intents"
    ]
    assert set(asked) == {"discord.Intents.none()"}
