"""The rules of a list of application commands beyond its shape (Discord docs: Application Commands)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sandbox.local_discord.errors import Path
from sandbox.local_discord.schemas.checks import Findings, examine
from sandbox.local_discord.schemas.commands import CHAT_INPUT, SUB_COMMAND, SUB_COMMAND_GROUP, bulk
from sandbox.local_discord.schemas.commands import command as one_command
from sandbox.local_discord.state.model import objects

_NAME = re.compile(r"^[-_'\w]{1,32}$")
_MOST_PER_TYPE = {1: 100, 2: 15, 3: 15}
_MOST_CHARACTERS = 8000


def examine_commands(commands: Any) -> Findings:
    """Return all that is wrong with the body of a bulk overwrite."""
    found = examine(commands, bulk)
    if not found.problems:
        for index, command in enumerate(commands):
            _examine_command(command, (index,), found)
        _unique([(command.get("type") or CHAT_INPUT, command["name"]) for command in commands], (), found)
        _counts(commands, found)
    return found


def examine_command(command: Any) -> Findings:
    """Return all that is wrong with the body that creates one command."""
    found = examine(command, one_command)
    if not found.problems:
        _examine_command(command, (), found)
    return found


def _examine_command(command: dict[str, Any], at: Path, found: Findings) -> None:
    if (command.get("type") or CHAT_INPUT) == CHAT_INPUT:
        _chat_name(command["name"], (*at, "name"), found)
        if not command.get("description"):
            found.add((*at, "description"), "BASE_TYPE_REQUIRED", "This field is required")
        _examine_options(objects(command, "options"), (*at, "options"), found)
    else:
        if command.get("description"):
            found.add((*at, "description"), "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", "Must be empty.")
        if command.get("options"):
            found.add((*at, "options"), "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS", "Must be empty.")
    if characters(command) > _MOST_CHARACTERS:
        found.add(at, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({_MOST_CHARACTERS})")


def _chat_name(name: str, at: Path, found: Findings) -> None:
    if not _NAME.match(name) or name != name.lower():
        found.add(at, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _examine_options(options: Sequence[dict[str, Any]], at: Path, found: Findings) -> None:
    _unique([option["name"] for option in options], at, found)
    optional_seen = False
    nested = {option["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for option in options}
    if len(nested) > 1:
        found.add(at, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-command and option types are mutually exclusive")
    for index, option in enumerate(options):
        here = (*at, index)
        _chat_name(option["name"], (*here, "name"), found)
        if option.get("required") and optional_seen:
            found.add(
                here,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        optional_seen = optional_seen or not option.get("required")
        if option.get("autocomplete") and option.get("choices"):
            found.add(here, "APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES", "Cannot have choices and autocomplete")
        _unique([choice["name"] for choice in objects(option, "choices")], (*here, "choices"), found)
        for least, most in (("min_value", "max_value"), ("min_length", "max_length")):
            low, high = option.get(least), option.get(most)
            if low is not None and high is not None and low > high:
                found.add((*here, most), "APPLICATION_COMMAND_OPTION_RANGE", f"{most} is below {least}")
        _examine_options(objects(option, "options"), (*here, "options"), found)


def _unique(names: Sequence[Any], at: Path, found: Findings) -> None:
    seen: set[Any] = set()
    for index, name in enumerate(names):
        if name in seen:
            found.add((*at, index), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        seen.add(name)


def _counts(commands: Sequence[dict[str, Any]], found: Findings) -> None:
    for kind, most in _MOST_PER_TYPE.items():
        if sum((command.get("type") or CHAT_INPUT) == kind for command in commands) > most:
            found.add((), "APPLICATION_COMMANDS_MAX", f"Maximum number of commands of type {kind} reached ({most})")


def characters(command: dict[str, Any]) -> int:
    """Count the characters of names, descriptions and choice values of a command and its options; of localizations
    the longest counts.
    """
    total = _longest(command, "name") + _longest(command, "description")
    for choice in objects(command, "choices"):
        total += _longest(choice, "name") + len(str(choice["value"]))
    return total + sum(characters(option) for option in objects(command, "options"))


def _longest(thing: dict[str, Any], key: str) -> int:
    localized: dict[str, str] = thing.get(f"{key}_localizations") or {}
    return max([len(thing.get(key) or ""), *(len(text) for text in localized.values())])
