"""Claims on generations: a lease that runs out, and a fence that stops late writes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, RowMapping, bindparam, case, func, or_, select, update

from generations.model import Generation
from generations.records.rows import lock_generation, needs_token_to_delete, with_images
from generations.records.tables import generations, images, is_due, is_leased
from store.transactions import Transaction

_next_due = select(func.min(images.c.due_at_ms)).where(images.c.generation_id == generations.c.id).scalar_subquery()
# An answer that is late to be confirmed still needs the token: see records.wipe_tokens.
_token_is_useless = _next_due.is_(None) & generations.c.message_id.is_not(None) & ~needs_token_to_delete
_publish_at_ms = bindparam("publish_at_ms", type_=BigInteger)
_this = update(generations).where(generations.c.id == bindparam("of_generation"))
_unclaimed: dict[str, Any] = {
    "lease_holder": None,
    "lease_until_ms": None,
    "due_at_ms": _next_due,
    "token": case((_token_is_useless, ""), else_=generations.c.token),
}
_RELEASE = _this.values(_unclaimed)
_RELEASE_UNPUBLISHED = _this.values(
    lease_holder=None,
    lease_until_ms=None,
    due_at_ms=case((_next_due < _publish_at_ms, _next_due), else_=_publish_at_ms),
)
_RELEASE_PUBLISHED = (
    _this.where(
        generations.c.fence == bindparam("of_fence"), generations.c.revision <= generations.c.published_revision
    )
    .values(_unclaimed)
    .returning(generations)
)
_now = bindparam("now_ms", type_=BigInteger)
_due_and_free = (  # in a CTE: PostgreSQL might run a subquery with a limit more than once
    select(generations.c.id)
    .where(
        is_due,
        generations.c.due_at_ms <= _now,
        or_(generations.c.lease_until_ms.is_(None), generations.c.lease_until_ms <= _now),
    )
    .order_by(generations.c.due_at_ms, generations.c.id)
    .limit(bindparam("at_most", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due_and_free")
)
_CLAIM_DUE = (
    update(generations)
    .where(generations.c.id.in_(select(_due_and_free.c.id)))
    .values(
        fence=generations.c.fence + 1,
        lease_holder=bindparam("new_lease_holder"),
        lease_until_ms=bindparam("new_lease_until_ms"),
    )
    .returning(generations)
)
_LATE = select(generations.c.id).where(
    is_leased, is_due, generations.c.due_at_ms <= _now, generations.c.lease_until_ms <= _now
)


def load_late(tx: Transaction, now_ms: int) -> set[int]:
    """Return the generations that are due and whose lease ran out, because their process died or was too slow."""
    return set(tx.scalars(_LATE, {"now_ms": now_ms}))


def claim_due(tx: Transaction, *, lease_holder: str, now_ms: int, lease_until_ms: int, limit: int) -> list[Generation]:
    """Claim up to *limit* generations that are due and unclaimed, the longest due first, each with a new fence."""
    key = {"now_ms": now_ms, "new_lease_holder": lease_holder, "new_lease_until_ms": lease_until_ms, "at_most": limit}
    claimed = tx.execute(_CLAIM_DUE, key).mappings().all()
    return with_images(tx, sorted(claimed, key=lambda row: (row["due_at_ms"], row["id"])))


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
    release_locked(tx, lock_generation(tx, generation_id, fence), retry_publish_at_ms=retry_publish_at_ms)


def release_locked(tx: Transaction, row: RowMapping, *, retry_publish_at_ms: int | None = None) -> None:
    """Do the same for the *row* of a generation that this transaction has locked with the claim's fence."""
    if row["revision"] > row["published_revision"]:
        tx.execute(_RELEASE_UNPUBLISHED, {"of_generation": row["id"], "publish_at_ms": retry_publish_at_ms or 0})
    else:
        tx.execute(_RELEASE, {"of_generation": row["id"]})


def release_published(tx: Transaction, generation_id: int, fence: int) -> RowMapping | None:
    """Do the same if nothing is to be published, and return the generation's row.

    None, and nothing changed, when something is, or when another process has the claim. The row must be locked.
    """
    released = tx.execute(_RELEASE_PUBLISHED, {"of_generation": generation_id, "of_fence": fence})
    return released.mappings().one_or_none()
