"""An image that was encoded anew, and how much memory that takes. Pure; images.shrinking does it, with Pillow."""

from __future__ import annotations

from dataclasses import dataclass, field

from qwen.errors import NotAnImage
from qwen.image_header import read_image_header
from qwen.models import OutputFormat

ENCODED_PIXELS_MAX = 12_600_000  # a WebP encoder needs 20 bytes for each, and seconds for a million of noise


class CannotShrink(Exception):
    """It can't be made small enough, or it is not an image that may be decoded."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReencodedImage:
    """An image's new bytes, with their format and size in pixels, and the size it had before."""

    data: bytes = field(repr=False)
    format: OutputFormat
    width: int
    height: int
    before: tuple[int, int]


def bytes_needed(data: bytes) -> int:
    """Return the most memory, in bytes, that images.shrinking.shrink takes for *data*: 4 a decoded pixel, as many for a
    converted or resized copy, and 20 for each encoded pixel. 0 where the header is no image's: nothing is decoded."""
    try:
        header = read_image_header(data)
    except NotAnImage:
        return 0
    pixels = header.width * header.height
    return 8 * pixels + 20 * min(pixels, ENCODED_PIXELS_MAX)
