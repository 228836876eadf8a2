"""The sentences of refusals by limits. Pure; must not know Discord's library.

Reasons and names that people typed must be escaped before (ui/texts/escaping). Times are unix milliseconds. Channels
and roles are mentioned, which notifies nobody: every message is sent with allowed_mentions none.
"""

from __future__ import annotations

from collections.abc import Sequence

from ui.texts.card import NOTHING_CHARGED
from ui.texts.formatting import images_text, relative_time

LISTED_MAX = 20  # channels or roles that a sentence names

AGE_RESTRICTED_ONLY = (
    "This server allows images in age-restricted channels and their threads only, and this is none, as far as the bot "
    f"can see. {NOTHING_CHARGED}"
)
RULES_CHANGED = f"This server's rules are being changed right now. {NOTHING_CHARGED} Try again in a moment."


def blocked(*, everywhere: bool, until_ms: int | None, reason: str) -> str:
    where = "The bot's owner has blocked you" if everywhere else "You are blocked in this server"
    until = "" if until_ms is None else f" until <t:{until_ms // 1000}:f>"
    ask = "" if everywhere else " Its admins can take that back."
    return f"{where}{until}{_because(reason)}. {NOTHING_CHARGED}{ask}"


def paused(*, everywhere: bool, reason: str) -> str:
    who = "The bot is paused by its owner" if everywhere else "Images are paused in this server by its admins"
    return f"{who}{_because(reason)}. {NOTHING_CHARGED}"


def channel_not_allowed(channel_ids: Sequence[int]) -> str:
    return f"Images can't be asked for in this channel. {NOTHING_CHARGED} They can in {listed('#', channel_ids)}."


def role_not_allowed(role_ids: Sequence[int]) -> str:
    needed = "the role" if len(role_ids) == 1 else "one of the roles"
    return f"In this server images are for people with {needed} {listed('@&', role_ids)}. {NOTHING_CHARGED}"


def word_not_allowed(rule: str) -> str:
    """*rule*: its name or number."""
    return f"This server doesn't allow something in this prompt (rule: {rule}). {NOTHING_CHARGED}"


def bot_budget_used_up(back_at_ms: int) -> str:
    return f"What this bot may spend for now is used up. {NOTHING_CHARGED} It is back {_rounded_up(back_at_ms)}."


def server_budget_used_up(limit: int, used: int, period: str, back_at_ms: int) -> str:
    """*period*: day, week or month."""
    return _used_up("This server has", limit, used, period, back_at_ms)


def person_cap_used_up(limit: int, used: int, period: str, back_at_ms: int) -> str:
    """*period*: day, week or month."""
    return _used_up("You have", limit, used, period, back_at_ms)


def _used_up(who: str, limit: int, used: int, period: str, back_at_ms: int) -> str:
    left = max(0, limit - used)
    said = f"{who} {images_text(limit)} a {period} here, and "
    said += f"{images_text(left)} {'is' if left == 1 else 'are'} left" if left else "they are used up"
    return f"{said}. {NOTHING_CHARGED} The next {period} begins {_rounded_up(back_at_ms)}."


def changed_meanwhile(who: int | None, at_ms: int | None) -> str:
    """*who*: the person who made the other change; None: not known."""
    other = "Somebody else" if who is None else f"<@{who}>"
    when = "" if at_ms is None else f" {relative_time(at_ms)}"
    return f"{other} changed this server's rules{when}, so nothing was changed now. Look at what is set, and try again."


def too_many_rules(limit: int) -> str:
    return f"At most {limit} rules of this kind are kept. Nothing was added: remove some first."


def spend_alert(*, setting: str, percent: int, spent: int, most: int, ends_at_ms: int, is_full: bool) -> str:
    """The direct message to the owner about a limit of spending. *setting*: its name; *spent*: what is held too."""
    then = "Requests are refused until then." if is_full else "At the limit, requests are refused until then."
    return (
        f"Images have cost, or hold, {spent} of the {most} API credits of {setting} ({percent} %). "
        f"The next period begins {_rounded_up(ends_at_ms)}. {then}"
    )


def _because(reason: str) -> str:
    return f": {reason.rstrip(' .')}" if reason else ""


def listed(sign: str, ids: Sequence[int], most: int = LISTED_MAX) -> str:
    """Mention channels ("#") or roles ("@&") by their ids: at most so many, and how many more there are."""
    named = [f"<{sign}{each}>" for each in ids[:most]]
    more = len(ids) - len(named)
    if more:
        return f"{', '.join(named)} and {more} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _rounded_up(at_ms: int) -> str:
    return relative_time(at_ms + 999)
