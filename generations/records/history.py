"""The pages of /history, and the claim and card of a generation whose kept images are posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVarTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    select,
    update,
)

from discord_api.snowflakes import ID_MAX
from generations.model import MADE, Generation, Origin
from generations.records.rows import lock_generation, with_images
from generations.records.tables import generations, images, removed_cards
from reports.tables import reports
from store.tables import one_of
from store.transactions import Transaction

Columns = TypeVarTuple("Columns")

made = exists().where(images.c.generation_id == generations.c.id, one_of(images.c.state, *sorted(MADE)))
# Whether its own person has reported it, and so does not see it any more.
hidden = exists().where(reports.c.reporter_id == generations.c.user_id, reports.c.image_of == generations.c.id)


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a page begins: after *id*, on its older or its newer side."""

    id: int
    is_older: bool = True


NEWEST = Edge(ID_MAX)  # no id is higher


def listed(tx: Transaction, user_id: int, edge: Edge, limit: int) -> list[int]:
    """Return the ids of a person's generations with a finished image, the nearest to *edge* first."""
    return list(tx.scalars(_listed(edge.is_older), {"user_id": user_id, "edge": edge.id, "size": limit}))


def nearest_first(
    found: Select[*Columns], column: Column[int], order: ColumnElement[int], *, is_older: bool
) -> Select[*Columns]:
    """Select what lies beyond :edge in *column*, at most :size rows."""
    edge = bindparam("edge", type_=BigInteger)
    beyond = found.where(column < edge if is_older else column > edge)
    return beyond.order_by(order.desc() if is_older else order.asc()).limit(bindparam("size", type_=Integer))


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


@cache
def _listed(is_older: bool) -> Select[int]:
    own = select(generations.c.id).where(generations.c.user_id == bindparam("user_id"), generations.c.prompt != "")
    return nearest_first(own.where(made, ~hidden), generations.c.id, generations.c.id, is_older=is_older)
