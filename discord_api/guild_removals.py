"""Decide which servers have removed the bot for good, from what Discord said of them once a day. Pure.

What can be known without a gateway intent: there is no GUILD_DELETE (it belongs to the intent GUILDS); READY lists the
servers of one shard alone, and not again until the next session; GET /users/@me/guilds lists all that the bot user is
in (Discord docs: Gateway, "List of Intents"; Gateway Events, "Ready" and "Guild Delete"; User, "Get Current User
Guilds"). A server with the commands alone, without the bot user, is in no list; its own command list can be read as
long as the app is there (docs/decisions/0016-where-the-bot-is-not.md). The docs do not say that a server with an outage
stays in either. So one day proves nothing: a server must be missing on every day for DAYS.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

DAY_MS = 86_400_000
DAYS = 30  # from the first day without the server to the deletion of its settings


@dataclass(frozen=True, slots=True)
class Absences:
    """*counted_at_ms*: when Discord was last asked. *days*: for each server with settings, on how many days in a row it
    has been missing; 0: the bot is there."""

    counted_at_ms: int
    days: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Count:
    """*absences*: to be stored in place of the earlier ones. *removed*: servers whose settings are to be deleted."""

    absences: Absences
    removed: frozenset[int]


NEVER_COUNTED = Absences(-DAY_MS, {})


def is_count_due(absences: Absences, now_ms: int) -> bool:
    """Whether a day has passed since the last count; also after the clock went back."""
    return not 0 <= now_ms - absences.counted_at_ms < DAY_MS


def count_day(absences: Absences, with_settings: Collection[int], there: Collection[int], now_ms: int) -> Count:
    """Count one day for the servers *with_settings*. *there*: those of them that the app is in.

    Nothing is counted within a day of the last count. A server without settings is forgotten.
    """
    if not is_count_due(absences, now_ms):
        return Count(absences, frozenset())
    days = {each: 0 if each in there else absences.days.get(each, 0) + 1 for each in with_settings}
    removed = frozenset(each for each, missing in days.items() if missing > DAYS)
    stay = {each: missing for each, missing in days.items() if each not in removed}
    return Count(Absences(now_ms, stay), removed)


def dump_absences(absences: Absences) -> str:
    """Write *absences* as JSON."""
    return json.dumps([absences.counted_at_ms, {str(each): days for each, days in absences.days.items()}])


def parse_absences(text: str | None) -> Absences:
    """Read what dump_absences wrote; None: nothing was written yet."""
    if text is None:
        return NEVER_COUNTED
    counted_at_ms, days = json.loads(text)
    return Absences(counted_at_ms, {int(each): missing for each, missing in days.items()})
