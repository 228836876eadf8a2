"""Signed attachment addresses and the files behind them (Discord docs: Reference, 'Signed Attachment CDN URLs')."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote, urlsplit

from sandbox.clock import Clock
from sandbox.local_discord.state.model import Attachment

LIFETIME_SECONDS = 24 * 3600
"""Discord names no number; in practice an address works for a day."""


class Cdn:
    def __init__(self, clock: Clock, secret: bytes, public_url: Callable[[], str]) -> None:
        self._clock = clock
        self._secret = secret
        self._public_url = public_url
        self._files: dict[int, Attachment] = {}
        self._opaque: dict[str, int] = {}

    def keep(self, attachment: Attachment) -> None:
        self._files[attachment.id] = attachment

    def drop(self, attachment: Attachment) -> None:
        self._files.pop(attachment.id, None)

    def signed_url(self, attachment: Attachment) -> str:
        """Return an absolute address that works for a day from now, with `ex`, `is` (hex seconds) and `hm`."""
        path = _path(attachment)
        issued = self._clock.now_ms() // 1000
        expires = issued + LIFETIME_SECONDS
        query = f"ex={expires:x}&is={issued:x}&hm={self._signature(path, f'{expires:x}', f'{issued:x}')}&"
        return f"{self._public_url()}{quote(path)}?{query}"

    def opaque_url(self, attachment_id: int) -> str:
        """Return an address of the same file that does not contain its id and never expires."""
        name = hmac.new(self._secret, str(attachment_id).encode(), hashlib.sha256).hexdigest()
        self._opaque[f"/cdn/media/{name}"] = attachment_id
        return f"{self._public_url()}/cdn/media/{name}"

    def find(self, path: str, query: Mapping[str, str]) -> Attachment | None:
        """Return the file at an address, None when the address is unknown, changed or expired."""
        if path in self._opaque:
            return self._files.get(self._opaque[path])
        attachment = self._files.get(attachment_id_in(path) or 0)
        if attachment is None or _path(attachment) != unquote(path):
            return None
        expires, issued = query.get("ex", ""), query.get("is", "")
        if not hmac.compare_digest(self._signature(_path(attachment), expires, issued), query.get("hm", "")):
            return None
        return attachment if int(expires, 16) * 1000 > self._clock.now_ms() else None

    def base_url(self) -> str:
        return self._public_url()

    def own_attachment_id(self, url: str) -> int | None:
        """Return the id of the attachment that an address of this CDN names, None for any other address."""
        if not url.startswith(f"{self._public_url()}/cdn/"):
            return None
        path = urlsplit(url).path
        return self._opaque.get(path) or attachment_id_in(path)

    def _signature(self, path: str, expires: str, issued: str) -> str:
        return hmac.new(self._secret, f"{path}?{expires}&{issued}".encode(), hashlib.sha256).hexdigest()


def attachment_id_in(path: str) -> int | None:
    """Return the attachment id in `/cdn/attachments/<channel id>/<attachment id>/<filename>`, None for another path."""
    segments = path.split("/")
    if len(segments) != 6 or not segments[4].isdigit():
        return None
    return int(segments[4])


def _path(attachment: Attachment) -> str:
    folder = "ephemeral-attachments" if attachment.ephemeral else "attachments"
    return f"/cdn/{folder}/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
