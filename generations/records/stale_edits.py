"""Whether what is about to be shown is still true, and what an edit that came too late makes necessary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from generations.model import Generation, Image, State
from generations.records.cards import load_locked
from generations.records.moves import move, update_image
from generations.records.tables import generations
from store.database import Transaction


async def load_fence(tx: Transaction, generation_id: int) -> int | None:
    """The number of the newest claim; None for a generation that is not there."""
    return await tx.scalar(select(generations.c.fence).where(generations.c.id == generation_id))


async def reconcile_card(tx: Transaction, told: Generation, attachment_ids: Mapping[int, int], now_ms: int) -> bool:
    """The card says what *told* said, perhaps after something newer. Whether it must be shown again.

    *standing*: the attachments that it holds now, by image position; empty: those it held were left alone. Images
    that it held before are to be posted again.
    """
    now = await load_locked(tx, told.id)
    if now is None or (now.message_id, now.card_channel_id) != (told.message_id, told.card_channel_id):
        return False
    believed = attachment_ids and not _replaced_since(now, attachment_ids)
    lost = [await _set_right(tx, image, attachment_ids, now_ms) for image in now.images] if believed else []
    if not any(lost) and now.revision <= told.revision:
        return False
    owed: dict[str, Any] = {"revision": generations.c.revision + 1, "due_at_ms": now_ms}
    if now.request.prompt:  # or its person has asked to be forgotten
        # The token may have been wiped when all was shown; it alone reaches a private card, and it is still known here.
        owed["token"] = now.origin.token or told.origin.token
    await tx.execute(update(generations).where(generations.c.id == told.id).values(owed))
    return True


def _replaced_since(now: Generation, attachment_ids: Mapping[int, int]) -> bool:
    """Whether *standing* was on the card before what the rows know: ids grow, and an image that is put up anew has a
    new one (Discord docs: Reference, "Snowflakes")."""
    known = now.attachment_ids
    return any(found < known.get(position, found) for position, found in attachment_ids.items())


async def _set_right(tx: Transaction, image: Image, attachment_ids: Mapping[int, int], now_ms: int) -> bool:
    """Make the row of *image* agree with the card. Whether its image is there no more."""
    if image.state is not State.DELIVERED or image.attachment_id is None:
        return False
    found = attachment_ids.get(image.position)
    if found is None:
        await move(tx, image, State.SUCCEEDED, fence=None, due_at_ms=now_ms)
    elif found != image.attachment_id:
        await update_image(tx, image, fence=None, attachment_id=found)
    return found is None
