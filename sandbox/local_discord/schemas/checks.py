"""Checks from which the shape of a request body is built, with Discord's error codes.

A check examines one value and adds what is wrong to `Findings`. Keys that no shape names are listed by themselves:
Discord ignores them, this stand-in refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from sandbox.local_discord.errors import Path, Problem


@dataclass(slots=True)
class Findings:
    problems: list[Problem] = field(default_factory=list[Problem])
    unknown_keys: list[str] = field(default_factory=list[str])

    def add(self, at: Path, code: str, message: str) -> None:
        self.problems.append(Problem(at, code, message))


Check = Callable[[Any, Path, Findings], None]


def examine(value: Any, check: Check) -> Findings:
    """Run one check over a whole body."""
    findings = Findings()
    check(value, (), findings)
    return findings


def anything(value: Any, at: Path, found: Findings) -> None:
    """Accept every value: for keys that the stand-in does not read."""


def nullable(check: Check) -> Check:
    def run(value: Any, at: Path, found: Findings) -> None:
        if value is not None:
            check(value, at, found)

    return run


def text(shortest: int = 0, longest: int | None = None) -> Check:
    def run(value: Any, at: Path, found: Findings) -> None:
        if not isinstance(value, str):
            found.add(at, "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
        elif longest is not None and shortest and not shortest <= len(value) <= longest:
            found.add(at, "BASE_TYPE_BAD_LENGTH", f"Must be between {shortest} and {longest} in length.")
        elif longest is not None and len(value) > longest:
            found.add(at, "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length.")
        elif len(value) < shortest:
            found.add(at, "BASE_TYPE_MIN_LENGTH", f"Must be {shortest} or more in length.")

    return run


def integer(least: int | None = None, most: int | None = None) -> Check:
    def run(value: Any, at: Path, found: Findings) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            found.add(at, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        elif least is not None and value < least:
            found.add(at, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {least}.")
        elif most is not None and value > most:
            found.add(at, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {most}.")

    return run


def number(value: Any, at: Path, found: Findings) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        found.add(at, "NUMBER_TYPE_COERCE", f'Value "{value}" is not float.')


def boolean(value: Any, at: Path, found: Findings) -> None:
    if not isinstance(value, bool):
        found.add(at, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")


def snowflake(value: Any, at: Path, found: Findings) -> None:
    """Check for a string of digits; whole numbers pass too, as in Discord for `attachments[].id`."""
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and not (isinstance(value, str) and value.isascii() and value.isdigit()):
        found.add(at, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')


def one_of(*choices: str | int) -> Check:
    def run(value: Any, at: Path, found: Findings) -> None:
        if isinstance(value, bool) or value not in choices:
            named = ", ".join(repr(choice) for choice in choices)
            found.add(at, "BASE_TYPE_CHOICES", f"Value must be one of {{{named}}}.")

    return run


def list_of(check: Check, least: int = 0, most: int | None = None) -> Check:
    def run(value: Any, at: Path, found: Findings) -> None:
        if not isinstance(value, list):
            found.add(at, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return
        items = cast("list[Any]", value)
        if len(items) < least or (most is not None and len(items) > most):
            found.add(at, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        for index, item in enumerate(items):
            check(item, (*at, index), found)

    return run


def map_of(check: Check) -> Check:
    """Return a check of an object with any keys (localizations)."""

    def run(value: Any, at: Path, found: Findings) -> None:
        if not isinstance(value, dict):
            found.add(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            return
        for key, item in cast("dict[str, Any]", value).items():
            check(item, (*at, key), found)

    return run


def an_object(fields: Mapping[str, Check], required: Iterable[str] = ()) -> Check:
    needed = tuple(required)

    def run(value: Any, at: Path, found: Findings) -> None:
        if not isinstance(value, dict):
            found.add(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            return
        body = cast("dict[str, Any]", value)
        for key in needed:
            if key not in body:
                found.add((*at, key), "BASE_TYPE_REQUIRED", "This field is required")
        for key, item in body.items():
            check = fields.get(key)
            if check is None:
                found.unknown_keys.append(".".join(str(part) for part in (*at, key)))
            else:
                check(item, (*at, key), found)

    return run


def by_type(kinds: Mapping[int, Check]) -> Check:
    """Return a check of an object whose `type` decides its shape (components, options)."""

    def run(value: Any, at: Path, found: Findings) -> None:
        if not isinstance(value, dict):
            found.add(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            return
        kind = cast("dict[str, Any]", value).get("type")
        check = kinds.get(kind) if isinstance(kind, int) and not isinstance(kind, bool) else None
        if check is None:
            named = ", ".join(str(number) for number in sorted(kinds))
            found.add((*at, "type"), "UNION_TYPE_CHOICES", f'Value of field "type" must be one of ({named}).')
        else:
            check(value, at, found)

    return run
