"""The line before the image service: who is admitted next, fair between people and then between servers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Subquery,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from generations.circuit import CLOSED, Circuit, load_circuit
from generations.model import Line, State
from generations.records.circuit import stored_circuit
from generations.records.tables import generations, images, is_due, is_in_flight, is_leased, is_waiting
from store.key_values import load_value, save_value, value_of
from store.statements import is_among, lock_rows, serialize
from store.tables import one_of
from store.transactions import Transaction

LINE = "line"  # the lock for counting and then changing the line: serialize(tx, LINE)
REFRESH = "line-refresh:v1"  # the key of a Refresh, and the lock for changing it
REFRESH_MS = 15_000  # how often a card that waits is edited to its place: at the same moments for all
REFRESHED_AT_ONCE = 2000  # generations


@dataclass(frozen=True, slots=True)
class Demand:
    """The images of all people: waiting in line, in flight, and how many of those that wait no limit of one person
    keeps in line. *circuit*: whether any can be made at all."""

    waiting: int
    in_flight: int
    admissible: int
    circuit: Circuit = CLOSED

    def still_waiting(self, max_in_flight: int) -> int:
        """Return how many would wait after all that can be admitted at once."""
        return self.waiting - min(self.admissible, max(0, max_in_flight - self.in_flight))


@dataclass(frozen=True, slots=True)
class Waiting:
    """One image in line. *own_place*: its place among its person's waiting images, from 1; *own_running*: how many of
    them are being made. *server_place* and *server_running*: the same of its server; *guild_id* None: it has none."""

    generation_id: int
    position: int
    own_place: int
    own_running: int
    server_place: int
    server_running: int
    guild_id: int | None


class Refresh(NamedTuple):
    """The edit of all waiting cards to their places: when it begins or began, and the generation up to which it is
    done. By default one that has no cards."""

    begins_at_ms: int = 0
    done_through_id: int = 0

    def is_due(self, now_ms: int) -> bool:
        """Whether some of its cards can be taken. One that begins much later was written before the clock was set
        back."""
        return not now_ms < self.begins_at_ms <= now_ms + 2 * REFRESH_MS


@dataclass(frozen=True, slots=True)
class DueWork:
    """What there is to do: images in line and in flight; whether something can be claimed now; whether the places of
    those that wait are to be shown; and when the next thing is due (unix milliseconds; None: nothing that is known).
    *circuit*: whether images can be submitted at all.
    """

    waiting: int
    in_flight: int
    is_due: bool
    places_are_due: bool
    next_due_at_ms: int | None
    circuit: Circuit


def _count_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count()).select_from(images).where(condition).scalar_subquery()


_now = bindparam("now_ms", type_=BigInteger)
_due, _lease = generations.c.due_at_ms, generations.c.lease_until_ms
_unleased = _lease.is_(None) | (_lease <= _now)
_first_due = select(func.min(_due)).where(is_due, _unleased).scalar_subquery()
_next_due = select(func.min(_due)).where(_due > _now, _unleased).scalar_subquery()
_next_free = (
    select(func.min(case((_due > _lease, _due), else_=_lease))).where(is_leased, _lease > _now, is_due)
).scalar_subquery()
_OLDEST_DUE = select(func.min(_due)).where(is_due)
_refresh = value_of(REFRESH)
_DUE_WORK = select(
    *(_count_of(is_waiting), _count_of(is_in_flight), _refresh, stored_circuit, _first_due, _next_due, _next_free)
)

_tasks = one_of(images.c.state, State.RUNNING)
_posts_and_tasks = one_of(images.c.state, State.SUBMITTING, State.RUNNING)
_COUNT_IN_FLIGHT = select(_count_of(is_in_flight))
_COUNT_TASKS = select(_count_of(is_in_flight & _tasks))
_COUNT_POSTS_AND_TASKS = select(_count_of(is_in_flight & _posts_and_tasks), stored_circuit)
_unsent = one_of(images.c.state, State.REQUESTED)
_IS_ONE_ADMITTED = select(exists().where(is_in_flight, _unsent))
_IS_ONE_UNSENT = select(
    exists().where(or_(is_in_flight, is_waiting), _unsent, images.c.generation_id != bindparam("but"))
)
_COUNT_HELD = select(
    _count_of(is_waiting & (images.c.user_id == bindparam("user_id")))
    + _count_of(is_in_flight & (images.c.user_id == bindparam("user_id")))
)
_HELD_IMAGES = select(images.c.generation_id, images.c.position).where(is_waiting | is_in_flight)

_one, _none = literal_column("1", Integer), literal_column("0", Integer)
_both = union_all(
    select(images.c.user_id, _one.label("waiting"), _none.label("in_flight")).where(is_waiting),
    select(images.c.user_id, _none.label("waiting"), _one.label("in_flight")).where(is_in_flight),
).subquery()
_each = (
    select(func.sum(_both.c.waiting).label("waiting"), func.sum(_both.c.in_flight).label("in_flight"))
    .group_by(_both.c.user_id)
    .subquery()
)
_most = bindparam("max_per_user", type_=Integer)
_room = case((_each.c.in_flight < _most, _most - _each.c.in_flight), else_=0)
_admissible = case((_each.c.waiting < _room, _each.c.waiting), else_=_room)
_DEMAND = select(
    *(func.coalesce(func.sum(count), 0) for count in (_each.c.waiting, _each.c.in_flight, _admissible)), stored_circuit
)

_chosen_images: BindParameter[Any] = bindparam("chosen", expanding=True)
_moment = bindparam("moment_ms", type_=BigInteger)
_with_ids = is_among(generations.c.id, "ids")
_CHOSEN = select(generations.c.id).where(_with_ids).order_by(generations.c.id).with_for_update()
_ADMIT = (
    update(images)
    .where(tuple_(images.c.generation_id, images.c.position).in_(_chosen_images), is_waiting)
    .values(admitted_at_ms=_moment, due_at_ms=_moment)
    .returning(images.c.generation_id)
)
_MAKE_DUE = update(generations).where(_with_ids).values(due_at_ms=_moment)
_TO_REFRESH = (
    select(generations.c.id)
    .where(
        generations.c.id.in_(select(images.c.generation_id).where(is_waiting)),
        generations.c.id > bindparam("done_through_id", type_=BigInteger),
        generations.c.created_at_ms < bindparam("begins_at_ms", type_=BigInteger),
        generations.c.message_id.is_not(None),
        generations.c.revision <= generations.c.published_revision,
        _due > _now,
        _unleased,
    )
    .order_by(generations.c.id)
    .limit(bindparam("at_most", type_=Integer))
)

_in_time = (generations.c.created_at_ms, images.c.generation_id, images.c.position)
_running = (
    select(images.c.user_id, func.count().label("images")).where(is_in_flight).group_by(images.c.user_id).subquery()
)
_server = func.coalesce(generations.c.guild_id, -images.c.user_id)  # each person's direct messages are one of their own
_serving = (
    select(_server.label("server"), func.count().label("images"))
    .select_from(images)
    .join(generations, generations.c.id == images.c.generation_id)
    .where(is_in_flight)
    .group_by(_server)
    .subquery()
)
_most_of_guild = bindparam("max_per_guild", type_=Integer)


def _ranked(each: Subquery) -> Subquery:
    """Return the rows of _turns with *server_place*, which counts a server's images in the order of their turns."""
    in_turn = (each.c.turn, each.c.created_at_ms, each.c.generation_id, each.c.position)
    return select(
        each, func.row_number().over(partition_by=each.c.server, order_by=in_turn).label("server_place")
    ).subquery()


def _is_above_cap(ranked: Subquery) -> ColumnElement[int]:
    """1 for an image that its server's cap keeps in line, else 0."""
    number = ranked.c.server_place + ranked.c.server_running
    return case(((_most_of_guild > 0) & ranked.c.guild_id.is_not(None) & (number > _most_of_guild), 1), else_=0)


def _order(ranked: Subquery) -> tuple[ColumnElement[Any], ...]:
    """By turn, then by which of its server's images it will be, then by time."""
    number = ranked.c.server_place + ranked.c.server_running
    return (ranked.c.turn, number, ranked.c.created_at_ms, ranked.c.generation_id, ranked.c.position)


_own_place = func.row_number().over(partition_by=images.c.user_id, order_by=_in_time)
_own_running = func.coalesce(_running.c.images, 0)
_turns = (
    select(
        images.c.generation_id,
        images.c.position,
        _own_place.label("own_place"),
        _own_running.label("own_running"),
        (_own_place + _own_running).label("turn"),  # which of its person's images it will be, from 1
        generations.c.created_at_ms,
        generations.c.guild_id,
        _server.label("server"),
        func.coalesce(_serving.c.images, 0).label("server_running"),
    )
    .join(generations, generations.c.id == images.c.generation_id)
    .outerjoin(_running, _running.c.user_id == images.c.user_id)
    .outerjoin(_serving, _serving.c.server == _server)
    .where(is_waiting)
)
_all, _with_card = (_ranked(rows.subquery()) for rows in (_turns, _turns.where(generations.c.message_id.is_not(None))))
_LINE = select(
    *(_all.c.generation_id, _all.c.position, _all.c.own_place, _all.c.own_running),
    *(_all.c.server_place, _all.c.server_running, _all.c.guild_id),
).order_by(_is_above_cap(_all), *_order(_all))
_NEXT_IN_LINE = (
    select(_with_card.c.generation_id, _with_card.c.position)
    .where(_with_card.c.turn <= _most, _is_above_cap(_with_card) == 0)
    .order_by(*_order(_with_card))
    .limit(bindparam("at_most", type_=Integer))
)
_DEMAND_WITH_CAP = select(
    *(_count_of(is_waiting), _count_of(is_in_flight)),
    select(func.count()).select_from(_all).where(_all.c.turn <= _most, _is_above_cap(_all) == 0).scalar_subquery(),
    stored_circuit,
)


def load_due_work(tx: Transaction, now_ms: int) -> DueWork:
    """Count what waits and what is in flight, and find out what is due, by one statement."""
    waiting, in_flight, stored, circuit, first, *later = tx.execute(_DUE_WORK, {"now_ms": now_ms}).one()
    refresh = _parse_refresh(stored)
    places_are_due = refresh.is_due(now_ms)
    if waiting and not places_are_due:
        later.append(refresh.begins_at_ms)
    next_due_at_ms = min((moment for moment in later if moment is not None), default=None)
    is_due = first is not None and first <= now_ms
    return DueWork(waiting, in_flight, is_due, places_are_due, next_due_at_ms, load_circuit(circuit))


def oldest_due_ms(tx: Transaction) -> int | None:
    """Return since or from when the generation that is due first is due, claimed or not. None: none is due."""
    return tx.execute(_OLDEST_DUE).scalar_one()


def in_flight_count(tx: Transaction) -> int:
    """Count the images that are admitted and have not ended."""
    return tx.execute(_COUNT_IN_FLIGHT).scalar_one()


def running_count(tx: Transaction) -> int:
    """Count the tasks that the service has taken and that are not known to have ended, over all processes."""
    return tx.execute(_COUNT_TASKS).scalar_one()


def lock_line(tx: Transaction) -> tuple[int, Circuit]:
    """Lock the line until this transaction ends. Return how many tasks run or are about to be posted, and the circuit.

    Whoever makes one more POST moves its image to SUBMITTING in the same transaction. Call it before a row is locked.
    """
    serialize(tx, LINE)
    count, circuit = tx.execute(_COUNT_POSTS_AND_TASKS).one()
    return count, load_circuit(circuit)


def is_one_unsent(tx: Transaction, *, but: int) -> bool:
    """Whether any image waits to be submitted that is not of the generation *but*."""
    return bool(tx.scalar(_IS_ONE_UNSENT, {"but": but}))


def held_count(tx: Transaction, user_id: int) -> int:
    """Count the images of one person that credits are held for."""
    return tx.execute(_COUNT_HELD, {"user_id": user_id}).scalar_one()


def held_image_ids(tx: Transaction) -> set[str]:
    """Return the ids of all images that credits are held for."""
    return {f"{generation_id}-{position}" for generation_id, position in tx.execute(_HELD_IMAGES)}


def load_demand(tx: Transaction, max_per_user: int, max_per_guild: int = 0) -> Demand:
    """Count what waits and what is in flight. *max_per_user*: images of one person in flight at once; *max_per_guild*:
    of one server, 0: any number."""
    if max_per_guild:
        found = tx.execute(_DEMAND_WITH_CAP, {"max_per_user": max_per_user, "max_per_guild": max_per_guild})
    else:
        found = tx.execute(_DEMAND, {"max_per_user": max_per_user})
    counted: tuple[Any, ...] = tuple(found.one())
    waiting, in_flight, admissible, circuit = counted
    return Demand(int(waiting), int(in_flight), int(admissible), load_circuit(circuit))


def load_line(tx: Transaction, max_per_guild: int = 0) -> list[Waiting]:
    """Return every waiting image in the order of admission.

    Everybody's first image comes before anybody's second, then any server's first before another's second, both
    counting those being made; among equals, first come, first served. What *max_per_guild* (0: none) keeps in line
    comes last.
    """
    return [Waiting(*row) for row in tx.execute(_LINE, {"max_per_guild": max_per_guild})]


def places_in(line: Sequence[Waiting], *, max_per_user: int, max_per_guild: int = 0) -> dict[int, Line]:
    """Return the place of each generation's first waiting image, by the generation's id. Pure."""
    places: dict[int, Line] = {}
    for number, image in enumerate(line, 1):
        if image.generation_id not in places:
            place = Line(number, image.own_running, max_per_user, image.own_place, about_seconds=None)
            if image.guild_id is not None and 0 < max_per_guild <= image.server_running:
                place = replace(place, server_running=image.server_running, server_position=image.server_place)
            places[image.generation_id] = place
    return places


def admit(
    tx: Transaction,
    *,
    now_ms: int,
    max_in_flight: int,
    max_per_user: int,
    max_per_guild: int = 0,
    only_probe: bool = False,
) -> list[int]:
    """Admit as many images as may be made at once, in the order of load_line(), and make them due now.

    Only generations whose card Discord has taken; at most *max_per_user* of one person and *max_per_guild* (0: any
    number) of one server. *only_probe*: one image, and none while another one that was admitted is not sent. Returns
    the ids of the generations.
    """
    serialize(tx, LINE)
    free = max_in_flight - in_flight_count(tx)
    if free <= 0 or (only_probe and tx.scalar(_IS_ONE_ADMITTED)):
        return []
    free = 1 if only_probe else free
    key = {"max_per_user": max_per_user, "max_per_guild": max_per_guild, "at_most": free}
    chosen = tx.execute(_NEXT_IN_LINE, key).all()
    return _admit_chosen(tx, [(generation_id, position) for generation_id, position in chosen], now_ms)


def next_refresh_ms(now_ms: int) -> int:
    """Return when cards that wait are edited next. Pure."""
    return (now_ms // REFRESH_MS + 1) * REFRESH_MS


def take_line_refresh(tx: Transaction, now_ms: int, *, limit: int = REFRESHED_AT_ONCE) -> list[int]:
    """Return up to *limit* generations whose place in line is due to be shown, each to one process only.

    Only published ones that are older than this refresh, and neither claimed nor due: those are shown by their steps.
    """
    serialize(tx, REFRESH)
    refresh = _parse_refresh(load_value(tx, REFRESH))
    if not refresh.is_due(now_ms):
        return []
    ids = tx.scalars(_TO_REFRESH, {**refresh._asdict(), "now_ms": now_ms, "at_most": limit}).all()
    done = len(ids) < limit
    left = Refresh(next_refresh_ms(now_ms)) if done else refresh._replace(done_through_id=ids[-1])
    save_value(tx, REFRESH, f"{left.begins_at_ms} {left.done_through_id}")
    return list(ids)


def _parse_refresh(stored: str | None) -> Refresh:
    return Refresh(*map(int, (stored or "").split()))


def _admit_chosen(tx: Transaction, chosen: Collection[tuple[int, int]], now_ms: int) -> list[int]:
    ids = sorted({generation_id for generation_id, _ in chosen})
    if not ids:
        return []
    lock_rows(tx, _CHOSEN, {"ids": ids})
    ids = sorted(set(tx.scalars(_ADMIT, {"chosen": chosen, "moment_ms": now_ms})))
    tx.execute(_MAKE_DUE, {"ids": ids, "moment_ms": now_ms})
    return ids
