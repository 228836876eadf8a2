"""Draws the stand-in's images in a thread and keeps the latest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from sandbox.image_api.document import SIZES
from sandbox.image_api.synthetic_image import draw_image

KEPT_IMAGES = 32


class ImageCache:
    def __init__(self, kept_images: int = KEPT_IMAGES) -> None:
        self._kept_images = kept_images
        self._images: OrderedDict[tuple[str, int, str, str], bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._images)

    async def get(self, prompt: str, seed: int, size: str, output_format: str) -> bytes:
        """Return the encoded image, the same bytes for the same arguments. *size*: one of the document's."""
        key = (prompt, seed, size, output_format)
        if key not in self._images:
            self._images[key] = await asyncio.to_thread(draw_image, prompt, seed, SIZES[size], output_format)
            while len(self._images) > self._kept_images:
                self._images.popitem(last=False)
        self._images.move_to_end(key)
        return self._images[key]
