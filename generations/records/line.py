"""The line before the image service: who is admitted next, fair between people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Subquery, func, literal_column, select, tuple_, union_all, update

from generations.model import Line, State
from generations.records.tables import generations, images, is_in_flight, is_waiting
from store.statements import serialize
from store.tables import one_of
from store.transactions import Transaction

LINE = "line"  # the lock for counting and then changing the line: serialize(tx, LINE)


@dataclass(frozen=True, slots=True)
class Demand:
    """One person's images: waiting in line, and in flight."""

    user_id: int
    waiting: int
    in_flight: int


def waiting_count(tx: Transaction) -> int:
    """Count the images that are not admitted."""
    return _count(tx, is_waiting)


def in_flight_count(tx: Transaction) -> int:
    """Count the images that are admitted and have not ended."""
    return _count(tx, is_in_flight)


def running_count(tx: Transaction) -> int:
    """Count the tasks that the service has taken and that are not known to have ended, over all processes."""
    return _count(tx, is_in_flight & one_of(images.c.state, State.RUNNING))


def has_free_slot(tx: Transaction, slots: int) -> bool:
    """Whether one more POST may be made when *slots* tasks may run at once: running, or about to be posted.

    Locks the line until this transaction ends; a caller that gets True moves its image to SUBMITTING in it.
    """
    serialize(tx, LINE)
    return _count(tx, is_in_flight & one_of(images.c.state, State.SUBMITTING, State.RUNNING)) < slots


def held_count(tx: Transaction, user_id: int) -> int:
    """Count the images of one person that credits are held for."""
    own = images.c.user_id == user_id
    return _count(tx, own & is_waiting) + _count(tx, own & is_in_flight)


def demands(tx: Transaction) -> list[Demand]:
    """Return the demand of every person, in no order."""
    one, none = literal_column("1", Integer), literal_column("0", Integer)
    both = union_all(
        select(images.c.user_id, one.label("waiting"), none.label("in_flight")).where(is_waiting),
        select(images.c.user_id, none.label("waiting"), one.label("in_flight")).where(is_in_flight),
    ).subquery()
    summed = select(both.c.user_id, func.sum(both.c.waiting), func.sum(both.c.in_flight)).group_by(both.c.user_id)
    return [Demand(*map(int, row)) for row in tx.execute(summed)]


def admit(tx: Transaction, *, now_ms: int, max_in_flight: int, max_per_user: int) -> list[int]:
    """Admit as many images as may be made at once, and make them due now.

    Only generations whose card Discord has taken; at most *max_per_user* of one person. Everybody's first image comes
    before anybody's second, counting those being made; among equals, first come, first served. Returns the ids of the
    generations.
    """
    if waiting_count(tx) == 0:
        return []
    serialize(tx, LINE)
    free = max_in_flight - in_flight_count(tx)
    if free <= 0:
        return []
    line = _line(generations.c.message_id.is_not(None))
    next_ones = (
        select(line.c.generation_id, line.c.position)
        .where(line.c.turn <= max_per_user)
        .order_by(*_order(line))
        .limit(free)
    )
    chosen = [(row.generation_id, row.position) for row in tx.execute(next_ones)]
    return _admit_chosen(tx, chosen, now_ms)


def line_of(tx: Transaction, generation_id: int, *, max_per_user: int) -> Line | None:
    """Return the place of the generation's first waiting image, in the order of admission; None: none waits."""
    line = _line()
    numbered = select(line, func.row_number().over(order_by=_order(line)).label("number")).subquery()
    mine = select(numbered).where(numbered.c.generation_id == generation_id).order_by(numbered.c.number).limit(1)
    row = tx.execute(mine).one_or_none()
    if row is None:
        return None
    return Line(row.number, row.turn - row.own_place, max_per_user, row.own_place, about_seconds=None)


def _line(*conditions: ColumnElement[bool]) -> Subquery:
    """Select every waiting image, its place among its person's own, and its turn: that place plus those in flight."""
    flying = (
        select(images.c.user_id, func.count().label("images"))
        .where(is_in_flight)
        .group_by(images.c.user_id)
        .subquery("flying")
    )
    own_place = func.row_number().over(
        partition_by=images.c.user_id,
        order_by=(generations.c.created_at_ms, images.c.generation_id, images.c.position),
    )
    return (
        select(
            images.c.generation_id,
            images.c.position,
            generations.c.created_at_ms,
            own_place.label("own_place"),
            (own_place + func.coalesce(flying.c.images, 0)).label("turn"),
        )
        .join(generations, generations.c.id == images.c.generation_id)
        .outerjoin(flying, flying.c.user_id == images.c.user_id)
        .where(is_waiting, *conditions)
        .subquery("line")
    )


def _order(line: Subquery) -> list[ColumnElement[Any]]:
    return [line.c.turn, line.c.created_at_ms, line.c.generation_id, line.c.position]


def _admit_chosen(tx: Transaction, chosen: list[tuple[int, int]], now_ms: int) -> list[int]:
    ids = sorted({generation_id for generation_id, _ in chosen})
    if not ids:
        return []
    tx.execute(select(generations.c.id).where(generations.c.id.in_(ids)).order_by(generations.c.id).with_for_update())
    admitted = tx.scalars(
        update(images)
        .where(tuple_(images.c.generation_id, images.c.position).in_(chosen), is_waiting)
        .values(admitted_at_ms=now_ms, due_at_ms=now_ms)
        .returning(images.c.generation_id)
    )
    ids = sorted(set(admitted))
    tx.execute(update(generations).where(generations.c.id.in_(ids)).values(due_at_ms=now_ms))
    return ids


def _count(tx: Transaction, condition: ColumnElement[bool]) -> int:
    return tx.scalar(select(func.count()).select_from(images).where(condition)) or 0
