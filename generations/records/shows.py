"""Whether what is about to be shown is still true, and the second show that an overtaken one makes necessary."""

from __future__ import annotations

from sqlalchemy import select, update

from store.database import Transaction
from store.tables import generations


async def fence_of(tx: Transaction, generation_id: int) -> int | None:
    """The number of the newest claim; None for a generation that is not there."""
    return await tx.scalar(select(generations.c.fence).where(generations.c.id == generation_id))


async def show_again(tx: Transaction, generation_id: int, revision: int, now_ms: int) -> bool:
    """Owe the card its news once more, if there are any that *revision* does not know. Whether there are."""
    newer = (generations.c.id == generation_id) & (generations.c.revision > revision)
    owed = {"revision": generations.c.revision + 1, "due_at_ms": now_ms}
    changed = await tx.execute(update(generations).where(newer).values(owed))
    return changed.rowcount == 1
