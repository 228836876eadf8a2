"""Whom a message mentions and whom it may notify (Discord docs: Message, 'Allowed Mentions Object')."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.local_discord.errors import Problem

_USER = re.compile(r"<@!?(\d{1,20})>")
_EVERYONE = re.compile(r"@(everyone|here)\b")


@dataclass(frozen=True, slots=True)
class Mentions:
    users: tuple[int, ...]
    everyone: bool


def find_mentions(
    text: str, allowed: Mapping[str, Any] | None, known: Iterable[int], *, replied_to: int | None, may_everyone: bool
) -> Mentions:
    """Return the mentions that count. Without `allowed_mentions` all do; with it only what it names."""
    everything: dict[str, Any] = {"parse": ["users", "roles", "everyone"], "replied_user": True}
    rules = everything if allowed is None else allowed
    parse: list[str] = rules.get("parse") or []
    listed: list[str | int] = rules.get("users") or []
    named = {int(user) for user in listed}
    users: list[int] = []
    if replied_to is not None and rules.get("replied_user"):
        users.append(replied_to)
    known_ids = set(known)
    for digits in _USER.findall(text):
        user_id = int(digits)
        counts = "users" in parse or user_id in named
        if counts and user_id in known_ids and user_id not in users:
            users.append(user_id)
    return Mentions(tuple(users), may_everyone and "everyone" in parse and bool(_EVERYONE.search(text)))


def contradictions(allowed: Mapping[str, Any] | None) -> list[Problem]:
    """Return what contradicts itself: Discord refuses to parse users or roles that are also listed."""
    problems: list[Problem] = []
    for key in ("users", "roles"):
        if allowed and allowed.get(key) and key in (allowed.get("parse") or []):
            message = f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.'
            problems.append(Problem(("allowed_mentions",), "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message))
    return problems
