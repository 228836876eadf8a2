"""The sentences of /owner. Pure; must not know Discord's library.

Reasons must be escaped before (ui/texts/escaping). People are mentioned, which notifies nobody: every message is sent
with allowed_mentions none. Times are unix milliseconds.
"""

from __future__ import annotations

from credits.model import Balance
from ui.texts.formatting import credits_text, mention, relative_time, signed

NOTHING_CHANGED = "Nothing was changed."
NOT_OWNER = "This command is for the bot's owner."
OWNER_UNKNOWN = (
    f"Discord doesn't say right now who owns this bot. {NOTHING_CHANGED} Try again in a minute, or set `OWNER_IDS`."
)
IS_BOT = f"That is a bot, which has no credits and asks for no images. {NOTHING_CHANGED}"
NO_REASON = f"A reason is needed: people see it in `/credits`, and it stays in the audit. {NOTHING_CHANGED}"
NO_SUCH_IMAGE = (
    "No image is known by that. Give the number that Details shows, or the link to a message that was posted within a "
    f"day of its request, and a position if there are several. {NOTHING_CHANGED}"
)
NEVER_HELD = f"No credits were ever held for that image. {NOTHING_CHANGED}"
NO_REFUND = f"Nothing was refunded: that image was not charged, or it is still being made. {NOTHING_CHANGED}"
BAD_IMAGE = f"That is neither a number as Details shows it nor a link to a message. {NOTHING_CHANGED}"
BAD_ID = f"An id is a number of 15 to 20 digits, as Discord's *Copy ID* gives it. {NOTHING_CHANGED}"
ROLE_WITHOUT_SERVER = f"A role belongs to a server: give its `server` too. {NOTHING_CHANGED}"
BAD_UNTIL = (
    f"`until` is a day such as 2026-12-31, or 2026-12-31 18:00, in the time zone of `TIMEZONE`. {NOTHING_CHANGED}"
)
PAST_UNTIL = f"`until` is in the past. {NOTHING_CHANGED}"
DAYS_AND_UNTIL = f"Give `days` or `until`, not both. {NOTHING_CHANGED}"
NOT_PAUSED = f"The bot is not paused by you. {NOTHING_CHANGED} Pauses of single servers are their admins'."
NO_ACCOUNT = "has no account yet: nothing was ever booked for them."
USAGE_TITLE = "All servers"
NEWEST = "Newest"
OLDER = "Older"
_IN_PERIOD = {"hour": "an hour", "day": "a day", "week": "a week", "month": "a month", "never": "once"}


def number_out_of_range(option: str, least: int, most: int) -> str:
    return f"`{option}` is a whole number from {least} to {most}. {NOTHING_CHANGED}"


def reason_too_long(most: int) -> str:
    return f"A reason has at most {most} characters. {NOTHING_CHANGED}"


def no_such_grant(number: int) -> str:
    return f"Entry {number} is no grant by hand, so it can't be undone. {NOTHING_CHANGED}"


def which_image(images: int) -> str:
    return f"That request has {images} images: say by `position` which one. {NOTHING_CHANGED}"


def granted(user_id: int, amount: int, reason: str, balance: Balance, number: int) -> str:
    given = f"{amount} bonus {'credit' if amount == 1 else 'credits'}"
    return f"{given} for {mention(user_id)}{_because(reason)}. {_has_now(balance)} {_entry(number)}"


def taken(user_id: int, amount: int, asked: int, reason: str, balance: Balance, number: int) -> str:
    what = credits_text(amount) if amount == asked else f"{amount} of {credits_text(asked)}, all that was there,"
    verb = "was" if amount == 1 else "were"
    return f"{what} {verb} taken from {mention(user_id)}{_because(reason)}. {_has_now(balance)} {_entry(number)}"


def nothing_to_take(user_id: int, balance: Balance) -> str:
    return f"Nothing was taken from {mention(user_id)}. {_has_now(balance)}"


def undone(user_id: int, amount: int, grant: int, reason: str, balance: Balance, number: int) -> str:
    what = f"{credits_text(amount)} of entry {grant}, as many as were left, "
    verb = "was" if amount == 1 else "were"
    return f"{what}{verb} taken back from {mention(user_id)}{_because(reason)}. {_has_now(balance)} {_entry(number)}"


def nothing_to_undo(user_id: int, grant: int, balance: Balance) -> str:
    return f"Nothing was taken back: {mention(user_id)} has no bonus left of entry {grant}. {_has_now(balance)}"


def refunded(user_id: int, amount: int, reason: str, balance: Balance, number: int) -> str:
    said = f"{credits_text(amount)} refunded to {mention(user_id)} for one image"
    return f"{said}{_because(reason)}. {_has_now(balance)} {_entry(number)}"


def was_done(number: int) -> str:
    return f"That was done before: entry {number}. {NOTHING_CHANGED}"


def tier_set(whose: str, credits: int, period: str, reason: str, number: int) -> str:
    """*whose*: of tier_of. *period*: a value of CREDIT_PERIOD."""
    rest = "It counts at each person's next look or request; the best tier counts, and nothing that is held is taken."
    return f"{whose} gets {credits_text(credits)} {_IN_PERIOD[period]}{_because(reason)}. {rest} {_change(number)}"


def tier_removed(whose: str, reason: str, number: int) -> str:
    return f"The tier was removed{_because(reason)}. {whose}: the next best tier counts from now on. {_change(number)}"


def tier_unchanged(whose: str) -> str:
    return f"{whose}: that is set already. {NOTHING_CHANGED}"


def no_tier(whose: str) -> str:
    return f"{whose}: no tier is set. {NOTHING_CHANGED}"


def tier_of(guild_id: int, role_id: int) -> str:
    if role_id:
        return f"Role {role_id} of server {guild_id}"
    return f"Everybody in server {guild_id}" if guild_id else "Everybody"


def exempted(user_id: int, reason: str, number: int) -> str:
    what = "No cap and no limit of requests a minute counts any more for"
    return f"{what} {mention(user_id)}{_because(reason)}. {_change(number)}"


def unexempted(user_id: int, reason: str, number: int) -> str:
    return f"Caps and the limit of requests count for {mention(user_id)} again{_because(reason)}. {_change(number)}"


def exemption_unchanged(user_id: int, *, exempt: bool) -> str:
    return f"{mention(user_id)} is {'exempt already' if exempt else 'not exempt'}. {NOTHING_CHANGED}"


def blocked(user_id: int, until_ms: int | None, reason: str, number: int) -> str:
    until = "until you unblock them" if until_ms is None else f"until <t:{until_ms // 1000}:f>"
    return f"{mention(user_id)} is blocked everywhere {until}{_because(reason)}. {_change(number)}"


def block_unchanged(user_id: int) -> str:
    return f"{mention(user_id)} is blocked like that already. {NOTHING_CHANGED}"


def unblocked(user_id: int, reason: str, number: int) -> str:
    rest = "Blocks of single servers stay."
    return f"{mention(user_id)} may ask for images again{_because(reason)}. {rest} {_change(number)}"


def not_blocked(user_id: int) -> str:
    return f"{mention(user_id)} is not blocked by you. {NOTHING_CHANGED}"


def paused(reason: str, at_ms: int, number: int) -> str:
    rest = "What was taken on before is finished. `/owner resume` ends it."
    return f"Nothing is taken on anywhere since <t:{at_ms // 1000}:f>{_because(reason)}. {rest} {_change(number)}"


def pause_unchanged() -> str:
    return f"The bot is paused with that reason already. {NOTHING_CHANGED}"


def resumed(at_ms: int, number: int) -> str:
    return f"Requests are taken on again since <t:{at_ms // 1000}:f>. {_change(number)}"


def usage(days: int) -> str:
    return f"What everybody used {'today' if days == 1 else f'in the last {days} days'}."


def ledger_title(user_id: int, balance: Balance) -> str:
    parts = [credits_text(balance.available) + _of_bonus(balance.bonus)]
    if balance.held:
        parts.append(f"{balance.held} held{_of_bonus(balance.held_bonus)}")
    when = "" if balance.refills_at_ms is None else f" {relative_time(balance.refills_at_ms + 999)}"
    parts.append(f"refills to {balance.allowance}{when}" if when else f"{balance.allowance} given once")
    return f"**Ledger of {mention(user_id)}**\n{' · '.join(parts)}"


def ledger_line(number: int, amount: int, bonus: int, what: str, actor_id: int | None, at_ms: int) -> str:
    """*bonus*: the part of *amount* that is bonus. *what*: kind, and reason or image, escaped."""
    of_bonus = "" if not bonus else " bonus" if bonus == amount else f" ({signed(bonus)} bonus)"
    by = "" if actor_id is None else f" · by {mention(actor_id)}"
    return f"`{number}` **{signed(amount)}**{of_bonus} · {what}{by} · {relative_time(at_ms)}"


def _of_bonus(amount: int) -> str:
    return f", {amount} of them bonus" if amount else ""


def _has_now(balance: Balance) -> str:
    said = f"They have {balance.available} now"
    if balance.bonus == balance.available and balance.bonus:
        said += ", which don't expire" if balance.bonus > 1 else ", which doesn't expire"
    elif balance.bonus:
        said += f", {balance.bonus} of them {'do' if balance.bonus > 1 else 'does'}n't expire"
    return f"{said}{f'; {balance.held} more are held' if balance.held else ''}."


def _entry(number: int) -> str:
    return f"Entry {number}."


def _change(number: int) -> str:
    return f"Change {number}."


def _because(reason: str) -> str:
    return f": {reason.rstrip(' .')}" if reason else ""
