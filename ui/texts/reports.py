"""The sentences of reports: the form, its answers, the card for those who decide, and what comes of their buttons.

Pure; must not know Discord's library. What a person typed must be escaped before (ui/texts/escaping). Times are unix
milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.model import Decision, Reason
from ui.texts.formatting import images_text, mention, relative_time

# ---- the form; Discord docs: Components, a title and a label have at most 45 characters, a description 100 ---------

MENU_NAME = "Report this image"  # Discord docs: Application Commands, at most 32 characters
BUTTON = "Report"
FORM_TITLE = "Report this image"
REASON_LABEL = "What is wrong with it?"
REASONS = {
    Reason.SEXUAL: ("Sexual or cruel", "What it shows doesn't belong here"),
    Reason.HATEFUL: ("Hateful or bullying", "It attacks a person or a group"),
    Reason.REAL_PERSON: ("A real person", "It shows somebody who would not want that"),
    Reason.OTHER: ("Something else", "Say what, below"),
}
TEXT_LABEL = "Anything to add?"
TEXT_DESCRIPTION = "The bot's owner and this server's admins read it, with your name"

# ---- what the reporter reads ---------------------------------------------------------------------------------------

THANKS = (
    "Thank you. The bot's owner will look at it; you won't see this image in `/history`, and its buttons no longer "
    "work for you."
)
ALREADY_REPORTED = "You reported this image, so the bot doesn't show it to you any more. Nothing was charged."
NOTHING_TO_REPORT = (
    "This message has no image of this bot that can be reported. Pick the message with the image, once it is finished; "
    "for a private one, press Details under it and then Report."
)
FORM_UNREADABLE = "The report came without a reason from its list. Nothing was sent. Open the form again."


def too_many_reports(limit: int, next_at_ms: int) -> str:
    return f"You have sent {limit} reports within an hour. The next one is taken {relative_time(next_at_ms + 999)}."


# ---- the card for those who decide ---------------------------------------------------------------------------------

TITLE = "An image was reported"
SOMEBODY = "somebody who has left since"
IMAGE_GONE = "The bot no longer knows the image: its person had everything deleted."
PROMPT_PURGED = "Its prompt is no longer kept."
PRIVATE = "It is private, so its prompt and image are not shown here."
PRIVATE_TO_OWNER = f"{PRIVATE} Open shows them to you; that is written down in the audit."

REMOVE = "Remove"
BLOCK = "Block person"
DISMISS = "Dismiss"
OPEN = "Open"


def title(reason: Reason) -> str:
    return f"**{TITLE}** · {REASONS[reason][0]}"


def reported_by(user_id: int | None, at_ms: int) -> str:
    who = SOMEBODY if user_id is None else mention(user_id)
    return f"Reported by {who} {relative_time(at_ms)}"


def image_of(user_id: int, images: int, at_ms: int, url: str) -> str:
    """*url*: of the card; empty: there is none to be linked to."""
    what = "The image" if images == 1 else f"The {images_text(images)}"
    link = f" · [card]({url})" if url else ""
    return f"{what} of {mention(user_id)}, made {relative_time(at_ms)}{link}"


def numbers(report_id: int, generation_id: int | None) -> str:
    """By which the log and the audit name them."""
    image = "" if generation_id is None else f" · image {generation_id}"
    return f"-# Report {report_id}{image}"


def decided(decision: Decision, by_id: int, at_ms: int, *, in_server: bool) -> str:
    """*in_server*: for one server, by an admin of it."""
    done = {
        Decision.REMOVED: "removed the image",
        Decision.BLOCKED: "blocked the person in the server" if in_server else "blocked the person everywhere",
        Decision.DISMISSED: "dismissed the report for the server" if in_server else "dismissed the report",
    }[decision]
    return f"**{mention(by_id)} {done}** {relative_time(at_ms)}"


# ---- what comes of the buttons -------------------------------------------------------------------------------------

NOT_YOURS = (
    "Only the bot's owner decides about this report, and the admins (Manage Server) of the server in which the image "
    "stands. Nothing was changed."
)
GONE = "The bot no longer knows this report or its image, or the image stands elsewhere by now. Nothing was changed."
STILL_MADE = "Images of this card are still being made. Nothing was changed; press again when it is finished."
NOT_REACHED = (
    "Discord doesn't let the bot reach this image: only its person sees it, or the bot lost its access. It stays, and "
    "nothing was changed. Somebody with Manage Messages can delete what stands in a channel by hand."
)
REMOVE_LATER = "Discord can't remove the image just now. Nothing was changed; press again in a minute."
OWNER_UNKNOWN = "Discord doesn't say just now who owns this bot. Nothing was changed; press again in a minute."
SLOW = "The bot is slow just now. Nothing was changed; press again in a moment."

BLOCK_TITLE = "Block the person of this image"
BLOCK_REASON_LABEL = "Reason"
BLOCK_REASON_DESCRIPTION = "The person reads it when they ask for an image"
BLOCK_DAYS_LABEL = "Days"
BLOCK_DAYS_DESCRIPTION = "Empty: until somebody unblocks them"
DAYS_UNREADABLE = (
    "The days must be a whole number from 1 to 3650, or empty. Nobody was blocked; press the button again."
)


def left_beside(addresses: Sequence[str]) -> str:
    """*addresses*: of messages beside the card that Discord did not let the bot delete; empty for one without any."""
    known = [address for address in addresses if address]
    return f"The card is gone. Discord didn't let the bot remove what stands beside it{': ' if known else ''}" + (
        " ".join(known) if known else "."
    )


def images_missing(images: int) -> str:
    """*images*: how many can't be shown."""
    return f"{images_text(images)} can't be shown: Discord and the image service don't hand that out any more."
