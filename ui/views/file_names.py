"""The file names of images on Discord. Safe on every system: ASCII [A-Za-z0-9_.-], never reserved, short. Pure.

The name of a re-encoded image holds its size, and its size before if that was another one. So the card can say so from
the name alone, also after a restart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generations.model import Generation, Image
from images.reencoded_image import ReencodedImage
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from ui.texts.escaping import file_stem

SPOILER_PREFIX = "SPOILER_"  # what discord.File puts before the name of a spoiler

_SIZE = r"\d{1,5}x\d{1,5}"
# The seed, the size before (where it differs), the size after and the format of an image that was re-encoded.
_REENCODED = re.compile(rf"-(\d+)(?:-({_SIZE}))?-({_SIZE})\.(jpg|webp)$")

ImageFile = DownloadedImage | ReencodedImage


@dataclass(frozen=True, slots=True)
class Reencoding:
    """How an image was re-encoded: its format, and its size before and after, as (width, height) in pixels."""

    format: OutputFormat
    before: tuple[int, int]
    after: tuple[int, int]


def file_name(generation: Generation, image: Image, image_file: ImageFile | None = None) -> str:
    """For example a-lighthouse-42.png; a-lighthouse-42-1024x1536-768x1152.webp for one that was made smaller, and
    a-lighthouse-42-1024x1536.webp where only the format changed.

    Without *image_file*: the name in the format that was requested.
    """
    prefix = SPOILER_PREFIX if generation.request.spoiler else ""
    stem = file_stem(generation.request.prompt, image.seed)
    sizes = _sizes_of(image_file) if isinstance(image_file, ReencodedImage) else ""
    format = generation.request.format if image_file is None else image_file.format
    return f"{prefix}{stem}{sizes}.{format.extension}"


def reencoding_in(name: str, seed: int) -> Reencoding | None:
    """Return what the *name* of an image with this *seed* says of its re-encoding; None: it was not re-encoded."""
    found = _REENCODED.search(name)
    if found is None or found[1] != str(seed):
        return None
    _, before, after, extension = found.groups()
    format = OutputFormat.JPEG if extension == "jpg" else OutputFormat.WEBP
    return Reencoding(format, _read_size(before or after), _read_size(after))


def _sizes_of(image_file: ReencodedImage) -> str:
    after = (image_file.width, image_file.height)
    sizes = (after,) if image_file.before == after else (image_file.before, after)
    return "".join(f"-{width}x{height}" for width, height in sizes)


def _read_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)
