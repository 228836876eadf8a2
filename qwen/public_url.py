"""PUBLIC_URL: under which address of ours the image API may call back. Pure: it resolves nothing and opens nothing.

It comes from the operator alone. Must not know tokens, rows or servers.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from qwen.cleaning import is_ascii_word


def check_public_url(text: str) -> str:
    """The address without a slash at its end; nothing stays nothing. Raises ValueError with the end of a sentence.

    https, a host of its own and perhaps a port, nothing more; http only where the host is this very machine.
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
    """Whether *url* names this very machine, as it stands."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
