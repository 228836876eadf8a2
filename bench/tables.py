"""Markdown tables of results, and the targets beside them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Results


@dataclass(frozen=True, slots=True)
class Column:
    """One figure, with *digits* decimals; *beside*: divided by the same figure of that bot in the same case."""

    heading: str
    figure: str
    digits: int = 0
    beside: str = ""
    scale: float = 1.0

    def text(self, results: Results, case: str, bot: str) -> str:
        """Return the cell; empty where there is no figure, or where the bot is the one it is compared with."""
        value = value_of(results, case, bot, self.figure, self.beside)
        hidden = value is None or math.isnan(value) or bot == self.beside
        return "" if hidden or value is None else f"{value * self.scale:,.{self.digits}f}"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of one question that should not be above *limit*, or not below it where *at_least*."""

    text: str
    question: str
    case: str
    bot: str
    figure: str
    limit: float
    beside: str = ""
    at_least: bool = False


def value_of(results: Results, case: str, bot: str, figure: str, beside: str = "") -> float | None:
    """Return the figure; divided by that of the bot *beside*, if named. None where one is missing."""
    value = results.get((case, bot), {}).get(figure)
    if not beside or value is None:
        return value
    other = results.get((case, beside), {}).get(figure)
    return value / other if other else None


def table(results: Results, columns: Sequence[Column]) -> str:
    """Return a table with a row for each case and bot. Columns without any figure are left out."""
    places = sorted(results, key=lambda place: list(dict.fromkeys(case for case, _ in results)).index(place[0]))
    used = [column for column in columns if any(column.text(results, *place) for place in places)]
    rows = [[case, bot, *(column.text(results, case, bot) for column in used)] for case, bot in places]
    return markdown(["", "bot", *(column.heading for column in used)], rows)


def target_table(targets: Iterable[Target], results: Mapping[str, Results]) -> str:
    """Return a table of the targets whose figures are known. *results*: by question."""
    rows: list[list[str]] = []
    for target in targets:
        value = value_of(results.get(target.question, {}), target.case, target.bot, target.figure, target.beside)
        if value is None or math.isnan(value):
            continue
        met = value >= target.limit if target.at_least else value <= target.limit
        bound = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        measured = f"{value:,.{3 if value < 1 else 2}f}".rstrip("0").rstrip(".")
        rows.append([target.text, bound, measured, "met" if met else "**missed**"])
    return markdown(["", "target", "measured", ""], rows) if rows else ""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column and "bot" to the left, numbers to the right."""
    sides = ["---" if name in ("", "bot") else "---:" for name in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, sides, *rows)) + "\n"
