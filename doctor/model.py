"""What a check of the doctor finds, and what that means for the exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How good a finding is. A higher one is worse."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    *check*: the check's name, such as "token". *text*: what is so, one sentence. *advice*: what to do, "" if nothing.
    *link*: an address to open, which is shown whole. None of them holds a secret.
    """

    check: str
    level: Level
    text: str
    advice: str = ""
    link: str = ""


def worst_level(findings: Iterable[Finding]) -> Level:
    """Return the worst level of *findings*, OK without any."""
    return max((finding.level for finding in findings), default=Level.OK)
