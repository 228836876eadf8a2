"""The content type and size in pixels of a file, read from its first bytes. No image is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaFacts:
    content_type: str
    width: int | None = None
    height: int | None = None


def read_facts(data: bytes, filename: str) -> MediaFacts:
    """Return type and size: PNG, JPEG, WebP and GIF by content, the rest by the file name's ending."""
    try:
        return _image(data) or MediaFacts(_by_name(filename))
    except (struct.error, IndexError):
        return MediaFacts(_by_name(filename))


def _image(data: bytes) -> MediaFacts | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return MediaFacts("image/png", *struct.unpack(">II", data[16:24]))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return MediaFacts("image/gif", *struct.unpack("<HH", data[6:10]))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return None


def _webp(data: bytes) -> MediaFacts:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", data[26:30]))
    return MediaFacts("image/webp", width, height)


def _jpeg(data: bytes) -> MediaFacts:
    """Read the size from the frame header (SOF0-SOF15 without DHT, JPG, DAC)."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return MediaFacts("image/jpeg", width, height)
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return MediaFacts("image/jpeg")


_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "json": "application/json; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}


def _by_name(filename: str) -> str:
    return _ENDINGS.get(filename.rpartition(".")[2].lower(), "application/octet-stream")
