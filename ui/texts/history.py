"""The sentences of /history.

Pure. Must not know Discord's library, the database or the image API. What a person typed must be escaped before.
"""

from __future__ import annotations

from ui.texts.formatting import credits_text, images_text, relative_time

TITLE = "**Your images**"
EMPTY = "No images yet. `/imagine` makes one."
NEWER = "Newer"
OLDER = "Older"
CARD_GONE = "its card is gone"
IMAGES_MISSING = (
    "-# Some images are missing: the bot needs View Channel and Read Message History where their cards stand."
)
KEPT_HINT = (
    "could not be posted and {is_are} kept. Post {it_them} wherever you like while the image service still has "
    "{it_them}."
)
NO_LONGER_KEPT = "There is nothing left to post: it was posted meanwhile, or it is gone and its price was returned."
BEING_POSTED = "It is being posted just now. Nothing was charged; should it not appear, press again in a few minutes."
SERVICE_SILENT = "The image service doesn't hand the image out just now. It stays kept; try again in a few minutes."
DISCORD_SILENT = "Discord can't take the image just now. It stays kept; try again in a few minutes."
NO_PLACE = "Discord doesn't take the image here either. It stays kept; try another channel."
SLOW = "The bot is slow just now. Nothing was charged; try again in a moment."


def title(words: str) -> str:
    """*words*: those of the search, escaped; empty: all images."""
    return f"**Your images with “{words}”**" if words else TITLE


def nothing_found(words: str) -> str:
    return f"None of your images has words that begin with “{words}” in its prompt." if words else EMPTY


def entry(*, number: int, prompt: str, parts: list[str], kept: int) -> str:
    """One entry: the images of one prompt. *parts*: the small print; *kept*: how many could not be posted."""
    lines = [f"{number}\\. **{prompt}**", "-# " + " · ".join(part for part in parts if part)]
    if kept:
        words = {"is_are": "is" if kept == 1 else "are", "it_them": "it" if kept == 1 else "them"}
        lines.append(f"{images_text(kept)} {KEPT_HINT.format(**words)}")
    return "\n".join(lines)


def price(charged: int) -> str:
    return credits_text(charged) if charged else "free"


def made(at_ms: int) -> str:
    return relative_time(at_ms)


def card_link(url: str) -> str:
    return f"[card]({url})"


def post_label(number: int) -> str:
    """*number*: of the entry on the page."""
    return f"Post {number} here"


def lost(images: int, refunded: int) -> str:
    """*images*: how many the image service no longer has."""
    gone = "It was" if images == 1 else f"{images_text(images)} were"
    back = f" Your {credits_text(refunded)} {'was' if refunded == 1 else 'were'} returned." if refunded else ""
    return f"{gone} kept for too long: the image service no longer has {'it' if images == 1 else 'them'}.{back}"
