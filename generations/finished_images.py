"""Finished images: download one within the memory budget, judge a failed download, refund one that is lost.

Knows the image store, rows and the ledger; knows no Discord and no SQL.
"""

from __future__ import annotations

import logging
from functools import partial

from credits.ledger import Ledger
from generations import records
from generations.model import Ending, Image, State
from generations.ports import ImageStore
from images.image_memory import Reservation, size_in_memory
from qwen.errors import ImageError, ImageTooLarge, ImageUnavailable
from qwen.images import FoundImage, OversizedImage
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.worker")

GONE_CHECKS = 3  # failed checks of a kept image in a row before a "gone for good" is believed


async def fetch(store: ImageStore, reservation: Reservation, image_id: str, url: str) -> FoundImage:
    """Return the image from memory if it was kept there, else download it as soon as *reservation* has its bytes.

    One that is too large to be downloaded is an OversizedImage: it can be linked to. Raises qwen.errors.ImageError.
    """
    await reservation.acquire()
    image: FoundImage | None = reservation.recall(image_id)
    try:
        image = image or await store.download(url, partial(reservation.resize, image_id))
        return image
    except ImageTooLarge as error:
        log.warning("image %s: only its address can be handed on (%s)", image_id, error)
        return OversizedImage()
    finally:
        reservation.resize(image_id, size_in_memory(image))


def may_still_come(error: ImageError, *, failures: int, limit: int) -> bool:
    """Whether to try the download again after *error*. That an image is missing is believed from *limit* failed tries
    on; that it can't be had just now, never. Pure."""
    return isinstance(error, ImageUnavailable) and (error.temporary or (error.may_still_come and failures < limit))


def lose(tx: Transaction, ledger: Ledger, image: Image, *, fence: int, why: str, now_ms: int) -> tuple[Image, int]:
    """End a paid image as lost and refund it, in the caller's transaction. Return it, and the credits refunded.
    *why*: for the log.

    The operator has paid for it, so it stays counted as made. Raises LostClaim, having changed nothing.
    """
    lost = records.move(tx, image, State.FAILED, fence=fence, why=why, ending=Ending.IMAGE_LOST)
    return lost, ledger.refund(tx, image.image_id, now_ms)
