"""The sentences of the buttons under a card, of their form and of "Imagine this".

Pure. Must not know Discord's library, the database or the image API. Times are unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from generations.model import State
from ui.texts.card import NOTHING_CHARGED
from ui.texts.formatting import credits_text, images_text, mention, relative_time

# ---- labels of buttons; Discord docs: Components, "Button", at most 80 characters ----------------------------------

CANCEL = "Cancel"
AGAIN = "Again"
EDIT = "Edit"
DETAILS = "Details"
DELETE = "Delete"
KEEP = "Keep"

# ---- refusals ------------------------------------------------------------------------------------------------------

NOT_THERE = f"The bot no longer knows this image. {NOTHING_CHARGED} A new `/imagine` works."
PROMPT_FORGOTTEN = f"The prompt of this image is no longer kept. {NOTHING_CHARGED} Edit opens a form for a new one."
SLOW = f"The bot is slow just now and could not open the form in time. {NOTHING_CHARGED} Press again in a moment."
NO_TEXT = f"This message has no text to make an image from. {NOTHING_CHARGED} Pick one with text, or type `/imagine`."
FORM_TOO_OLD = (
    f"This form was opened by another version of the bot. {NOTHING_CHARGED} Open it again and paste the prompt."
)
SEED_NOT_A_NUMBER = f"The seed must be a whole number; left empty, a new one is drawn. {NOTHING_CHARGED}"
NOT_FROM_THE_LIST = f"The form came without a size or a format from its lists. {NOTHING_CHARGED} Open it again."


def command_denied(command: str, *, by_form: bool) -> str:
    """*command*: as people see it, such as "/imagine"."""
    what = "form" if by_form else "button"
    return f"This {what} needs {command} to be allowed for you here; the server's admins decide that. {NOTHING_CHARGED}"


# ---- the form; Discord docs: a title and a label have at most 45 characters, a description and a placeholder 100 ----

MENU_NAME = "Imagine this"  # Discord docs: Application Commands, at most 32 characters
SEED_PLACEHOLDER = "Empty: a new one"
SEED_MEANING = "The same seed and prompt make the same image again"
TYPED = "What you typed, to be copied and used again:"


def form_title(count: int, price: int) -> str:
    """*price*: of all images."""
    return f"Make {images_text(count)} · {credits_text(price)}"


def prompt_was_cut(limit: int) -> str:
    return f"The text was longer: only its first {limit} characters are here"


# ---- Details -------------------------------------------------------------------------------------------------------

_STATES = {
    State.REQUESTED: "waiting",
    State.SUBMITTING: "being sent",
    State.RUNNING: "being made",
    State.SUCCEEDED: "ready, being posted",
    State.DELIVERED: "posted",
    State.UNDELIVERED: "kept, no place left to post it",
    State.FAILED: "not made, credits returned",
    State.EXPIRED: "took too long, credits returned",
    State.UNKNOWN: "not confirmed, credits returned",
    State.CANCELLED: "cancelled, credits returned",
}
PROMPT_GONE = "The prompt is no longer kept."
SPOILER = "spoiler"
PRIVATE = "private"
YOUR_CREDITS = "Your credits"


def made_line(user_id: int, at_ms: int) -> str:
    return f"Asked for by {mention(user_id)} {relative_time(at_ms)}"


def image_line(number: int, seed: int, state: State, took: str, price: str, task_id: str) -> str:
    """For example "Image 1 · seed 42 · posted · 14 s · 5 credits · task abc"; empty parts are left out."""
    parts = [f"Image {number}", f"seed {seed}", _STATES[state], took, price, f"task {task_id}" if task_id else ""]
    return " · ".join(part for part in parts if part)


def generation_number(generation_id: int) -> str:
    """The number by which the bot's owner finds the generation in the log."""
    return f"Number {generation_id}"


# ---- Delete --------------------------------------------------------------------------------------------------------

REMOVED = "The card was removed. What it cost stays paid; the credits were for making it."
KEPT_CARD = "The card stays as it is."
PRESS_AGAIN = "The bot needs one more press: press Delete under the card itself again, then confirm."
NOT_REMOVABLE = (
    "Discord doesn't let the bot remove this card: it lost its access to this place. "
    "Somebody with Manage Messages can delete it by hand."
)
REMOVE_LATER = "Discord can't remove the card just now; it stands as it was. Press Delete again in a minute."


def sure(count: int, staying: int = 0) -> str:
    """*count*: images that are deleted with the card; *staying*: images in the direct messages of the requester."""
    if staying:
        what = f" with {images_text(count)}" if count else ""
    else:
        what = " with the image" if count == 1 else f" with all {count} images"
    stay = f" What was sent as a direct message stays there ({images_text(staying)})." if staying else ""
    return f"Remove this card{what} for everybody?{stay} No credits come back, and it can't be undone."


def removed_but(addresses: Sequence[str]) -> str:
    """*addresses*: of separate messages that Discord did not let the bot delete; empty for one that only its person
    sees."""
    known = [address for address in addresses if address]
    left = f": {' '.join(known)}" if known else ", which only you see."
    return f"{REMOVED} Discord didn't let the bot remove what stands beside it{left}"
