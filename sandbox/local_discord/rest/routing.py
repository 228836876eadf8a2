"""REST routes as a table: template, rate limit, who may call; and the call that a handler gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.local_discord.errors import invalid_field, invalid_form, method_not_allowed, no_such_route
from sandbox.local_discord.media.uploads import Upload
from sandbox.local_discord.rules.rate_limits import ORDINARY, Limit
from sandbox.local_discord.schemas.checks import Check, Findings, Problem, examine
from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.snowflakes import is_snowflake


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers; `body` is None with 204."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call, read and authorized. `parts`: the variable parts of the path."""

    method: str
    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    json: Any
    uploads: tuple[Upload, ...]

    def id(self, name: str) -> int:
        """Return a snowflake of the path; routes match digits only."""
        return int(self.parts[name])

    def flag(self, name: str) -> bool:
        """Return a boolean of the query: True, true and 1 (Discord docs: Reference, 'Boolean Query Strings')."""
        return self.query.get(name) in ("True", "true", "1")

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.query.get(name, str(default))
        if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
            raise invalid_field((name,), "NUMBER_TYPE_MAX", f"must be between {least} and {most}.")
        return int(value)

    def snowflake(self, name: str) -> int | None:
        """Return a snowflake of the query, None when it is not given."""
        value = self.query.get(name)
        if value is not None and not is_snowflake(value):
            raise invalid_field((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
        return None if value is None else int(value)

    def checked(self, shape: Check) -> Json:
        """Return the JSON body. Raises 400/50035 when it does not have this shape."""
        refuse(examine(self.json if self.json is not None else {}, shape))
        return self.json or {}


def refuse(found: Findings) -> None:
    """Raise 400/50035 for problems and for unknown keys.

    Discord ignores unknown keys; here a misspelling must be seen.
    """
    problems = list(found.problems)
    for key in found.unknown_keys:
        problems.append(Problem(tuple(key.split(".")), "UNKNOWN_KEY", "Discord's documentation names no such key here"))
    if problems:
        raise invalid_form(problems)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `bucket`: the name of a rate limit that several routes share; empty: one of its own."""

    method: str
    template: str
    handler: Handler
    limit: Limit = ORDINARY
    bucket: str = ""
    needs_bot: bool = True
    query: frozenset[str] = field(default=frozenset())
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", _compile(self.template))

    @property
    def bucket_name(self) -> str:
        return self.bucket or f"{self.method} {self.template}"


def _compile(template: str) -> re.Pattern[str]:
    def part(match: re.Match[str]) -> str:
        name = match[1]
        return rf"(?P<{name}>[0-9]{{1,20}})" if name.endswith("_id") else rf"(?P<{name}>[^/]+)"

    return re.compile("^" + re.sub(r"\{(\w+)\}", part, template) + "$")


def top_level_resource(parts: Mapping[str, str]) -> str:
    """Return what a rate limit is counted for beside the route: a channel, a guild, or a webhook with its token."""
    names = ("channel_id", "guild_id", "webhook_id", "interaction_id", "token")
    return "/".join(parts[name] for name in names if name in parts)


def find_route(routes: list[Route], method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """Return the route of a call and the parts of its path. Raises 404 for an unknown path, 405 for another method."""
    known_path = False
    for route in routes:
        match = route.pattern.match(path)
        if match is None:
            continue
        if route.method == method:
            return route, match.groupdict()
        known_path = True
    raise method_not_allowed() if known_path else no_such_route()
