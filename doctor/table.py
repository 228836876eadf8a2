"""Write findings as a table for people: a word for the level, the check, what is so, and below it what to do. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from doctor.model import Finding, Level

WORDS = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "FAIL"}
COLOURS = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}  # of ECMA-48, "SGR": green, yellow, red
TEXT_MIN = 30  # characters a line


def write_table(findings: Sequence[Finding], *, width: int | None = None, mask: Callable[[str], str] = str) -> str:
    """Return the table as text. *width*: of a terminal, at which lines are wrapped, and which shows colours; None: a
    file or a pipe, which gets neither. *mask*: applied to every text, but not to links."""
    names = max((len(finding.check) for finding in findings), default=0)
    lines = [line for finding in findings for line in _rows(finding, names, width, mask)]
    return "\n".join([*lines, "", count_levels(findings)])


def count_levels(findings: Iterable[Finding]) -> str:
    """Return how many there are of each level, in one line."""
    counts = Counter(finding.level for finding in findings)
    return ", ".join(f"{counts[level]} {WORDS[level]}" for level in sorted(Level, reverse=True))


def _rows(finding: Finding, names: int, width: int | None, mask: Callable[[str], str]) -> Iterable[str]:
    word = f"{WORDS[finding.level]:4}"
    head = f"{word}  {finding.check:{names}}  "
    texts = [mask(finding.text), finding.link, f"-> {mask(finding.advice)}" if finding.advice else ""]
    wrapped = [line for text in texts if text for line in _wrap(text, width, len(head))]
    if width is not None:
        head = head.replace(word, f"\x1b[{COLOURS[finding.level]}m{word}\x1b[0m", 1)
    indent = " " * (len(word) + names + 4)
    return [f"{head}{wrapped[0]}", *(f"{indent}{line}" for line in wrapped[1:])]


def _wrap(text: str, width: int | None, used: int) -> list[str]:
    """Break *text* between words into lines beside the *used* columns. A link has no spaces and stays whole."""
    if width is None:
        return [text]
    room = max(TEXT_MIN, width - used)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
