"""The sentences of /admin. Pure; must not know Discord's library.

Reasons, words and names that people typed must be escaped before (ui/texts/escaping). Times are unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ui.texts.admin_changes import EVERYBODY, EVERYWHERE, NO_BUDGET, NO_CAP, NO_LOG, cap_text
from ui.texts.formatting import images_text, mention, relative_time
from ui.texts.limits import listed

IMAGES_MIN, IMAGES_MAX = 1, 100_000  # of a cap
DAYS_MAX = 3650  # of a block
NAMED_MAX = 10  # channels or roles that a heading names

TITLE = "### Images in this server"
MEANING = "-# Each change counts at once, and is kept with who made it and when."
NOT_ADMIN = "Only who may manage this server can use this. Nothing was changed."
CHANGED_NOTHING = "It was set like that already."
NO_LONGER_THERE = "That is not there any more. This is what is set now."
TOO_OLD = "This screen or form is from an earlier version of the bot. Nothing was changed; use `/admin limits` anew."
BOT_PAUSED = "**The bot's owner has paused the bot everywhere.**"

# Placeholders of lists, and labels of buttons
PICK_CHANNELS = "Choose channels"
PICK_ROLES = "Choose roles"
PICK_LOG = "Choose a channel"
CHANGE_CAP, CHANGE_BUDGET, SHOW_WORDS, SHOW_PEOPLE = "Change cap", "Change budget", "Show words", "Show people"
BACK, PREVIOUS, NEXT = "Back", "Previous", "Next"
PAUSE, RESUME = "Pause images", "Resume images"
ADD_WORDS, BLOCK = "Add words", "Block a person"
GENERAL, GENERAL_MEANING = "General", "Images may be asked for wherever the channels above allow it"
AGE_RESTRICTED, AGE_RESTRICTED_MEANING = "Age-restricted places only", "In channels that Discord shows to adults alone"


def channels(ids: Sequence[int]) -> str:
    return f"**Channels** · {listed('#', ids, NAMED_MAX) if ids else EVERYWHERE}"


def roles(ids: Sequence[int]) -> str:
    return f"**Roles** · {listed('@&', ids, NAMED_MAX) if ids else EVERYBODY}"


def person_cap(images: int | None, period: str) -> str:
    said = NO_CAP if images is None else f"{cap_text(images, period)} at most"
    return f"**Each person** · {said}\n-# Everybody's credits limit them as well."


def budget(images: int | None, period: str, used: int, ends_at_ms: int | None, today: int) -> str:
    """*used*: in the running *period* of the budget."""
    if images is None:
        return f"**This server** · {NO_BUDGET} of its own\n-# {images_text(today)} today"
    anew = f"; the next {period} begins {relative_time(ends_at_ms + 999)}" if ends_at_ms else ""
    also = "" if period == "day" else f" ({today} today)"
    return f"**This server** · {cap_text(images, period)}\n-# {used} used this {period}{also}{anew}"


def words(count: int) -> str:
    return f"**Words** · {count or 'none'} blocked\n-# A prompt that breaks one is refused; the list is never shown."


def people(count: int, next_ends_at_ms: int | None) -> str:
    until = f"\n-# The first until <t:{next_ends_at_ms // 1000}:f>" if next_ends_at_ms else ""
    return f"**People** · {f'{count} blocked' if count else 'nobody is blocked'}{until}"


def content(rule: str) -> str:
    return f"**Content** · {rule}"


def log(channel_id: int | None) -> str:
    where = NO_LOG if channel_id is None else f"each change is told in <#{channel_id}>"
    return f"**Log channel** · {where}"


def running(pause: tuple[int, int, str] | None) -> str:
    """*pause*: who, when, why (escaped, or empty)."""
    if pause is None:
        return "**Images** · running\n-# Requests are taken."
    who, at_ms, reason = pause
    why = f": {reason}" if reason else ""
    return f"**Paused** by {mention(who)} {relative_time(at_ms)}{why}\n-# Nothing new is taken here."


# ---- the chart of what was used -------------------------------------------------------------------------------------

USAGE_TITLE = "This server"


def usage(days: int) -> str:
    return f"Images of this server in the last {days} days. Days begin by the clock of whoever runs the bot."


def unnamed(user_id: int) -> str:
    return f"person {user_id % 10_000:04}"


# ---- the lists ------------------------------------------------------------------------------------------------------

WORDS_TITLE = "### Blocked words"
WORDS_MEANING = (
    "-# Only admins see them, here. A refusal names the rule: its name, or its number. Capitals, invisible characters "
    "and letters that look alike make no difference."
)
NO_WORDS = "No words are blocked."
REMOVE_WORDS = "Remove rules of this page"
PEOPLE_TITLE = "### Blocked people"
PEOPLE_MEANING = "-# They can't ask for images in this server, and see the reason and the end."
NOBODY = "Nobody is blocked."
UNBLOCK = "Unblock a person of this page"
KINDS = {"plain": "anywhere", "whole": "whole word", "pattern": "pattern"}
KIND_MEANINGS = {
    "plain": "Also inside of another word",
    "whole": "Not inside of another word",
    "pattern": "A regular expression, as RE2 reads it",
}


def page(number: int, pages: int) -> str:
    return f"-# Page {number} of {pages}"


def word(number: int, kind: str, text: str, name: str) -> str:
    """*text* and *name*: escaped; *name* may be empty."""
    return f"**{number}** · {text} · {KINDS[kind]}{f' · {name}' if name else ''}"


def blocked(number: int, user_id: int, until_ms: int | None, reason: str, by_id: int) -> str:
    until = "without end" if until_ms is None else f"until <t:{until_ms // 1000}:f>"
    why = f" · {reason}" if reason else ""
    return f"**{number}** · {mention(user_id)} · {until}{why} · by {mention(by_id)}"


def unblock_label(number: int) -> str:
    return f"Unblock number {number}"


# ---- the forms ------------------------------------------------------------------------------------------------------

PERSON_TITLE, BUDGET_TITLE = "Images for each person", "Images for the whole server"
PERIOD, IMAGES = "At most so many images", "Number of images"
NO_PERIOD, NO_PERIOD_MEANING = "No cap", "The number below does not count"
PERIODS = {"day": "a day", "week": "a week", "month": "a month"}
IMAGES_MEANING = f"{IMAGES_MIN} to {IMAGES_MAX:,}; it counts what was made since the period began"
IMAGES_MISSING = (
    f"The number of images must be a whole number from {IMAGES_MIN} to {IMAGES_MAX:,}. Nothing was changed. To allow "
    "none, pause images."
)
WORDS_FORM, WORDS_LINES, WORDS_LINES_MEANING = "Add blocked words", "Words", "One rule a line"
KIND, NAME, NAME_MEANING = "How they are found", "Name of the rules", "People see it when a prompt is refused"
NO_LINES = "There is no word in it. Nothing was added."
BLOCK_FORM, WHO = "Block a person in this server", "Who"
REASON, REASON_MEANING = "Reason", "The person sees it"
DAYS, DAYS_MEANING = "For so many days", f"1 to {DAYS_MAX}; empty: until somebody unblocks them"
DAYS_WRONG = f"The days must be a whole number from 1 to {DAYS_MAX}, or empty. Nobody was blocked."
NOT_FROM_THE_FORM = "The form came back incomplete. Nothing was changed."
PAUSE_FORM, PAUSE_REASON_MEANING = "Pause images in this server?", "Whoever asks for an image here sees it"
PAUSE_MEANING = (
    "Nobody can ask for images in this server until an admin resumes. Images that were asked for before are still made."
)
TYPED = "What you typed:"


def budget_question(images: int, period: str, used: int, ends_at_ms: int | None) -> str:
    until = f" until {relative_time(ends_at_ms + 999)}" if ends_at_ms else ""
    return (
        f"### Set it to {cap_text(images, period)}?\nThis server has used {used} in this {period} already, so nobody "
        f"here could ask for images{until}."
    )


SET_ANYWAY, LEAVE = "Set it", "Leave it as it was"
LEFT = "Nothing was changed."


def not_told(channel_id: int) -> str:
    return (
        f"It is set, but <#{channel_id}> could not be told: the bot needs View Channel and Send Messages there, "
        "and the channel must still exist."
    )


def bad_word(fault: str, detail: str) -> str:
    """*detail*: what RE2 says of a pattern, escaped; may be empty."""
    said = {
        "empty": "it would find every prompt, or nothing of it can be seen",
        "long": "a rule and its name have at most 100 characters",
        "large": "the pattern needs too much memory; write it shorter",
        "unreadable": f"the pattern can't be read{f' ({detail})' if detail else ''}",
    }
    return f"This rule can't be kept: {said.get(fault, 'it is not valid')}. Nothing was added."


def in_line(number: int, sentence: str) -> str:
    return f"Line {number}: {sentence}"
