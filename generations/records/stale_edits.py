"""Find out whether an edit of a card is or was stale, and make the rows agree with the card after a stale one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from generations.model import Generation, Image, State
from generations.records.cards import load_locked
from generations.records.moves import move, update_image
from generations.records.tables import generations
from store.transactions import Transaction

GONE = "an old edit removed it from its card"


def load_fence(tx: Transaction, generation_id: int) -> int | None:
    """Load the fence of the newest claim; None: there is no such generation."""
    return tx.scalar(select(generations.c.fence).where(generations.c.id == generation_id))


def reconcile_card(tx: Transaction, edited: Generation, attachment_ids: Mapping[int, int], now_ms: int) -> bool:
    """Note that the card shows *edited*, perhaps over something newer. Returns whether it has to be published again.

    *attachment_ids*: the attachments that are on it now, by image position; empty: they were left alone. Images that
    the edit removed become SUCCEEDED, so that they are posted again.
    """
    now = load_locked(tx, edited.id)
    if now is None or (now.message_id, now.card_channel_id) != (edited.message_id, edited.card_channel_id):
        return False
    believed = attachment_ids and not _replaced_since(now, attachment_ids)
    lost = [_correct_image(tx, image, attachment_ids, now_ms) for image in now.images] if believed else []
    if not any(lost) and now.revision <= edited.revision:
        return False
    _publish_again(tx, now, edited, now_ms)
    return True


def forget_attachments(tx: Transaction, edited: Generation, gone: Mapping[int, int], now_ms: int) -> bool:
    """Make images SUCCEEDED whose attachments are *gone* from the card of *edited*, so that they are posted again.

    *gone*: image position -> attachment id. Returns whether the rows named any of them. No check of the card: an
    attachment that is gone never comes back, and an image that is posted again has a new one.
    """
    now = load_locked(tx, edited.id)
    if now is None:
        return False
    lost = [
        image
        for image in now.images
        if image.state is State.DELIVERED and (image.position, image.attachment_id) in gone.items()
    ]
    for image in lost:
        move(tx, image, State.SUCCEEDED, fence=None, why=GONE, due_at_ms=now_ms)
    if lost:
        _publish_again(tx, now, edited, now_ms)
    return bool(lost)


def _publish_again(tx: Transaction, now: Generation, edited: Generation, now_ms: int) -> None:
    changes: dict[str, Any] = {"revision": generations.c.revision + 1, "due_at_ms": now_ms}
    if now.request.prompt:  # or its person has asked to be forgotten
        # The token may have been wiped since; it alone reaches a private card, and *edited* still has it.
        changes["token"] = now.origin.token or edited.origin.token
    tx.execute(update(generations).where(generations.c.id == edited.id).values(changes))


def _replaced_since(now: Generation, attachment_ids: Mapping[int, int]) -> bool:
    """Whether *attachment_ids* are older than those in the rows: ids grow, and an image that is posted again has a new
    one (Discord docs: Reference, "Snowflakes")."""
    known = now.attachment_ids
    return any(found < known.get(position, found) for position, found in attachment_ids.items())


def _correct_image(tx: Transaction, image: Image, attachment_ids: Mapping[int, int], now_ms: int) -> bool:
    """Make the row of *image* agree with the card. Returns whether its image is no longer there."""
    if image.state is not State.DELIVERED or image.attachment_id is None:
        return False
    found = attachment_ids.get(image.position)
    if found is None:
        move(tx, image, State.SUCCEEDED, fence=None, why=GONE, due_at_ms=now_ms)
    elif found != image.attachment_id:
        update_image(tx, image, fence=None, attachment_id=found)
    return found is None
