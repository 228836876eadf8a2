"""All SQL about accounts and entries that the ledger needs. Each function takes the open transaction first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, insert, or_, select, true, update

from credits.model import Amounts, Discrepancy, Entitled, Entry, EntryKind
from credits.tables import accounts, entries, refills
from store.statements import insert_if_new
from store.transactions import Transaction

_ACCOUNT = select(accounts).where(accounts.c.user_id == bindparam("person"))
_LOCK_ACCOUNT = _ACCOUNT.with_for_update()
_LOCK_ACCOUNT_OF_HOLD = (
    select(accounts)
    .where(
        accounts.c.user_id == select(entries.c.user_id).where(entries.c.id == bindparam("hold_id")).scalar_subquery()
    )
    .with_for_update()
)
_NUMBERS = {  # of an account -> what an entry adds to it
    accounts.c.available: entries.c.available_delta,
    accounts.c.held: entries.c.held_delta,
    accounts.c.bonus: entries.c.bonus_delta,
    accounts.c.held_bonus: entries.c.held_bonus_delta,
}
_MOVE = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"))
    .values({number: number + bindparam(f"of_{number.name}") for number in _NUMBERS})
)
_CHANGE_ALLOWANCE = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"))
    .values(allowance=accounts.c.allowance + bindparam("of_allowance"))
)
_SET_ALLOWANCE = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"))
    .values(allowance=bindparam("level"), source=bindparam("gives"))
)
_BEGIN_PERIOD = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"))
    .values(refilled_from_ms=bindparam("starts_at_ms"), allowance=bindparam("level"), source=bindparam("gives"))
    .returning(accounts)
)
_WRITE_ENTRY = insert(entries)
_ENTRY = select(entries).where(entries.c.id == bindparam("entry_id"))
_NEWEST_NUMBER = select(func.max(entries.c.number)).where(entries.c.user_id == bindparam("person"))
_NEWEST = select(entries).where(entries.c.user_id == bindparam("person")).order_by(entries.c.number.desc())
_ALL = select(entries).order_by(entries.c.number).execution_options(yield_per=1000)
_WRITE_REFILL = insert(refills)
_REFILLS = select(refills).where(refills.c.user_id == bindparam("person"))
_FORGET_REFILLS = delete(refills).where(refills.c.user_id == bindparam("person"))
_FORGET_REFILLS_FROM = _FORGET_REFILLS.where(refills.c.surplus >= bindparam("least"))
_CHANGE_SURPLUS = (
    update(refills)
    .where(refills.c.user_id == bindparam("person"), refills.c.starts_at_ms == bindparam("begun_at_ms"))
    .values(surplus=bindparam("left"))
)
_by_entries = [func.coalesce(func.sum(delta), 0) for delta in _NUMBERS.values()]
_SUMS = (
    select(accounts.c.user_id, *_NUMBERS, *_by_entries)
    .select_from(accounts.outerjoin(entries))
    .group_by(accounts.c.user_id, *_NUMBERS)
    .order_by(accounts.c.user_id)
    .execution_options(yield_per=1000)
)
_SUMS_AFTER = _SUMS.where(accounts.c.user_id.in_(bindparam("people", expanding=True)))
_DIFFERENT = _SUMS.having(or_(*(sum_ != number for number, sum_ in zip(_NUMBERS, _by_entries, strict=True))))


def amounts_of(account: Row[Any]) -> Amounts:
    """Return the numbers of an account's row."""
    return Amounts(account.available, account.held, account.bonus, account.held_bonus)


def deltas_of(entry: Row[Any]) -> Amounts:
    """Return how an entry's row changes its account."""
    return Amounts(entry.available_delta, entry.held_delta, entry.bonus_delta, entry.held_bonus_delta)


def load_account(tx: Transaction, user_id: int) -> Row[Any]:
    """Return the account, which must exist."""
    return tx.execute(_ACCOUNT, {"person": user_id}).one()


def lock_account(tx: Transaction, user_id: int) -> Row[Any] | None:
    """Lock the account until the transaction ends, and return it."""
    return tx.execute(_LOCK_ACCOUNT, {"person": user_id}).one_or_none()


def lock_account_of_hold(tx: Transaction, image_id: str) -> Row[Any] | None:
    """Lock the account that has held credits for an image, and return it."""
    return tx.execute(_LOCK_ACCOUNT_OF_HOLD, {"hold_id": entry_id(image_id, EntryKind.HOLD)}).one_or_none()


def entry_id(image_id: str, kind: EntryKind) -> str:
    """Return the id of an image's entry of one kind."""
    return f"{image_id}:{kind}"


def entries_of(tx: Transaction, image_ids: Sequence[str], *kinds: EntryKind) -> dict[str, Row[Any]]:
    """Return the entries of these images, by id. The account must be locked."""
    ids = [entry_id(image_id, kind) for image_id in image_ids for kind in kinds]
    found = tx.execute(_find_entries(len(ids)), {f"id_{number}": entry_id for number, entry_id in enumerate(ids)})
    return {row.id: row for row in found}


@cache
def _find_entries(count: int) -> Select[Any]:
    return select(entries).where(entries.c.id.in_([bindparam(f"id_{number}") for number in range(count)]))


def find_entry(tx: Transaction, entry_id: str) -> Row[Any] | None:
    """Return the entry with this id."""
    return tx.execute(_ENTRY, {"entry_id": entry_id}).one_or_none()


def find_entry_by_number(tx: Transaction, number: int) -> Row[Any] | None:
    """Return the entry with this number."""
    return tx.execute(select(entries).where(entries.c.number == number)).one_or_none()


def newest_number(tx: Transaction, user_id: int) -> int:
    """Return the number of a person's newest entry; 0: there is none."""
    return tx.execute(_NEWEST_NUMBER, {"person": user_id}).scalar_one() or 0


def newest_entries(tx: Transaction, user_id: int, limit: int, below: int | None = None) -> list[Entry]:
    """Return a person's newest entries, newest first; with *below* only those of smaller numbers."""
    found = _NEWEST if below is None else _NEWEST.where(entries.c.number < below)
    return [_read_entry(row) for row in tx.execute(found.limit(limit), {"person": user_id})]


def all_entries(tx: Transaction) -> Iterator[Entry]:
    """Yield every entry in the order of numbers, as at one moment, with a batch in memory."""
    for row in tx.execute(_ALL):
        yield _read_entry(row)


def insert_entry(tx: Transaction, entry: Entry, refilled_from_ms: int | None) -> None:
    """Write an entry and change its account. *refilled_from_ms*: of the account, now."""
    tx.execute(_WRITE_ENTRY, _columns(entry, refilled_from_ms))
    _move(tx, entry)


def insert_entry_if_new(tx: Transaction, entry: Entry, refilled_from_ms: int | None) -> bool:
    """Write an entry and change its account, unless an entry has this id. Return whether it was written."""
    if not insert_if_new(tx, entries, _columns(entry, refilled_from_ms)):
        return False
    _move(tx, entry)
    return True


def insert_holds(tx: Transaction, holds: Sequence[Entry], refilled_from_ms: int | None) -> None:
    """Write holds of one person, and change the account by one statement."""
    change = Amounts(*(sum(numbers) for numbers in zip(*map(_deltas, holds), strict=True)))
    _move_by(tx, holds[0].user_id, change)
    for hold in holds:
        tx.execute(_WRITE_ENTRY, _columns(hold, refilled_from_ms))


def insert_account(tx: Transaction, user_id: int, starts_at_ms: int, target: Entitled, now_ms: int) -> bool:
    """Open an empty account that is about to be filled to *target*. Return False if it is there."""
    numbers: dict[str, Any] = {"available": 0, "held": 0, "refilled_from_ms": starts_at_ms}
    numbers |= {"allowance": target.credits, "source": target.source}
    return insert_if_new(tx, accounts, {"user_id": user_id, **numbers, "created_at_ms": now_ms})


def begin_period(tx: Transaction, user_id: int, starts_at_ms: int, level: int, source: str | None) -> Row[Any]:
    """Note which period the account is refilled for, and to what. Return the account."""
    new = {"person": user_id, "starts_at_ms": starts_at_ms, "level": level, "gives": source}
    return tx.execute(_BEGIN_PERIOD, new).one()


def set_allowance(tx: Transaction, user_id: int, level: int, source: str | None) -> None:
    """Note what this period was filled to, and what gave that."""
    tx.execute(_SET_ALLOWANCE, {"person": user_id, "level": level, "gives": source})


def change_allowance(tx: Transaction, user_id: int, by: int) -> None:
    """Correct what this period was filled to."""
    tx.execute(_CHANGE_ALLOWANCE, {"person": user_id, "of_allowance": by})


def load_refills(tx: Transaction, user_id: int) -> Sequence[Row[Any]]:
    """Return the refills at which something of the person's allowance was held."""
    return tx.execute(_REFILLS, {"person": user_id}).all()


def write_refill(tx: Transaction, user_id: int, starts_at_ms: int, surplus: int) -> None:
    """Note a refill, and forget those that never grant more than this one: with as much surplus, or more."""
    tx.execute(_FORGET_REFILLS_FROM, {"person": user_id, "least": surplus})
    tx.execute(_WRITE_REFILL, {"user_id": user_id, "starts_at_ms": starts_at_ms, "surplus": surplus})


def forget_refills(tx: Transaction, user_id: int) -> None:
    """Delete what is noted of the person's refills."""
    tx.execute(_FORGET_REFILLS, {"person": user_id})


def change_surplus(tx: Transaction, user_id: int, starts_at_ms: int, surplus: int) -> None:
    """Set the surplus of one refill."""
    tx.execute(_CHANGE_SURPLUS, {"person": user_id, "begun_at_ms": starts_at_ms, "left": surplus})


def account_sums(tx: Transaction) -> Iterator[tuple[int, ...]]:
    """Yield each account by its id: id, its four numbers, and the sums of its entries. Reads the whole ledger."""
    for row in tx.execute(_SUMS):
        yield tuple(map(int, row))


def account_sums_after(tx: Transaction, user_id: int | None, limit: int) -> list[tuple[int, ...]]:
    """Return the next *limit* accounts after this person's, as account_sums(). None: the first ones."""
    newer = accounts.c.user_id > user_id if user_id is not None else true()
    ids = tx.scalars(select(accounts.c.user_id).where(newer).order_by(accounts.c.user_id).limit(limit)).all()
    return [tuple(map(int, row)) for row in tx.execute(_SUMS_AFTER, {"people": ids})] if ids else []


def find_discrepancies(tx: Transaction) -> list[Discrepancy]:
    """Return the accounts whose numbers differ from the sum of their entries. Reads the whole ledger."""
    found = [tuple(map(int, row)) for row in tx.execute(_DIFFERENT)]
    return [Discrepancy(user_id, Amounts(*numbers[:4]), Amounts(*numbers[4:])) for user_id, *numbers in found]


def _move(tx: Transaction, entry: Entry) -> None:
    _move_by(tx, entry.user_id, _deltas(entry))


def _move_by(tx: Transaction, user_id: int, change: Amounts) -> None:
    tx.execute(_MOVE, {"person": user_id} | {f"of_{name}": by for name, by in change._asdict().items()})


def _deltas(entry: Entry) -> Amounts:
    return Amounts(entry.available_delta, entry.held_delta, entry.bonus_delta, entry.held_bonus_delta)


def _columns(entry: Entry, refilled_from_ms: int | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "user_id": entry.user_id,
        "kind": entry.kind.value,
        "available_delta": entry.available_delta,
        "held_delta": entry.held_delta,
        "image_id": entry.image_id,
        "reason": entry.reason,
        "refilled_from_ms": refilled_from_ms,
        "created_at_ms": entry.created_at_ms,
        "bonus_delta": entry.bonus_delta,
        "held_bonus_delta": entry.held_bonus_delta,
        "actor_id": entry.actor_id,
    }


def _read_entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        user_id=row.user_id,
        kind=EntryKind(row.kind),
        available_delta=row.available_delta,
        held_delta=row.held_delta,
        image_id=row.image_id,
        reason=row.reason,
        created_at_ms=row.created_at_ms,
        bonus_delta=row.bonus_delta,
        held_bonus_delta=row.held_bonus_delta,
        actor_id=row.actor_id,
        number=row.number,
    )
