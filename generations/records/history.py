"""The pages of /history, and the claim and card of a generation whose kept images are posted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from generations.model import MADE, Generation, Origin
from generations.records.rows import lock_generation, with_images
from generations.records.tables import generations, images, removed_cards
from store.database import Transaction
from store.tables import one_of

NEWEST_FIRST, OLDEST_FIRST = generations.c.id.desc(), generations.c.id.asc()

_made = exists().where(images.c.generation_id == generations.c.id, one_of(images.c.state, *sorted(MADE)))


async def history(
    tx: Transaction,
    user_id: int,
    *,
    words: Sequence[str],
    older_than: int | None = None,
    newer_than: int | None = None,
    limit: int,
) -> list[Generation]:
    """A person's generations of which something was made and that still have their words, newest first.

    Either the newest before *older_than*, or the ones next after *newer_than*; those whose prompt holds all *words*.
    """
    found = select(generations).where(_listed(user_id, words))
    if newer_than is not None:
        found = found.where(generations.c.id > newer_than).order_by(OLDEST_FIRST)
    elif older_than is not None:
        found = found.where(generations.c.id < older_than).order_by(NEWEST_FIRST)
    else:
        found = found.order_by(NEWEST_FIRST)
    rows = (await tx.execute(found.limit(limit))).mappings().all()
    return await with_images(tx, rows if newer_than is None else reversed(rows))


async def has_listed(
    tx: Transaction,
    user_id: int,
    *,
    words: Sequence[str],
    older_than: int | None = None,
    newer_than: int | None = None,
) -> bool:
    """Whether history() would find anything."""
    found = select(generations.c.id).where(_listed(user_id, words))
    if newer_than is not None:
        found = found.where(generations.c.id > newer_than)
    if older_than is not None:
        found = found.where(generations.c.id < older_than)
    return await tx.scalar(found.limit(1)) is not None


async def removed_among(tx: Transaction, ids: Sequence[int]) -> frozenset[int]:
    """Those of *ids* whose card somebody took away."""
    found = select(removed_cards.c.generation_id).where(removed_cards.c.generation_id.in_(ids))
    return frozenset(await tx.scalars(found))


async def claim_one(
    tx: Transaction, generation_id: int, *, lease_holder: str, now_ms: int, lease_until_ms: int
) -> Generation | None:
    """Take one generation with a new fence, for what is not a worker's step; None: it is not there, or claimed."""
    free = generations.c.lease_until_ms.is_(None) | (generations.c.lease_until_ms <= now_ms)
    claimed = await tx.execute(
        update(generations)
        .where(generations.c.id == generation_id, free)
        .values(fence=generations.c.fence + 1, lease_holder=lease_holder, lease_until_ms=lease_until_ms)
        .returning(generations)
    )
    return next(iter(await with_images(tx, claimed.mappings())), None)


async def set_home(tx: Transaction, generation: Generation, *, message_id: int, home: Origin) -> None:
    """The card stands somewhere else from now on, in the place that *home* names. Raises LostClaim."""
    await lock_generation(tx, generation.id, generation.fence)
    await tx.execute(delete(removed_cards).where(removed_cards.c.generation_id == generation.id))
    await tx.execute(
        update(generations)
        .where(generations.c.id == generation.id)
        .values(
            message_id=message_id,
            channel_id=home.channel_id,
            guild_id=home.guild_id,
            card_channel_id=None,
            bot_in_channel=home.bot_in_channel,
        )
    )


def _listed(user_id: int, words: Sequence[str]) -> ColumnElement[bool]:
    listed = (generations.c.user_id == user_id) & (generations.c.prompt != "") & _made
    for word in words:
        listed = listed & _holds(word)
    return listed


def _holds(word: str) -> ColumnElement[bool]:
    """Whether the prompt holds *word*, in any case. SQLite knows the case of A to Z only, so the usual spellings of
    other letters are asked for one by one."""
    spellings = {word, word.lower(), word.upper(), word.capitalize()}
    return or_(*(generations.c.prompt.icontains(spelling, autoescape=True) for spelling in sorted(spellings)))
