"""What a change of a server's rules says, for its screen and its log channel. Pure; must not know Discord's library.

Reads the audit's *before* and *after* as limits/service writes them. The texts of words never stand there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from limits.model import Change, ContentRule
from ui.texts.escaping import escape
from ui.texts.formatting import images_text, mention
from ui.texts.limits import listed

REASON_UNITS = 300  # UTF-16 units of a reason, or of the names of several rules
CONTENT = {ContentRule.GENERAL.value: "general", ContentRule.AGE_RESTRICTED_ONLY.value: "age-restricted places only"}
EVERYWHERE = "everywhere"
EVERYBODY = "everybody"
NO_CAP, NO_BUDGET, NO_LOG = "no cap", "no budget", "none"


def change_text(change: Change) -> str:
    """Return what was changed, as a part of a sentence: before and after."""
    write = _TEXTS.get(change.action)
    return escape(change.action, REASON_UNITS) if write is None else write(change)


def log_line(change: Change, *, is_late: bool = False) -> str:
    """Return the message of a server's log channel. *is_late*: its own time is not when the change was made."""
    when = f" · <t:{change.at_ms // 1000}:f>" if is_late else ""
    return f"**Image settings** · {mention(change.actor_id)} · {change_text(change)}{when}"


def changed(change: Change) -> str:
    return f"**Done:** {change_text(change)}"


def changed_by_another(change: Change) -> str:
    return (
        f"**Nothing was changed by you.** {mention(change.actor_id)} changed something <t:{change.at_ms // 1000}:R>: "
        f"{change_text(change)}. This is what is set now."
    )


def last_change(change: Change) -> str:
    return f"-# Last change: {mention(change.actor_id)}, <t:{change.at_ms // 1000}:R>, {change_text(change)}"


def cap_text(images: int, period: str) -> str:
    """*period*: day, week or month."""
    return f"{images_text(images)} a {period}"


def _from_to(what: str, show: Callable[[str], str]) -> Callable[[Change], str]:
    return lambda change: f"{what}: {show(change.before)} → {show(change.after)}"


def _ids(sign: str, none: str) -> Callable[[str], str]:
    return lambda kept: listed(sign, [int(each) for each in kept.split()]) if kept else none


def _cap(none: str) -> Callable[[str], str]:
    def show(kept: str) -> str:
        images, _, period = kept.partition(" ")
        return cap_text(int(images), period) if period else none

    return show


def _log(kept: str) -> str:
    return f"<#{kept}>" if kept else NO_LOG


def _added(change: Change) -> str:
    return f"blocked words: added {_rules(change.after)} {_names(change.after)}"


def _removed(change: Change) -> str:
    return f"blocked words: removed {_rules(change.before)} {_names(change.before)}"


def _rules(kept: str) -> str:
    return "rule" if kept.partition(" (")[0].isdecimal() else "rules"


def _names(kept: str) -> str:
    return escape(kept, REASON_UNITS)


def _block(change: Change) -> str:
    until = change.after.removesuffix(change.reason).strip()
    end = f" until <t:{int(until) // 1000}:f>" if _TIME.fullmatch(until) else ""
    again = " (was blocked before)" if change.before else ""
    return f"blocked {mention(change.subject_id or 0)}{end}{_because(change.reason)}{again}"


def _unblock(change: Change) -> str:
    return f"unblocked {mention(change.subject_id or 0)}"


def _pause(change: Change) -> str:
    return f"{'new reason of the pause' if change.before else 'paused images'}{_because(change.reason)}"


def _resume(change: Change) -> str:
    return "resumed images"


def _because(reason: str) -> str:
    return f": {escape(reason, REASON_UNITS)}" if reason.strip() else ""


_TIME = re.compile(r"[0-9]{13}")
_TEXTS: Mapping[str, Callable[[Change], str]] = {
    "channels": _from_to("channels", _ids("#", EVERYWHERE)),
    "roles": _from_to("roles", _ids("@&", EVERYBODY)),
    "person_cap": _from_to("each person", _cap(NO_CAP)),
    "budget": _from_to("this server", _cap(NO_BUDGET)),
    "content": _from_to("content", lambda kept: CONTENT.get(kept, CONTENT[ContentRule.AGE_RESTRICTED_ONLY])),
    "log_channel": _from_to("log channel", _log),
    "add_words": _added,
    "remove_words": _removed,
    "block": _block,
    "unblock": _unblock,
    "pause": _pause,
    "resume": _resume,
}
