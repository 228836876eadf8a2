"""How large a picture may be where it is to be posted, and what becomes of one that is larger.

Decided before anything is uploaded, from the limit that came with the interaction. Must not know cards or calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from generations.model import Generation
from images.reencoder import Reencoder
from images.shrinking import ReencodedImage
from qwen.images import FoundImage, OversizedImage
from ui.views.file_names import Picture

DEFAULT_LIMIT = (
    10 * 1024 * 1024
)  # where neither the person nor the server pays for more (Discord docs: Uploading Files)
REQUEST_BYTES = 25 * 1024 * 1024 - 64 * 1024  # of all files; the whole request may have 25 MiB (Discord docs: Message)


def file_limit(generation: Generation) -> int:
    """The most bytes that one file may have where *generation* was asked for."""
    return min(generation.origin.attachment_size_limit, REQUEST_BYTES)


def posts_of(pictures: Mapping[int, Picture | OversizedImage]) -> list[list[int]]:
    """The positions in order, in as few requests as hold their bytes; one empty request where there is nothing."""
    posts: list[list[int]] = [[]]
    room = REQUEST_BYTES
    for position in sorted(pictures):
        needed = size_of(pictures[position])
        if needed > room and posts[-1]:
            posts.append([])
            room = REQUEST_BYTES
        posts[-1].append(position)
        room -= needed
    return posts


def size_of(picture: Picture | OversizedImage) -> int:
    """What it adds to a request; nothing, if it was never fetched."""
    return 0 if isinstance(picture, OversizedImage) else len(picture.data)


class ImageFitter:
    """Makes pictures fit."""

    def __init__(self, press: Reencoder) -> None:
        self._reencoder = press

    async def fit(
        self, generation: Generation, pictures: Mapping[int, FoundImage]
    ) -> dict[int, Picture | OversizedImage]:
        """Each as it came if it fits, else as large as may be; as it came also where it can't be made to fit."""
        fitted: dict[int, Picture | OversizedImage] = {}
        for position, picture in pictures.items():
            smaller = None
            if size_of(picture) > file_limit(generation):
                smaller = await self._smaller(generation, picture, file_limit(generation))
            fitted[position] = smaller or picture
        return fitted

    async def squeeze(self, generation: Generation, picture: FoundImage, refused_bytes: int) -> ReencodedImage | None:
        """The same picture for a place that takes less than was said: Discord has refused *refused_bytes* of it."""
        limit = DEFAULT_LIMIT if refused_bytes > DEFAULT_LIMIT else refused_bytes // 2
        return await self._smaller(generation, picture, limit)

    async def _smaller(self, generation: Generation, picture: FoundImage, limit: int) -> ReencodedImage | None:
        if isinstance(picture, OversizedImage):
            return None
        return await self._reencoder.fit(picture.data, limit, generation.request.format)


def too_large(pictures: Mapping[int, Picture | OversizedImage], generation: Generation) -> Iterable[int]:
    """The positions of those that can't be attached here, whatever is done."""
    limit = file_limit(generation)
    return (
        position
        for position, picture in pictures.items()
        if isinstance(picture, OversizedImage) or len(picture.data) > limit
    )
