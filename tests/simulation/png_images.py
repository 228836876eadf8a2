"""PNG images of the simulated service that can be told apart, also after they were re-encoded."""

from __future__ import annotations

import io
import random
import struct
import zlib

from PIL import Image, PngImagePlugin

SIDE = 64
COLUMNS, ROWS = 4, 2  # one bit of the task's number each, black or white, in the upper half; noise below
BLOCK = SIDE // COLUMNS
_PIXELS = zlib.compress(b"")


def empty_png(task_id: str) -> bytes:
    """Return a PNG without pixels that contains the task's id; quick to make, and accepted as an image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1024, 1024, 8, 2, 0, 0, 0))
    body = chunk(b"tEXt", b"task\0" + task_id.encode() + b"\n") + chunk(b"IDAT", _PIXELS) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def numbered_png(task_id: str, number: int, rng: random.Random) -> bytes:
    """Return a PNG of some 6,400 bytes with *number* (below 256) in its pixels, which can be decoded and re-encoded."""
    assert number < 1 << (COLUMNS * ROWS)
    image_file = Image.frombytes("RGB", (SIDE, SIDE), rng.randbytes(SIDE * SIDE * 3))
    for bit in range(COLUMNS * ROWS):
        colour = (255, 255, 255) if number >> bit & 1 else (0, 0, 0)
        left, top = bit % COLUMNS * BLOCK, bit // COLUMNS * BLOCK
        image_file.paste(colour, (left, top, left + BLOCK, top + BLOCK))
    marks = PngImagePlugin.PngInfo()
    marks.add_text("task", f"{task_id}\n")
    out = io.BytesIO()
    image_file.save(out, "PNG", pnginfo=marks, compress_level=1)
    return out.getvalue()


def task_id_in(data: bytes) -> str:
    """Return the task id inside the file; empty: the file was re-encoded."""
    return data.partition(b"task\0")[2].partition(b"\n")[0].decode()


def number_in(data: bytes) -> int:
    """Return the number that numbered_png() was given, from the pixels."""
    with Image.open(io.BytesIO(data)) as opened:
        grey = opened.convert("L")
    block = grey.width / COLUMNS
    number = 0
    for bit in range(COLUMNS * ROWS):
        middle = (int((bit % COLUMNS + 0.5) * block), int((bit // COLUMNS + 0.5) * block))
        light = grey.getpixel(middle)
        assert isinstance(light, int | float)
        number |= (light > 127) << bit
    return number
