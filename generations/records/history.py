"""The pages of /history, and the claim and card of a generation whose kept images are posted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from generations.model import MADE, Generation, Origin
from generations.records.rows import lock_generation, with_images
from generations.records.tables import generations, images, removed_cards
from store.tables import one_of
from store.transactions import Transaction

NEWEST_FIRST, OLDEST_FIRST = generations.c.id.desc(), generations.c.id.asc()

_made = exists().where(images.c.generation_id == generations.c.id, one_of(images.c.state, *sorted(MADE)))


def history(
    tx: Transaction,
    user_id: int,
    *,
    words: Sequence[str],
    older_than: int | None = None,
    newer_than: int | None = None,
    limit: int,
) -> list[Generation]:
    """Return a person's generations with a finished image and their words, newest first.

    Either the newest before *older_than*, or the next after *newer_than*; only those whose prompt has all *words*.
    """
    found = select(generations).where(_listed(user_id, words))
    if newer_than is not None:
        found = found.where(generations.c.id > newer_than).order_by(OLDEST_FIRST)
    elif older_than is not None:
        found = found.where(generations.c.id < older_than).order_by(NEWEST_FIRST)
    else:
        found = found.order_by(NEWEST_FIRST)
    rows = tx.execute(found.limit(limit)).mappings().all()
    return with_images(tx, rows if newer_than is None else reversed(rows))


def has_listed(
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
    return tx.scalar(found.limit(1)) is not None


def removed_among(tx: Transaction, ids: Sequence[int]) -> frozenset[int]:
    """Return those of *ids* whose card was removed."""
    found = select(removed_cards.c.generation_id).where(removed_cards.c.generation_id.in_(ids))
    return frozenset(tx.scalars(found))


def claim_one(
    tx: Transaction, generation_id: int, *, lease_holder: str, now_ms: int, lease_until_ms: int
) -> Generation | None:
    """Claim one generation with a new fence, outside of the worker; None: it does not exist, or is claimed."""
    free = generations.c.lease_until_ms.is_(None) | (generations.c.lease_until_ms <= now_ms)
    claimed = tx.execute(
        update(generations)
        .where(generations.c.id == generation_id, free)
        .values(fence=generations.c.fence + 1, lease_holder=lease_holder, lease_until_ms=lease_until_ms)
        .returning(generations)
    )
    return next(iter(with_images(tx, claimed.mappings())), None)


def set_home(tx: Transaction, generation: Generation, *, message_id: int, home: Origin) -> None:
    """Note that the card is now in the place that *home* names. Raises LostClaim."""
    lock_generation(tx, generation.id, generation.fence)
    tx.execute(delete(removed_cards).where(removed_cards.c.generation_id == generation.id))
    tx.execute(
        update(generations)
        .where(generations.c.id == generation.id)
        .values(
            message_id=message_id,
            channel_id=home.channel_id,
            guild_id=home.guild_id,
            card_channel_id=None,
            bot_in_channel=home.bot_in_channel,
            follow_up_begun_at_ms=None,
        )
    )


def _listed(user_id: int, words: Sequence[str]) -> ColumnElement[bool]:
    listed = (generations.c.user_id == user_id) & (generations.c.prompt != "") & _made
    for word in words:
        listed = listed & _holds(word)
    return listed


def _holds(word: str) -> ColumnElement[bool]:
    """Whether the prompt holds *word*, in any case. SQLite ignores the case of A to Z only, so the usual
    spellings of other letters are matched one by one."""
    spellings = {word, word.lower(), word.upper(), word.capitalize()}
    return or_(*(generations.c.prompt.icontains(spelling, autoescape=True) for spelling in sorted(spellings)))
