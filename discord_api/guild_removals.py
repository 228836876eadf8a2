"""Decide which servers have removed the bot for good, from the lists of its servers that were read once a day. Pure.

What can be known without a gateway intent: there is no GUILD_DELETE (it belongs to the intent GUILDS); READY lists the
servers of one shard alone, and not again until the next session; GET /users/@me/guilds lists all, 200 a page (Discord
docs: Gateway, "List of Intents"; Gateway Events, "Ready" and "Guild Delete"; User, "Get Current User Guilds"). The docs
do not say that a server with an outage stays in that list. So one list without a server proves nothing: it must be
missing on every list for DAYS. A server with the commands alone, without the bot user, is in no list (README, "Run it
for real"): what was never listed is never taken for removed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

DAY_MS = 86_400_000
DAYS = 30  # from the first list without the server to the deletion of its settings


@dataclass(frozen=True, slots=True)
class Looks:
    """What the lists so far have shown.

    *looked_at_ms*: when the last one was read. *missing*: for each server with settings that was ever listed, how many
    lists in a row it has been missing from; 0: it is there.
    """

    looked_at_ms: int
    missing: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Judgement:
    """*looks*: to be stored in place of the earlier ones. *removed*: servers whose settings are to be deleted now."""

    looks: Looks
    removed: frozenset[int]


NO_LOOKS = Looks(-DAY_MS, {})


def is_time_to_look(looks: Looks, now_ms: int) -> bool:
    """Whether a day has passed since the last list; also after the clock went back."""
    return not 0 <= now_ms - looks.looked_at_ms < DAY_MS


def judge(looks: Looks, with_settings: Collection[int], listed: Collection[int], now_ms: int) -> Judgement:
    """Count one whole list for the servers *with_settings*.

    Nothing is counted within a day of the last list, nor from a list without any server. A server without settings is
    forgotten.
    """
    if not listed or not is_time_to_look(looks, now_ms):
        return Judgement(looks, frozenset())
    known = [guild_id for guild_id in with_settings if guild_id in listed or guild_id in looks.missing]
    missing = {guild_id: 0 if guild_id in listed else looks.missing[guild_id] + 1 for guild_id in known}
    removed = frozenset(guild_id for guild_id, times in missing.items() if times > DAYS)
    stay = {guild_id: times for guild_id, times in missing.items() if guild_id not in removed}
    return Judgement(Looks(now_ms, stay), removed)


def dump_looks(looks: Looks) -> str:
    """Write *looks* as JSON."""
    return json.dumps([looks.looked_at_ms, {str(guild_id): times for guild_id, times in looks.missing.items()}])


def parse_looks(text: str | None) -> Looks:
    """Read what dump_looks wrote; None: nothing was written yet."""
    if text is None:
        return NO_LOOKS
    looked_at_ms, missing = json.loads(text)
    return Looks(looked_at_ms, {int(guild_id): times for guild_id, times in missing.items()})
