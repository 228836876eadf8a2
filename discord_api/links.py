"""Links to messages, and addresses of pages that people open. Pure; must not know cards."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

PAGE_URL_MAX = 300  # characters; /help shows three of them, in 4000 for all
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z0-9-]+", re.IGNORECASE)
_BREAKS_MARKDOWN = re.compile(r"[^!-~]|[<>()\[\]\\\"`]")


def message_link(guild_id: int | None, channel_id: int, message_id: int) -> str:
    """Return the address of a message, for a browser and for the app. *guild_id* None: a direct message.

    A message's own jump_url has no guild where discord.py's cache does not know the guild.
    """
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"


def check_page_url(text: str) -> str:
    """Return the address of a public page; an empty text stays empty. Raises ValueError with the end of a sentence.

    Permitted: https, a host name with a dot, and what may follow it. Nothing that could end a link in Markdown.
    """
    text = text.strip()
    if not text:
        return ""
    example = ValueError("must be the https address of a page, such as https://example.com/privacy")
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "https" and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        raise example from None
    if not usable or not _HOST.fullmatch(parts.hostname or "") or _BREAKS_MARKDOWN.search(text):
        raise example
    if len(text) > PAGE_URL_MAX:
        raise ValueError(f"must have at most {PAGE_URL_MAX} characters")
    return text
