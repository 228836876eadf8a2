"""The images of the simulated service, each of which can be told from every other, also after it was made smaller."""

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


def frame_of(task_id: str) -> bytes:
    """The frame of a PNG without pixels, with the task's id in it: the quickest that passes for an image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1024, 1024, 8, 2, 0, 0, 0))
    body = chunk(b"tEXt", b"task\0" + task_id.encode() + b"\n") + chunk(b"IDAT", _PIXELS) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def painting_of(task_id: str, number: int, dice: random.Random) -> bytes:
    """A PNG of some six thousand bytes that can be decoded and made smaller. *number*: below 256."""
    assert number < 1 << (COLUMNS * ROWS)
    image_file = Image.frombytes("RGB", (SIDE, SIDE), dice.randbytes(SIDE * SIDE * 3))
    for bit in range(COLUMNS * ROWS):
        colour = (255, 255, 255) if number >> bit & 1 else (0, 0, 0)
        left, top = bit % COLUMNS * BLOCK, bit // COLUMNS * BLOCK
        image_file.paste(colour, (left, top, left + BLOCK, top + BLOCK))
    marks = PngImagePlugin.PngInfo()
    marks.add_text("task", f"{task_id}\n")
    out = io.BytesIO()
    image_file.save(out, "PNG", pnginfo=marks, compress_level=1)
    return out.getvalue()


def task_in(data: bytes) -> str:
    """The task whose image this is, as it came; empty: it was encoded anew."""
    return data.partition(b"task\0")[2].partition(b"\n")[0].decode()


def number_in(data: bytes) -> int:
    """The number that painting_of() was given, from the pixels alone."""
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
