"""All that is kept of one person: counted, read out, erased, and purged after a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update

from discord_api.snowflakes import snowflake_at
from generations.model import HELD, MADE, State
from generations.records.tables import callbacks, generations, images, prompt_words, removed_cards
from store.tables import metadata, one_of
from store.transactions import Transaction

ERASED_AT_ONCE = 500  # both databases limit how many values one statement takes

_oldest_first = generations.c.id.asc()
_its_images = images.c.generation_id == generations.c.id
_keeps = exists().where(_its_images, one_of(images.c.state, State.UNDELIVERED))

# Every table with a generation_id; tables that refer to others come first.
_DEPENDENT = [table for table in reversed(metadata.sorted_tables) if "generation_id" in table.c]


@dataclass(frozen=True, slots=True)
class Tally:
    """How much is kept of one person."""

    generations: int  # with their words
    purged: int  # without
    images: int  # that were made


def tally(tx: Transaction, user_id: int) -> Tally:
    """Count what is kept of a person."""
    own = generations.c.user_id == user_id
    counted = select(func.count()).select_from(generations)
    made = select(func.count()).select_from(images).join(generations, _its_images)
    return Tally(
        tx.scalar(counted.where(own, generations.c.prompt != "")) or 0,
        tx.scalar(counted.where(own, generations.c.prompt == "")) or 0,
        tx.scalar(made.where(own, one_of(images.c.state, *sorted(MADE)))) or 0,
    )


def full_rows(tx: Transaction, user_id: int, *, above: int, limit: int) -> list[dict[str, Any]]:
    """Every column of a person's generations, oldest first; each with its images' columns under "images".

    Only those with an id above *above*, the last one that was read.
    """
    page = select(generations).where(generations.c.user_id == user_id, generations.c.id > above)
    rows = [dict(row) for row in tx.execute(page.order_by(_oldest_first).limit(limit)).mappings()]
    by_id: dict[int, dict[str, Any]] = {row["id"]: row | {"images": [], "card_removed_at_ms": None} for row in rows}
    wanted = select(images).where(images.c.generation_id.in_(by_id)).order_by(images.c.position)
    for image in tx.execute(wanted).mappings():
        by_id[image["generation_id"]]["images"].append(dict(image))
    for removed in tx.execute(select(removed_cards).where(removed_cards.c.generation_id.in_(by_id))):
        by_id[removed.generation_id]["card_removed_at_ms"] = removed.removed_at_ms
    return list(by_id.values())


def lock_own(tx: Transaction, user_id: int) -> list[int]:
    """Lock all generations of a person until this transaction ends. Returns their ids."""
    own = select(generations.c.id).where(generations.c.user_id == user_id)
    return list(tx.scalars(own.order_by(_oldest_first).with_for_update()))


def unfinished_count(tx: Transaction, user_id: int) -> int:
    """Count a person's images that wait, are made or are about to be posted, and one for each unpublished revision."""
    own = generations.c.user_id == user_id
    under_way = one_of(images.c.state, *sorted(HELD), State.SUCCEEDED)
    busy = select(func.count()).select_from(images).join(generations, _its_images).where(own, under_way)
    unpublished = generations.c.published_revision < generations.c.revision
    quiet = ~exists().where(_its_images, under_way)
    cards = select(func.count()).select_from(generations).where(own, unpublished, quiet)
    return (tx.scalar(busy) or 0) + (tx.scalar(cards) or 0)


def erase(tx: Transaction, locked_ids: Sequence[int]) -> None:
    """Delete generations and their rows in all dependent tables; claims on them are lost.

    Only these ids are deleted, so a generation that is requested at this moment stays whole.
    """
    for start in range(0, len(locked_ids), ERASED_AT_ONCE):
        ids = locked_ids[start : start + ERASED_AT_ONCE]
        for table in _DEPENDENT:
            tx.execute(delete(table).where(table.c.generation_id.in_(ids)))
        tx.execute(delete(generations).where(generations.c.id.in_(ids)))


def purge(tx: Transaction, *, from_id: int, before_ms: int, limit: int) -> int | None:
    """Delete the words, links, tokens and details of up to *limit* generations older than *before_ms*.

    Those that are not at rest yet are left for later: without its address a kept image could never be posted, so it is
    refunded first (generations.worker.kept_images). Returns the id to go on from; None: there is no more now.
    """
    old = select(generations.c.id, _is_at_rest(before_ms).label("at_rest")).where(
        generations.c.id >= from_id, generations.c.id < max(0, snowflake_at(before_ms)), generations.c.prompt != ""
    )
    rows = tx.execute(old.order_by(_oldest_first).limit(limit).with_for_update()).all()
    ids = [row.id for row in rows if row.at_rest]
    for table in (callbacks, prompt_words):
        tx.execute(delete(table).where(table.c.generation_id.in_(ids)))
    tx.execute(
        update(images)
        .where(images.c.generation_id.in_(ids))
        .values(image_url=None, task_id=None, ending_detail=None, file_name=None)
    )
    tx.execute(update(generations).where(generations.c.id.in_(ids)).values(prompt="", token="", locale=""))
    busy = [row.id for row in rows if not row.at_rest]
    if busy:
        return busy[0]
    return rows[-1].id + 1 if rows else None


def _is_at_rest(now_ms: int) -> ColumnElement[bool]:
    """Whether it is not due, unclaimed, published, and without kept images."""
    lease = generations.c.lease_until_ms
    unclaimed = lease.is_(None) | (lease <= now_ms)
    published = generations.c.published_revision >= generations.c.revision
    return generations.c.due_at_ms.is_(None) & unclaimed & published & ~_keeps
