"""The pictures that the stand-in has painted: drawn in a thread, the latest kept. Knows no request and no mood."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from sandbox.image_api.document import SIZES
from sandbox.image_api.synthetic_image import paint

KEPT_PICTURES = 32


class Gallery:
    """`picture()` gives the same bytes for the same prompt, seed, size and format."""

    def __init__(self, kept_pictures: int = KEPT_PICTURES) -> None:
        self._kept_pictures = kept_pictures
        self._pictures: OrderedDict[tuple[str, int, str, str], bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many pictures are kept."""
        return len(self._pictures)

    async def picture(self, prompt: str, seed: int, size: str, output_format: str) -> bytes:
        """The encoded picture; `size` is one of the document's, like 1024*1536."""
        wanted = (prompt, seed, size, output_format)
        if wanted not in self._pictures:
            self._pictures[wanted] = await asyncio.to_thread(paint, prompt, seed, SIZES[size], output_format)
            while len(self._pictures) > self._kept_pictures:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(wanted)
        return self._pictures[wanted]
