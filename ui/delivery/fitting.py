"""Make images fit the size limit of the place where they are posted, before anything is uploaded.

The limit comes with the interaction. Knows no cards and no calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from generations.model import Generation
from images.reencoded_image import ReencodedImage
from images.reencoder import Reencoder
from qwen.images import FoundImage, OversizedImage
from ui.views.file_names import ImageFile

DEFAULT_LIMIT = (
    10 * 1024 * 1024
)  # where neither the person nor the server pays for more (Discord docs: Uploading Files)
REQUEST_BYTES = 25 * 1024 * 1024 - 64 * 1024  # of all files; the whole request may have 25 MiB (Discord docs: Message)


def file_limit(generation: Generation) -> int:
    """Return the most bytes that one file may have where *generation* was requested."""
    return min(generation.origin.attachment_size_limit, REQUEST_BYTES)


def posts_of(image_files: Mapping[int, ImageFile | OversizedImage]) -> list[list[int]]:
    """Divide the positions, in order, among as few requests as hold their bytes; one empty request for no images."""
    posts: list[list[int]] = [[]]
    room = REQUEST_BYTES
    for position in sorted(image_files):
        needed = size_of(image_files[position])
        if needed > room and posts[-1]:
            posts.append([])
            room = REQUEST_BYTES
        posts[-1].append(position)
        room -= needed
    return posts


def size_of(image_file: ImageFile | OversizedImage) -> int:
    """Return the bytes that it adds to a request; 0 for an image that was too large to be downloaded."""
    return 0 if isinstance(image_file, OversizedImage) else len(image_file.data)


class ImageFitter:
    """Re-encode images that are too large."""

    def __init__(self, reencoder: Reencoder) -> None:
        self._reencoder = reencoder

    async def fit(
        self, generation: Generation, image_files: Mapping[int, FoundImage]
    ) -> dict[int, ImageFile | OversizedImage]:
        """Return each image: unchanged if it fits or can't be made to fit, else re-encoded to the limit."""
        fitted: dict[int, ImageFile | OversizedImage] = {}
        for position, image_file in image_files.items():
            smaller = None
            if size_of(image_file) > file_limit(generation):
                smaller = await self._smaller(generation, image_file, file_limit(generation))
            fitted[position] = smaller or image_file
        return fitted

    async def squeeze(
        self, generation: Generation, image_file: FoundImage, refused_bytes: int
    ) -> ReencodedImage | None:
        """Re-encode an image for a place whose real limit is lower: Discord refused *refused_bytes* of it."""
        limit = DEFAULT_LIMIT if refused_bytes > DEFAULT_LIMIT else refused_bytes // 2
        return await self._smaller(generation, image_file, limit)

    async def _smaller(self, generation: Generation, image_file: FoundImage, limit: int) -> ReencodedImage | None:
        if isinstance(image_file, OversizedImage):
            return None
        return await self._reencoder.fit(image_file.data, limit, generation.request.format)


def too_large(image_files: Mapping[int, ImageFile | OversizedImage], generation: Generation) -> Iterable[int]:
    """Return the positions of images that can't be attached here."""
    limit = file_limit(generation)
    return (
        position
        for position, image_file in image_files.items()
        if isinstance(image_file, OversizedImage) or len(image_file.data) > limit
    )
