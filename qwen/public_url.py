"""Check PUBLIC_URL, the bot's address for callbacks. Pure: resolves nothing and opens nothing.

Must not know tokens, rows or servers.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from qwen.cleaning import is_ascii_word


def check_public_url(text: str) -> str:
    """Return the address without a slash at its end; an empty text stays empty. Raises ValueError with the end of a
    sentence.

    Permitted: https, a host and perhaps a port; http only where the host is this machine.
    """
    text = text.strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0 and is_ascii_word(text)
    except ValueError:
        raise ValueError("must be an address such as https://imagine.example.com") from None
    if not usable or parts.scheme not in ("https", "http"):
        raise ValueError("must be an address such as https://imagine.example.com")
    if "@" in parts.netloc or parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError("must hold a host and perhaps a port, and nothing after them")
    if parts.scheme == "http" and not is_loopback(text):
        raise ValueError("must start with https://: a callback's address is a secret")
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the host of *url* is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
