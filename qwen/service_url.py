"""Check the address of a service that the bot calls with a secret: Discord's REST API, its gateway, the image API.

Pure: resolves nothing and opens nothing. Addresses come from the settings.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

# A name without dots is one of a container network or of /etc/hosts. It begins with a letter: "167772165" and
# "0xa000005" are spellings of 10.0.0.5 (inet_aton(3)).
_NAME_WITHOUT_DOTS = re.compile(r"[a-z][a-z0-9_-]*\Z")

_NAME = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)


def check_service_url(text: str, secure: str, plain: str) -> str:
    """Return *text* without spaces around it. Raises ValueError with the end of a sentence.

    *secure* and *plain* are schemes, such as https and http. *plain* is for loopback addresses and for names without
    dots: everywhere else the token or key in each request could be read on the way, also in a private network.
    """
    text = text.strip()
    example = ValueError(f"must be an address that starts with {secure}://")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # also a port that is no number from 0 to 65535
        raise example from None
    if parts.scheme not in (secure, plain) or not parts.hostname or port == 0:
        raise example
    if not text.isprintable() or " " in text or "\\" in text or not _is_host(parts.hostname):
        raise example
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user name, password, ? or # part")
    if parts.scheme == plain and not is_near(parts.hostname):
        raise ValueError(
            f"must start with {secure}://; {plain}:// is only for this machine (127.0.0.1, localhost) and for names "
            "without dots, such as a container's"
        )
    return text


def _is_host(host: str) -> bool:
    """Whether *host* is an IP address, or a name that can be asked for: labels of 1 to 63 bytes in IDNA, 253 in all."""
    try:
        ip_address(host)
    except ValueError:
        try:
            return bool(_NAME.fullmatch(host.encode("idna").decode("ascii")))
        except UnicodeError:
            return False
    return True


def is_near(host: str) -> bool:
    """Whether *host* is a loopback address or a name without dots."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return bool(_NAME_WITHOUT_DOTS.match(host))
