"""The sentences about where and how an image is posted, and of the ping.

Pure. Must not know Discord's library, the database or the image API.
"""

from __future__ import annotations

from ui.texts.formatting import images_text, mention

LEAVING = (
    "Discord lets the bot change this card for 15 minutes only. What is ready after that comes as a direct message; "
    "if those are closed, it waits in `/history`."
)


def reencoded(format: str, before: tuple[int, int], after: tuple[int, int]) -> str:
    """*before*, *after*: width and height; equal if only the format changed."""
    sizes = (after,) if before == after else (before, after)
    return f"Re-encoded to fit: {format}, {' → '.join(f'{width}×{height}' for width, height in sizes)}"


def ready(user_id: int, images: int) -> str:
    """The ping. Mentions the requester alone."""
    what = "your image is" if images == 1 else f"your {images_text(images)} are"
    return f"{mention(user_id)} {what} ready."


def ready_there(user_id: int, images: int, address: str) -> str:
    """The ping where the bot may not reply to the card. *address*: that of the card."""
    return f"{ready(user_id, images)} {address}"
