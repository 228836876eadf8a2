"""What one run has found: the lines for a terminal, and a file that can be attached to an issue.

Secrets are masked in both; what a person typed is not part of either.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from doctor.model import Finding, Level
from observability.redaction import Redactor
from version import VERSION

WORDS_MAX = 8000  # characters of one fact
_SIGNS = {Level.OK: "ok  ", Level.WARN: "warn", Level.FAIL: "FAIL"}


@dataclass(frozen=True, slots=True)
class Fact:
    """What was seen and is neither expected nor a surprise, such as headers. *lines*: as they came."""

    title: str
    lines: tuple[str, ...] = field(repr=False)


class Report:
    """Findings and facts in their order. Each line of a finding is said at once."""

    def __init__(self, secrets: tuple[str, ...], say: Callable[[str], None]) -> None:
        self.findings: list[Finding] = []
        self.facts: list[Fact] = []
        self._secrets = secrets
        self._redactor = Redactor(secrets)
        self._say = say

    def hide(self, secret: str) -> None:
        """Mask *secret* too, from now on."""
        self._secrets = (*self._secrets, secret)
        self._redactor = Redactor(self._secrets)

    def note(self, finding: Finding) -> None:
        """Add a finding and say it."""
        self.findings.append(finding)
        for line in self._lines(finding):
            self._say(line)

    def tell(self, text: str) -> None:
        """Say what is not kept, such as what to do now."""
        self._say(self._redactor.line(text))

    def add(self, title: str, *lines: str) -> None:
        """Add a fact, and say it."""
        self.keep(title, *lines)
        self.tell(f"fact  {title}")
        for line in self._code(self.facts[-1]):
            self._say(f"  {line}")

    def keep(self, title: str, *lines: str) -> None:
        """Add a fact that only the file has."""
        self.facts.append(Fact(title, lines))

    def markdown(self) -> str:
        """Return the whole report. What others wrote is indented as code, so that none of it is read as Markdown."""
        head = f"Qwen Imagine {VERSION}, Python {platform.python_version()}, {platform.system()}"
        parts = [
            "# doctor --live",
            head,
            "## Findings",
            "\n".join(f"    {line}" for each in self.findings for line in self._lines(each)),
        ]
        if self.facts:
            parts += ["## Facts", *(self._fact(each) for each in self.facts)]
        return "\n\n".join(parts) + "\n"

    def _lines(self, finding: Finding) -> list[str]:
        lines = [f"{_SIGNS[finding.level]}  {finding.check}: {finding.text}"]
        if finding.advice:
            lines.append(f"      -> {finding.advice}")
        return [self._redactor.line(line) for line in lines]

    def _fact(self, fact: Fact) -> str:
        return "\n".join([f"### {self._redactor.line(fact.title)}", "", *self._code(fact)])

    def _code(self, fact: Fact) -> list[str]:
        """Return the lines of a fact, indented and without control characters."""
        return [line for text in fact.lines for line in self._redactor.lines(text, WORDS_MAX).split("\n")]


def open_report(path: Path) -> int:
    """Create the file, for this user alone, and return its descriptor. Raises FileExistsError and OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def write_report(descriptor: int, report: Report) -> None:
    """Write the whole report, and close the file."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(report.markdown())
