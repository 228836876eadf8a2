"""Claims on generations: a lease that runs out, and a fence that stops late writes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, case, func, or_, select, update

from generations.model import Generation
from generations.records.rows import lock_generation, needs_token_to_delete, with_images
from generations.records.tables import generations, images
from store.transactions import Transaction

_next_due = select(func.min(images.c.due_at_ms)).where(images.c.generation_id == generations.c.id).scalar_subquery()
# An answer that is late to be confirmed still needs the token: see records.wipe_tokens.
_token_is_useless = _next_due.is_(None) & generations.c.message_id.is_not(None) & ~needs_token_to_delete
_UNCLAIMED: dict[str, Any] = {
    "lease_holder": None,
    "lease_until_ms": None,
    "due_at_ms": _next_due,
    "token": case((_token_is_useless, ""), else_=generations.c.token),
}


def claim_due(tx: Transaction, *, lease_holder: str, now_ms: int, lease_until_ms: int, limit: int) -> list[Generation]:
    """Claim up to *limit* generations that are due and unclaimed, the longest due first, each with a new fence."""
    free = or_(generations.c.lease_until_ms.is_(None), generations.c.lease_until_ms <= now_ms)
    due = (
        select(generations.c.id)
        .where(generations.c.due_at_ms <= now_ms, free)
        .order_by(generations.c.due_at_ms, generations.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(tx.scalars(due))
    if not ids:
        return []
    claimed = tx.execute(
        update(generations)
        .where(generations.c.id.in_(ids))
        .values(fence=generations.c.fence + 1, lease_holder=lease_holder, lease_until_ms=lease_until_ms)
        .returning(generations)
    )
    return with_images(tx, sorted(claimed.mappings(), key=lambda row: ids.index(row["id"])))


def renew(tx: Transaction, generation_id: int, fence: int, lease_until_ms: int) -> bool:
    """Extend a claim. False when another process has it by now, or it was given back."""
    mine = (generations.c.id == generation_id) & (generations.c.fence == fence)
    held = generations.c.lease_until_ms.is_not(None)
    renewed = tx.execute(update(generations).where(mine, held).values(lease_until_ms=lease_until_ms))
    return renewed.rowcount == 1


def release_claim(tx: Transaction, generation_id: int, fence: int, *, retry_publish_at_ms: int | None = None) -> None:
    """Give a claim back and say when the generation is due again, from what its images say now.

    An unpublished revision makes it due at *retry_publish_at_ms*, or at once. When nothing will be due again, the
    interaction's token is deleted, unless it alone can delete a message beside the card. Raises LostClaim.
    """
    row = lock_generation(tx, generation_id, fence)
    changes = _UNCLAIMED
    if row["revision"] > row["published_revision"]:
        publish_at_ms = retry_publish_at_ms or 0
        due_at_ms = case((_next_due < publish_at_ms, _next_due), else_=publish_at_ms)
        changes = {**_UNCLAIMED, "due_at_ms": due_at_ms, "token": generations.c.token}
    tx.execute(update(generations).where(generations.c.id == generation_id).values(changes))


def release_published(tx: Transaction, generation_id: int, fence: int) -> RowMapping | None:
    """Do the same if nothing is to be published, and return the generation's row.

    None, and nothing changed, when something is, or when another process has the claim. The row must be locked.
    """
    released = tx.execute(
        update(generations)
        .where(
            generations.c.id == generation_id,
            generations.c.fence == fence,
            generations.c.revision <= generations.c.published_revision,
        )
        .values(_UNCLAIMED)
        .returning(generations)
    )
    return released.mappings().one_or_none()


def next_due_at_ms(tx: Transaction, now_ms: int) -> int | None:
    """Return when there is something to claim next: a generation falls due, or the lease of a due one runs out."""
    due, lease = generations.c.due_at_ms, generations.c.lease_until_ms
    free = or_(lease.is_(None), lease <= now_ms)
    free_at_ms = tx.scalar(select(due).where(due.is_not(None), free).order_by(due).limit(1))
    leased_at_ms = tx.scalar(
        select(func.min(case((due > lease, due), else_=lease))).where(lease > now_ms, due.is_not(None))
    )
    return min((moment for moment in (free_at_ms, leased_at_ms) if moment is not None), default=None)
