"""Request bodies: JSON, or multipart with `payload_json` and `files[n]` (Discord docs: Reference,
'Uploading Files').
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.local_discord.errors import DiscordError, invalid_field, invalid_json

LARGEST_REQUEST = 25 * 1024 * 1024
"""Bytes of a whole request (Discord docs: Message, 'Create Message')."""

_DISPOSITION = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FILE_KEY = re.compile(r"^files?\[(\d+)\]$")


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file. `name` is the form's key (`files[0]`), `number` the n in it."""

    name: str
    number: int
    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Body:
    json: Any = None
    uploads: tuple[Upload, ...] = field(default=())


def parse_body(content_type: str, raw: bytes) -> Body:
    """Return the JSON and the files of a request.

    Raises 400/50109 for broken JSON, 400/50035 for another Content-Type.
    """
    if not raw:
        return Body()
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return Body(_json(raw))
    if kind == "multipart/form-data":
        return _parse_multipart(content_type, raw)
    expected = "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}."
    raise invalid_field((), "CONTENT_TYPE_INVALID", expected)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise invalid_json() from None


def _parse_multipart(content_type: str, raw: bytes) -> Body:
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if boundary is None:
        raise _broken()
    payload: Any = None
    uploads: list[Upload] = []
    for part in (b"\r\n" + raw).split(b"\r\n--" + boundary[1].encode())[1:]:
        if part.startswith(b"--"):
            break
        head, separator, data = part.partition(b"\r\n\r\n")
        if not separator:
            raise _broken()
        name, filename = _disposition(head.decode("utf-8", "replace"))
        if name == "payload_json":
            payload = _json(data)
        elif (numbered := _FILE_KEY.match(name)) is not None and filename is not None:
            uploads.append(Upload(name, int(numbered[1]), filename, data))
        else:
            raise invalid_field((name,), "UNKNOWN_KEY", "Only payload_json and files[n] are known parts of a form here")
    return Body(payload if payload is not None else {}, tuple(uploads))


def _disposition(head: str) -> tuple[str, str | None]:
    for line in head.split("\r\n"):
        if line.lower().startswith("content-disposition:"):
            values = dict(_DISPOSITION.findall(line))
            return values.get("name", ""), values.get("filename")
    raise _broken()


def _broken() -> DiscordError:
    return invalid_field((), "CONTENT_TYPE_INVALID", "The multipart form cannot be read.")
