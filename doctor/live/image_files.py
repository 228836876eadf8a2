"""Draw the images that are uploaded: PNG files of one colour, and one of many bytes. Pure."""

from __future__ import annotations

import random
import struct
import zlib

from qwen.images import DownloadedImage
from qwen.models import OutputFormat

SMALL_PIXELS = 64
NINE_MIB = 9 * 1024 * 1024
COLOURS = (b"\xc2\x41\x0c", b"\x0f\x76\x6e", b"\x6d\x28\xd9", b"\x1d\x4e\xd8")
_LARGE_PIXELS = 2048  # a row of the large picture; 6,145 bytes with its filter byte


def small_image(number: int) -> DownloadedImage:
    """Return a picture of 64×64 pixels, its colour by *number*."""
    row = b"\0" + COLOURS[number % len(COLOURS)] * SMALL_PIXELS
    return _image(SMALL_PIXELS, SMALL_PIXELS, row * SMALL_PIXELS)


def large_image(rng: random.Random, least_bytes: int = NINE_MIB) -> DownloadedImage:
    """Return a picture of noise with *least_bytes* or a little more."""
    height = -(-least_bytes // (3 * _LARGE_PIXELS + 1))
    rows = b"".join(b"\0" + rng.randbytes(3 * _LARGE_PIXELS) for _ in range(height))
    return _image(_LARGE_PIXELS, height, rows, level=0)


def _image(width: int, height: int, rows: bytes, level: int = 9) -> DownloadedImage:
    """Build a PNG of 8-bit RGB *rows*, each after its filter byte (PNG specification, 11.2)."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, level)) + _chunk(b"IEND", b"")
    return DownloadedImage(b"\x89PNG\r\n\x1a\n" + chunks, OutputFormat.PNG, width, height)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
