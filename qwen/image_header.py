"""Read an image's format, width and height from its bytes, and check that its end is there, without decoding it.

Pure. Content types are ignored. Must not know where the bytes came from. Sources: PNG
specification (W3C, third edition) 5.2 and 11.2.1; ITU-T T.81 (JPEG) annex B; RFC 9649 (WebP) 2.5 to 2.7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qwen.errors import NotAnImage, NotWhole
from qwen.models import OutputFormat

PIXELS_MAX = 50_000_000
SIDE_MAX = 16_384  # what WebP can hold; browsers and phones draw no more

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
# Start-of-frame markers C0 to CF, but for C4 (tables), C8 (reserved) and CC (arithmetic conditioning).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length: TEM and the restarts.
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
# A real header has some dozens of segments; a hostile one could have millions and block the event loop.
_JPEG_STEPS_MAX = 4096
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_PNG_CHUNKS_MAX = 50_000  # the largest real files have some thousands
_WEBP_ANIMATED = 0x02


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format, and size in pixels."""

    format: OutputFormat
    width: int
    height: int


def read_image_header(data: bytes) -> ImageHeader:
    """Return the header of `data`. Raises NotAnImage for anything but a still PNG, JPEG or WebP of at most 50 million
    pixels, and its subclass NotWhole for a file that ends too soon.
    """
    try:
        header, body_at = _read_header(data)
    except (struct.error, IndexError):
        raise NotAnImage("its header is cut off") from None
    if header.width == 0 or header.height == 0:
        raise NotAnImage("its header names no size")
    if header.width * header.height > PIXELS_MAX:
        raise NotAnImage(f"{header.width}×{header.height} is more than {PIXELS_MAX // 1_000_000} million pixels")
    if max(header.width, header.height) > SIDE_MAX:
        raise NotAnImage(f"{header.width}×{header.height} is longer than {SIDE_MAX} pixels")
    _check_end(data, header.format, body_at)
    return header


def _read_header(data: bytes) -> tuple[ImageHeader, int]:
    """Return the header, and where the body begins."""
    if data.startswith(_PNG_SIGNATURE):
        return _read_png(data)
    if data.startswith(_JPEG_START):
        return _read_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _read_webp(data)
    raise NotAnImage("nothing was sent" if not data else "it is neither PNG, JPEG nor WebP")


def _read_png(data: bytes) -> tuple[ImageHeader, int]:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    # 8 for the signature, 8 for the chunk's head, 13 for the header, 4 for its checksum.
    if kind != b"IHDR" or length != 13 or len(data) < 33:
        raise NotAnImage("its PNG header is broken")
    return ImageHeader(OutputFormat.PNG, width, height), 33


def _read_jpeg(data: bytes) -> tuple[ImageHeader, int]:
    at = 2
    for _ in range(_JPEG_STEPS_MAX):
        if data[at] != 0xFF:
            raise NotAnImage("its JPEG segments are broken")
        marker = data[at + 1]
        if marker == 0xFF:  # any number of FF may fill up before a marker
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            length, _precision, height, width = struct.unpack_from(">HBHH", data, at + 2)
            if length < 8:
                raise NotAnImage("its JPEG frame is broken")
            return ImageHeader(OutputFormat.JPEG, width, height), at + 2 + length
        elif marker in (0x00, 0xD8, _JPEG_SCAN, _JPEG_END):
            raise NotAnImage("its JPEG header names no frame")
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if length < 2:
                raise NotAnImage("its JPEG segments are broken")
            at += 2 + length
    raise NotAnImage("its JPEG header has no end")


def _read_webp(data: bytes) -> tuple[ImageHeader, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        flags, measures = struct.unpack_from("<B3x6s", data, 20)
        if flags & _WEBP_ANIMATED:
            raise NotAnImage("it is animated")
        width = int.from_bytes(measures[:3], "little") + 1
        height = int.from_bytes(measures[3:], "little") + 1
    elif kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F or bits >> 29:
            raise NotAnImage("its WebP header is broken")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        tag, start_code, width, height = struct.unpack_from("<B2x3sHH", data, 20)
        if tag & 1 or start_code != b"\x9d\x01\x2a":
            raise NotAnImage("its WebP header is broken")
        width, height = width & 0x3FFF, height & 0x3FFF
    else:
        raise NotAnImage("its WebP header is cut off" if len(kind) < 4 else "its WebP header is broken")
    return ImageHeader(OutputFormat.WEBP, width, height), 12


def _check_end(data: bytes, format: OutputFormat, body_at: int) -> None:
    """Raise NotWhole without the format's end. Bytes after the end are ignored: no decoder reads them."""
    match format:
        case OutputFormat.PNG:
            whole = _has_png_end(data, body_at)
        case OutputFormat.JPEG:  # in the scans, FF D9 is the end and nothing else (T.81, B.1.1.5)
            whole = data.rfind(bytes((0xFF, _JPEG_END)), body_at) >= 0  # from the end, where it mostly is
        case OutputFormat.WEBP:
            whole = int.from_bytes(data[4:8], "little") + 8 <= len(data)
    if not whole:
        raise NotWhole("its end is missing")


def _has_png_end(data: bytes, at: int) -> bool:
    """Walk the chunks up to IEND. Raises NotAnImage."""
    drawn = False
    for _ in range(_PNG_CHUNKS_MAX):
        if at + 12 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"acTL":
            raise NotAnImage("it is animated")
        if not kind.isalpha():
            raise NotAnImage("its PNG chunks are broken")
        drawn = drawn or kind == b"IDAT"
        if kind == b"IEND":
            break
        at += 12 + length
    if not drawn:
        raise NotAnImage("its PNG holds no pixels")
    return True
