"""Compare the command list of this version with the one that Discord has. Pure; knows no discord.py.

Both are lists of Discord's command objects. Discord adds ids and versions to them, and leaves out, or writes out, what
is a default (Discord docs: Application Commands, "Application Command Structure").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

Command = Mapping[str, Any]

CHAT_INPUT, ENTRY_POINT = 1, 4  # an entry point is made by Discord itself, for an app with an activity
_ADDED = frozenset({"id", "application_id", "version", "guild_id", "handler"})
_DERIVED = frozenset({"dm_permission"})  # deprecated: `contexts` says it
_GLOBAL_ONLY = frozenset({"contexts", "integration_types"})
_UNORDERED = frozenset({"contexts", "integration_types", "channel_types"})


@dataclass(frozen=True, slots=True)
class CommandLists:
    """What this version sends: to all places, and to single servers by their ids."""

    everywhere: Sequence[Command]
    by_guild: Mapping[int, Sequence[Command]]


@dataclass(frozen=True, slots=True)
class Differences:
    """Names of commands: not at Discord, only at Discord, and with another content there."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unknown or self.changed)

    def __str__(self) -> str:
        parts = (("missing", self.missing), ("unknown", self.unknown), ("changed", self.changed))
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)


def compare_commands(ours: Iterable[Command], theirs: Iterable[Command], *, in_guild: bool = False) -> Differences:
    """Return how *theirs*, Discord's, differ from *ours*. *in_guild*: both are of one server."""
    dropped = _ADDED | _DERIVED | _GLOBAL_ONLY if in_guild else _ADDED | _DERIVED
    here = {_key(command): _normalised(command, dropped) for command in ours}
    there = {_key(command): _normalised(command, dropped) for command in theirs if _key(command)[0] != ENTRY_POINT}
    return Differences(
        missing=_names(here.keys() - there.keys()),
        unknown=_names(there.keys() - here.keys()),
        changed=_names(key for key in here.keys() & there.keys() if here[key] != there[key]),
    )


def _key(command: Command) -> tuple[int, str]:
    return int(command.get("type") or CHAT_INPUT), str(command.get("name"))


def _names(keys: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(f"/{name}" if kind == CHAT_INPUT else f'"{name}"' for kind, name in sorted(keys))


def _normalised(value: Any, dropped: frozenset[str] = frozenset()) -> Any:
    """Return *value* without the keys *dropped* and without defaults, at every depth."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        kept: dict[str, Any] = {
            key: sorted(cast("list[int]", each)) if key in _UNORDERED else _normalised(each)
            for key, each in fields.items()
            if key not in dropped and each is not None and each is not False and each not in ("", [], {}, ())
        }
        if "default_member_permissions" in kept:
            kept["default_member_permissions"] = str(kept["default_member_permissions"])
        return kept
    if isinstance(value, list | tuple):
        return [_normalised(each) for each in cast("Sequence[Any]", value)]
    return value
