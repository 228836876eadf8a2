"""Check the addresses that images are downloaded from. Pure: resolves nothing and opens nothing.

The address comes from the service's answer, so it could be one inside the bot's own network. Must not know aiohttp's
client. The downloader's resolver applies `is_public` to the addresses that are connected to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin

from yarl import URL

from qwen.errors import ImageUrlRefused

URL_MAX = 8192

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that is assigned for the public internet
# What Python 3.11's `is_global` permits: anycast relays and routers (RFC 7723, RFC 7526), examples (RFC 9637).
_ANYCAST = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_EXAMPLES = IPv6Network("3fff::/20")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """One entry of QWEN_IMAGE_HOSTS. `subdomains`: it names what is below `name`, not `name` itself."""

    name: str
    subdomains: bool
    port: int | None

    def names(self, host: str) -> bool:
        return host.endswith(f".{self.name}") if self.subdomains else host == self.name


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that images may come from, with any scheme and port; without entries: the whole public internet."""

    entries: tuple[AllowedHost, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> AllowedHosts:
        """Read "cdn.example.com", "127.0.0.1", "127.0.0.1:8025", "[::1]:8025", ".example.com" (what is below it).

        Raises ValueError with a sentence for anything else.
        """
        return cls(tuple(_parse_entry(entry) for entry in sorted(entries)))

    def names(self, host: str) -> bool:
        """Whether `host` is named here, with whatever port."""
        return any(entry.names(_normal(host)) for entry in self.entries)

    def permits(self, host: str, port: int) -> bool:
        return any(entry.names(_normal(host)) and entry.port in (None, port) for entry in self.entries)


def check_image_url(text: str, allowed: AllowedHosts) -> URL:
    """Return the checked address. Raises ImageUrlRefused, whose text never holds the address.

    The returned object is the one to connect to: two parsers could disagree about the host.
    """
    url = _parse(text)
    host, port = url.raw_host, url.port
    if "@" in url.raw_authority:
        raise ImageUrlRefused("it holds a user name")
    if not host or not port:
        raise ImageUrlRefused("it names no host or port")
    if allowed.entries:
        if url.scheme not in ("https", "http"):
            raise ImageUrlRefused("it is neither https nor http")
        if not allowed.permits(host, port):
            raise ImageUrlRefused("its host is not named in QWEN_IMAGE_HOSTS")
        return url
    if url.scheme != "https":
        raise ImageUrlRefused("it is not https")
    if port != 443:
        raise ImageUrlRefused("its port is not 443")
    if _counts_as_address(host):
        if not is_public(host):
            raise ImageUrlRefused("its host is not a public address")
    elif not _NAME.fullmatch(_normal(host)):
        raise ImageUrlRefused("its host is not a name")
    return url


def check_redirect(base: URL, locations: Sequence[str], allowed: AllowedHosts) -> URL:
    """Return the checked address that `base` redirects to; `locations`: the values of its Location header.

    A relative one is resolved against `base` (RFC 9110, 10.2.2). A redirect from https to http is refused, even where
    the host is named in QWEN_IMAGE_HOSTS. Raises ImageUrlRefused, whose text never holds an address.
    """
    if len(locations) != 1:
        raise ImageUrlRefused("it redirects without saying where")
    try:
        _check_form(locations[0])  # before it is joined: urljoin drops tabs, line ends and spaces by itself
        url = check_image_url(_resolve(str(base), locations[0].encode("ascii").decode()), allowed)  # RFC 3986, 2
    except ImageUrlRefused as refused:
        raise ImageUrlRefused(f"where it redirects to: {refused.reason}") from None
    except ValueError:
        raise ImageUrlRefused("where it redirects to: it is not an address") from None
    if base.scheme == "https" and url.scheme != "https":
        raise ImageUrlRefused("where it redirects to: it is not https any more")
    return url


def is_public(address: str) -> bool:
    """Whether an IP address, given as text, belongs to the public internet. False for what is no address.

    IPv4 addresses wrapped in IPv6 (mapped, 6to4, NAT64) are judged by what they wrap.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(ip.packed[12:]) if ip in _NAT64 else None)
        if wrapped is None:
            return ip in _GLOBAL_UNICAST and ip not in _EXAMPLES and ip.is_global and ip.scope_id is None
        ip = wrapped
    anycast = any(ip in network for network in _ANYCAST)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not anycast


def _check_form(text: str) -> None:
    if not 0 < len(text) <= URL_MAX or not text.isprintable() or " " in text or "\\" in text:
        raise ImageUrlRefused("it is not an address")


def _resolve(base: str, reference: str) -> str:
    """RFC 3986, 5.2.2. What has a scheme or a host stays as it is: urljoin makes "https://" mean the base itself."""
    if _SCHEME.match(reference):
        return reference
    return base.partition(":")[0] + ":" + reference if reference.startswith("//") else urljoin(base, reference)


def _parse(text: str) -> URL:
    _check_form(text)
    try:
        # A signed address must be sent as written; only one with characters beyond ASCII has to be encoded.
        url = URL(text, encoded=text.isascii())
        _ = url.port, url.raw_host, url.raw_authority
    except ValueError:
        raise ImageUrlRefused("it is not an address") from None
    return url


def _counts_as_address(host: str) -> bool:
    # aiohttp's own rule (helpers.is_ip_address): such a host is not resolved.
    return ":" in host or host.replace(".", "").isdigit()


def _parse_entry(entry: str) -> AllowedHost:
    text = entry.strip().lower()
    bracketed = re.fullmatch(r"\[([0-9a-f:.]+)\](?::([0-9]{1,5}))?", text)
    plain = re.fullmatch(r"(\.?)([a-z0-9_.-]+)(?::([0-9]{1,5}))?", text)
    if bracketed:
        subdomains, name, port = False, bracketed[1], bracketed[2]
    elif plain:
        subdomains, name, port = bool(plain[1]), plain[2], plain[3]
    else:
        subdomains, name, port = False, text, None
    named = _is_address(name) or (_NAME.fullmatch(_normal(name)) is not None and not _counts_as_address(name))
    if not named or (subdomains and _is_address(name)) or (port is not None and not 0 < int(port) < 65536):
        raise ValueError(f"{entry.strip()!r} is not a host such as cdn.example.com, 127.0.0.1:8025 or .example.com.")
    return AllowedHost(_normal(name), subdomains, None if port is None else int(port))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _normal(host: str) -> str:
    name = host.lower().removesuffix(".")
    return ip_address(name).compressed if _is_address(name) else name
