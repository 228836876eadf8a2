"""Files that a client must refuse: a huge image, a decompression bomb, and text that is served as an image.

The first two are valid PNGs (PNG specification, chapters 10 to 12), so that only a client's own limits stop them.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

HUGE_SIDE_PIXELS = 3400  # 3 bytes a pixel, stored uncompressed: 33 MiB
BOMB_SIDE_PIXELS = 30_000  # 1 byte a pixel: 858 MiB when decoded, under 1 MiB as a file
NOT_AN_IMAGE = b"This is not an image, whatever its Content-Type says.\n" * 40

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
_BOMB_ROWS_PER_BLOCK = 100


def huge_png() -> Iterator[bytes]:
    """Return a noisy true-colour PNG of more than 30 MiB, in pieces."""
    yield _SIGNATURE + _header(HUGE_SIDE_PIXELS, _COLOUR)
    stored = zlib.compressobj(level=0)
    row_bytes = HUGE_SIDE_PIXELS * 3
    noise = random.Random(0).randbytes(row_bytes * 2)
    for y in range(HUGE_SIDE_PIXELS):
        shift = y * 37 % row_bytes
        data = stored.compress(b"\0" + noise[shift : shift + row_bytes])
        if data:
            yield _chunk(b"IDAT", data)
    yield _chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b"")


def bomb_png() -> bytes:
    """Return a black grey-scale PNG of 30000 x 30000 pixels in less than 1 MiB.

    All rows are zeros, so one compressed block is repeated instead of compressing 858 MiB.
    """
    row_bytes = BOMB_SIDE_PIXELS + 1
    compressor = zlib.compressobj(level=9, wbits=-15)
    block = compressor.compress(bytes(row_bytes * _BOMB_ROWS_PER_BLOCK)) + compressor.flush(zlib.Z_FULL_FLUSH)
    last_block = compressor.flush(zlib.Z_FINISH)
    total_bytes = row_bytes * BOMB_SIDE_PIXELS
    adler32_of_zeros = struct.pack(">HH", total_bytes % 65521, 1)  # RFC 1950, section 8.2
    data = b"\x78\xda" + block * (BOMB_SIDE_PIXELS // _BOMB_ROWS_PER_BLOCK) + last_block + adler32_of_zeros
    return _SIGNATURE + _header(BOMB_SIDE_PIXELS, _GREY) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _header(side: int, colour_type: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, colour_type, 0, 0, 0))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
