"""Keeps the bot's REST calls and its violations, for tests and for the page. Violations are logged at ERROR."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.clock import Clock
from sandbox.local_discord.state.model import Json

_log = logging.getLogger("sandbox.local_discord")


@dataclass(frozen=True, slots=True)
class RecordedFile:
    name: str
    filename: str
    size: int


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One REST call. `path` is without /api/v10. `authorized`: it carried the right bot token.

    `status` is 0 where the connection was dropped instead of an answer.
    """

    at_ms: int
    method: str
    path: str
    query: dict[str, str]
    json: Any
    files: tuple[RecordedFile, ...]
    status: int
    response: Any
    authorized: bool
    user_agent: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that a correct bot never does."""

    at_ms: int
    where: str
    what: str


class Recording:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.requests: list[RecordedRequest] = []
        self.violations: list[Violation] = []

    def violation(self, where: str, what: str) -> None:
        self.violations.append(Violation(self._clock.now_ms(), where, what))
        _log.error("violation at %s: %s", where, what)

    def requests_as_json(self) -> list[Json]:
        return [asdict(request) for request in self.requests]

    def violations_as_json(self) -> list[Json]:
        return [asdict(violation) for violation in self.violations]
