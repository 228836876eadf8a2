"""Give back what an image cost that was paid for and can no longer be posted. Knows rows and the ledger."""

from __future__ import annotations

from credits.ledger import Ledger
from generations import records
from generations.model import Ending, Image, State
from store.database import Transaction

GONE_CHECKS = 3  # so many failed checks of a kept image in a row before a "gone for good" is believed


async def lose(tx: Transaction, ledger: Ledger, image: Image, *, fence: int, now_ms: int) -> int:
    """Call a paid image lost and refund it, in the caller's transaction. Returns the credits refunded.

    Raises LostClaim, having changed nothing.
    """
    await records.move(tx, image, State.FAILED, fence=fence, ending=Ending.IMAGE_LOST)
    return await ledger.refund(tx, image.image_id, now_ms)
