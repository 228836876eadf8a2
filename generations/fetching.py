"""Fetches one finished image within the budget for the bytes of images in memory.

Knows the place of finished images; knows no rows, no credits and no Discord.
"""

from __future__ import annotations

import logging
from functools import partial

from generations.ports import ImageStore
from images.image_memory import Room, size_in_memory
from qwen.errors import ImageTooLarge
from qwen.images import FoundImage, OversizedImage

log = logging.getLogger("qwen_imagine.worker")


async def fetch(store: ImageStore, room: Room, image_id: str, url: str) -> FoundImage:
    """The image, downloaded as soon as there is room for it, or as it lies in memory since it was put off.

    One that is too large to be fetched exists all the same, and can be linked to. Raises qwen.errors.ImageError.
    """
    await room.enter()
    image: FoundImage | None = room.recall(image_id)
    try:
        image = image or await store.download(url, partial(room.resize, image_id))
        return image
    except ImageTooLarge as error:
        log.warning("image %s: only its address can be handed on (%s)", image_id, error)
        return OversizedImage()
    finally:
        room.resize(image_id, size_in_memory(image))
