"""Re-encode images in a thread, within the memory budget, one after another: 50 million pixels need some hundred
megabytes. Knows no encoder and no Discord.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from images.image_memory import ImageMemory
from images.provenance import MARK_BYTES_MAX, mark_as_ai
from images.reencoded_image import CannotShrink, ReencodedImage, bytes_needed
from qwen.models import OutputFormat

log = logging.getLogger("qwen_imagine.images")


class Reencoder:
    """Use one for the whole process. Never cancel `fit()`: its thread would go on beside the next one's."""

    def __init__(self, memory: ImageMemory | None = None) -> None:
        self._memory = memory or ImageMemory()

    async def fit(self, data: bytes, max_bytes: int, wanted: OutputFormat) -> ReencodedImage | None:
        """Return the image in at most *max_bytes*, made by images.shrinking.shrink; None: that is not possible."""
        async with self._memory.reencoding(bytes_needed(data)):
            try:
                smaller = await asyncio.to_thread(_shrink, data, max_bytes, wanted)
            except CannotShrink as error:
                log.warning("an image of %d bytes can't be made smaller: %s", len(data), error)
                return None
        self._memory.count_until_dropped(smaller, len(smaller.data))
        log.info(
            "an image of %d bytes was made %d: %s, %d×%d",
            *(len(data), len(smaller.data), smaller.format.value, smaller.width, smaller.height),
        )
        return smaller


def _shrink(data: bytes, max_bytes: int, wanted: OutputFormat) -> ReencodedImage:
    """Encode it anew, with the mark that the old file had or should have had, unless it fits without it alone."""
    from images.shrinking import shrink  # imports Pillow, which most processes never need

    try:
        smaller = shrink(data, max_bytes - MARK_BYTES_MAX, wanted)
    except CannotShrink:
        return shrink(data, max_bytes, wanted)
    return replace(smaller, data=mark_as_ai(smaller.data, smaller.format))
