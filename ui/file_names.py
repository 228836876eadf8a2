"""The names under which Discord knows the pictures. Safe on every system: ASCII [A-Za-z0-9_.-], never reserved, short.

Pure. A picture that was made smaller to fit carries its size in its name: so the card can say so for ever, also after
a restart, from the name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generations.model import Generation, Image
from pictures.shrinking import SmallerPicture
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from ui.inert import file_stem

SPOILER_PREFIX = "SPOILER_"  # what discord.File puts before the name of a hidden picture

Picture = DownloadedImage | SmallerPicture


@dataclass(frozen=True, slots=True)
class Reencoding:
    """What a picture was made to fit: its format and size in pixels."""

    format: OutputFormat
    width: int
    height: int


def file_name(generation: Generation, image: Image, picture: Picture | None = None) -> str:
    """For example a-lighthouse-42.png, or a-lighthouse-42-768x1152.webp for one that was made smaller.

    Without a *picture*: the name of one in the format that was asked for.
    """
    prefix = SPOILER_PREFIX if generation.request.spoiler else ""
    stem = file_stem(generation.request.prompt, image.seed)
    size = f"-{picture.width}x{picture.height}" if isinstance(picture, SmallerPicture) else ""
    format = generation.request.format if picture is None else picture.format
    return f"{prefix}{stem}{size}.{format.extension}"


def reencoding_in(name: str, seed: int) -> Reencoding | None:
    """What the name of a picture with this *seed* tells; None: it is as it came."""
    found = re.search(rf"-{seed}-(\d{{1,5}})x(\d{{1,5}})\.(jpg|webp)$", name)
    if found is None:
        return None
    width, height, extension = found.groups()
    return Reencoding(OutputFormat.JPEG if extension == "jpg" else OutputFormat.WEBP, int(width), int(height))
