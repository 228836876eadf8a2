"""Move credits: grant, hold, settle, release, refund, and all SQL about them. Knows no images and no Discord.

Each method takes the open transaction first, so that credits and state change in one commit. It locks the person's
account before it reads. An entry's id is made from its cause, so the same call twice is one entry and one effect.
Entries are only ever added.

How a refill treats credits that are held meanwhile: docs/decisions/0002-refill-across-a-hold.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update

from credits.allowance import Allowance
from credits.errors import InsufficientCredits, UnknownHold
from credits.model import Balance, Entry, EntryKind
from credits.tables import accounts, entries, refills
from store.statements import insert_if_new
from store.transactions import Transaction

REFILL = "refill"  # the reason of the grants that a new period makes


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """An account whose numbers differ from the sum of its entries: a fault of the ledger."""

    user_id: int
    available: int
    held: int
    available_by_entries: int
    held_by_entries: int


class Ledger:
    """Moves all credits. *allowance*: what each account is refilled to."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    @property
    def allowance(self) -> Allowance:
        """What each account is refilled to, and when."""
        return self._allowance

    def balance(self, tx: Transaction, user_id: int, now_ms: int) -> Balance:
        """Return the person's balance, after the refill that may be due."""
        return self._balance(self._open_account(tx, user_id, now_ms), now_ms)

    def hold(self, tx: Transaction, user_id: int, image_id: str, amount: int, now_ms: int) -> None:
        """Hold *amount* for one image.

        Raises InsufficientCredits, having changed nothing, when less is available.
        """
        self.hold_each(tx, user_id, [image_id], amount, now_ms)

    def hold_each(self, tx: Transaction, user_id: int, image_ids: Sequence[str], amount: int, now_ms: int) -> None:
        """Hold *amount* for each of these images, or for none. One that has a hold keeps it as it is.

        Raises InsufficientCredits with the price of all, having changed nothing, when less is available.
        """
        if amount <= 0:
            raise ValueError(f"a hold of {amount} credits")
        account = self._open_account(tx, user_id, now_ms)
        known = _entries_of(tx, image_ids, EntryKind.HOLD)
        new = [image_id for image_id in image_ids if _id(image_id, EntryKind.HOLD) not in known]
        price = amount * len(new)
        if not new:
            return
        if not _move(tx, user_id, -price, price):
            raise InsufficientCredits(price, self._balance(account, now_ms))
        for image_id in new:
            _write(tx, account, EntryKind.HOLD, image_id, -amount, amount, now_ms)

    def settle(self, tx: Transaction, image_id: str, consumed: int | None, now_ms: int) -> int:
        """Charge what the image consumed (None: all that was held; never more) and give the rest back.

        Returns the credits charged, also when an earlier settle did it; 0 after a release.
        """
        past, account = self._open_hold(tx, image_id, now_ms)
        if past.settle is not None:
            return _charged(past.settle)
        if past.release is not None:
            return 0
        held: int = past.hold.held_delta
        charged = held if consumed is None else min(max(consumed, 0), held)
        _move(tx, account.user_id, held - charged, -held)
        _write(tx, account, EntryKind.SETTLE, image_id, held - charged, -held, now_ms)
        if past.hold.refilled_from_ms != account.refilled_from_ms:
            self._make_good(tx, account, past.hold, charged, now_ms)
        return charged

    def release(self, tx: Transaction, image_id: str, now_ms: int) -> int:
        """Give back all that was held.

        Returns the credits returned, also when an earlier release did it; 0 after a settle.
        """
        past, account = self._open_hold(tx, image_id, now_ms)
        held: int = past.hold.held_delta
        if past.release is not None:
            return held
        if past.settle is not None:
            return 0
        _move(tx, account.user_id, held, -held)
        _write(tx, account, EntryKind.RELEASE, image_id, held, -held, now_ms)
        return held

    def refund(self, tx: Transaction, image_id: str, now_ms: int) -> int:
        """Give back what a settled image was charged.

        Returns the credits refunded, also when an earlier refund did it; 0 when nothing was charged.
        """
        past, account = self._open_hold(tx, image_id, now_ms)
        charged = 0 if past.settle is None else _charged(past.settle)
        if charged and past.refund is None:
            _move(tx, account.user_id, charged, 0)
            _write(tx, account, EntryKind.REFUND, image_id, charged, 0, now_ms)
        return charged

    def grant(self, tx: Transaction, user_id: int, amount: int, reason_id: str, reason: str, now_ms: int) -> bool:
        """Give *amount* credits; *reason_id* names the one occasion for which they are given.

        False, and nothing changed, when that occasion was granted before. Ids `refill:…` are reserved for refills.
        """
        if amount <= 0 or reason_id.startswith(f"{REFILL}:"):
            raise ValueError(f"a grant of {amount} credits for {reason_id!r}")
        account = self._open_account(tx, user_id, now_ms)
        return _grant(tx, user_id, account.refilled_from_ms, amount, reason_id, reason, now_ms)

    def history(self, tx: Transaction, user_id: int, limit: int) -> list[Entry]:
        """The person's newest entries, newest first."""
        newest = select(entries).where(entries.c.user_id == user_id).order_by(entries.c.number.desc()).limit(limit)
        return [_read_entry(row) for row in tx.execute(newest)]

    def audit(self, tx: Transaction) -> list[Discrepancy]:
        """Return the accounts whose numbers differ from the sum of their entries. Reads the whole ledger."""
        available = func.coalesce(func.sum(entries.c.available_delta), 0)
        held = func.coalesce(func.sum(entries.c.held_delta), 0)
        sums = (
            select(accounts.c.user_id, accounts.c.available, accounts.c.held, available, held)
            .select_from(accounts.outerjoin(entries))
            .group_by(accounts.c.user_id, accounts.c.available, accounts.c.held)
            .having((available != accounts.c.available) | (held != accounts.c.held))
        )
        return [Discrepancy(*map(int, row)) for row in tx.execute(sums)]

    def _open_account(self, tx: Transaction, user_id: int, now_ms: int) -> Row[Any]:
        """The person's account, locked, and refilled if a new period has begun since."""
        account = _lock_account(tx, user_id)
        if account is None:
            self._create_account(tx, user_id, now_ms)
            account = _lock_account(tx, user_id)
            assert account is not None  # noqa: S101 (it is there, or another transaction made it)
        return self._refilled(tx, account, now_ms)

    def _create_account(self, tx: Transaction, user_id: int, now_ms: int) -> None:
        """Insert an account that was refilled for this period, unless it is there."""
        starts_at_ms, amount = self._allowance.window(now_ms).starts_at_ms, self._allowance.credits
        numbers = {"available": 0, "held": 0, "refilled_from_ms": starts_at_ms}
        if insert_if_new(tx, accounts, {"user_id": user_id, **numbers, "created_at_ms": now_ms}) and amount:
            _grant(tx, user_id, starts_at_ms, amount, _refill_id(user_id, starts_at_ms), REFILL, now_ms)

    def _refilled(self, tx: Transaction, account: Row[Any], now_ms: int) -> Row[Any]:
        """The account as it is after the refill of a new period, if one has begun. It must be locked."""
        starts_at_ms = self._allowance.window(now_ms).starts_at_ms
        if account.refilled_from_ms is not None and starts_at_ms <= account.refilled_from_ms:
            return account  # also when the clock or the time zone went backwards
        return self._refill(tx, account, starts_at_ms, now_ms)

    def _refill(self, tx: Transaction, account: Row[Any], starts_at_ms: int, now_ms: int) -> Row[Any]:
        """Refill what is available and held together; if something is held, note what was above the allowance."""
        missing = self._allowance.credits - account.available - account.held
        surplus = max(0, -missing)
        person = {"person": account.user_id}
        if account.held:
            # An older refill with as much surplus or more never grants more than this one.
            tx.execute(_FORGET_REFILLS_FROM, {**person, "least": surplus})
            new = {"user_id": account.user_id, "starts_at_ms": starts_at_ms, "surplus": surplus}
            tx.execute(_WRITE_REFILL, new)
        else:
            tx.execute(_FORGET_REFILLS, person)
        account = tx.execute(_BEGIN_PERIOD, {**person, "starts_at_ms": starts_at_ms}).one()
        if missing <= 0:
            return account
        reason_id = _refill_id(account.user_id, starts_at_ms)
        _grant(tx, account.user_id, starts_at_ms, missing, reason_id, REFILL, now_ms)
        return tx.execute(_ACCOUNT, person).one()

    def _make_good(self, tx: Transaction, account: Row[Any], hold: Row[Any], charged: int, now_ms: int) -> None:
        """Grant what refills since the hold kept back for it, now that its charge is known."""
        own = refills.c.user_id == account.user_id
        found = tx.execute(select(refills).where(own)).all()
        spent = {row.starts_at_ms: charged if row.starts_at_ms > hold.refilled_from_ms else 0 for row in found}
        granted = max([0, *(spent[row.starts_at_ms] - row.surplus for row in found)])
        for row in found:
            surplus = row.surplus - spent[row.starts_at_ms] + granted
            this = own & (refills.c.starts_at_ms == row.starts_at_ms)
            tx.execute(update(refills).where(this).values(surplus=surplus))
        if granted:
            period_ms = account.refilled_from_ms
            reason_id = f"{_refill_id(account.user_id, period_ms)}:{hold.image_id}"
            _grant(tx, account.user_id, period_ms, granted, reason_id, REFILL, now_ms)

    def _open_hold(self, tx: Transaction, image_id: str, now_ms: int) -> tuple[_Past, Row[Any]]:
        """Return the image's entries, and its person's account, locked. Raises UnknownHold."""
        account = tx.execute(_LOCK_ACCOUNT_OF_HOLD, {"hold_id": _id(image_id, EntryKind.HOLD)}).one_or_none()
        if account is None:
            raise UnknownHold(image_id)
        found = _entries_of(tx, [image_id], *_ABOUT_AN_IMAGE)
        past = _Past(found[_id(image_id, EntryKind.HOLD)], *(found.get(_id(image_id, kind)) for kind in _LATER))
        return past, self._refilled(tx, account, now_ms)

    def _balance(self, account: Row[Any], now_ms: int) -> Balance:
        refills_at_ms = self._allowance.window(max(now_ms, account.refilled_from_ms)).ends_at_ms
        return Balance(account.user_id, account.available, account.held, self._allowance.credits, refills_at_ms)


_ACCOUNT = select(accounts).where(accounts.c.user_id == bindparam("person"))
_LOCK_ACCOUNT = _ACCOUNT.with_for_update()
_LOCK_ACCOUNT_OF_HOLD = (
    select(accounts)
    .where(
        accounts.c.user_id == select(entries.c.user_id).where(entries.c.id == bindparam("hold_id")).scalar_subquery()
    )
    .with_for_update()
)
_LATER = (EntryKind.SETTLE, EntryKind.RELEASE, EntryKind.REFUND)
_ABOUT_AN_IMAGE = (EntryKind.HOLD, *_LATER)
_WRITE_ENTRY = insert(entries)
_WRITE_REFILL = insert(refills)
_FORGET_REFILLS = delete(refills).where(refills.c.user_id == bindparam("person"))
_FORGET_REFILLS_FROM = _FORGET_REFILLS.where(refills.c.surplus >= bindparam("least"))
_BEGIN_PERIOD = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"))
    .values(refilled_from_ms=bindparam("starts_at_ms"))
    .returning(accounts)
)
_MOVE = (  # a person who has not that much available is not found
    update(accounts)
    .where(accounts.c.user_id == bindparam("person"), accounts.c.available >= -bindparam("of_available", 0))
    .values(
        available=accounts.c.available + bindparam("of_available", 0), held=accounts.c.held + bindparam("of_held", 0)
    )
)


@dataclass(frozen=True, slots=True)
class _Past:
    """The ledger's entries about one image."""

    hold: Row[Any]
    settle: Row[Any] | None
    release: Row[Any] | None
    refund: Row[Any] | None


def _id(image_id: str, kind: EntryKind) -> str:
    return f"{image_id}:{kind}"


def _charged(settled: Row[Any]) -> int:
    return -settled.held_delta - settled.available_delta


def _lock_account(tx: Transaction, user_id: int) -> Row[Any] | None:
    return tx.execute(_LOCK_ACCOUNT, {"person": user_id}).one_or_none()


def _entries_of(tx: Transaction, image_ids: Sequence[str], *kinds: EntryKind) -> dict[str, Row[Any]]:
    """Return the entries of these images, by id. The account must be locked."""
    ids = [_id(image_id, kind) for image_id in image_ids for kind in kinds]
    found = tx.execute(_find_entries(len(ids)), {f"id_{number}": entry_id for number, entry_id in enumerate(ids)})
    return {row.id: row for row in found}


@cache
def _find_entries(count: int) -> Select[Any]:
    return select(entries).where(entries.c.id.in_([bindparam(f"id_{number}") for number in range(count)]))


def _move(tx: Transaction, user_id: int, available: int, held: int) -> bool:
    """Change both numbers; False, and nothing changed, when the person has not that much available."""
    moved = tx.execute(_MOVE, {"person": user_id, "of_available": available, "of_held": held})
    return moved.rowcount == 1


def _write(
    tx: Transaction, account: Row[Any], kind: EntryKind, image_id: str, available: int, held: int, now_ms: int
) -> None:
    entry = Entry(_id(image_id, kind), account.user_id, kind, available, held, image_id, "", now_ms)
    tx.execute(_WRITE_ENTRY, _columns(entry, account.refilled_from_ms))


def _refill_id(user_id: int, starts_at_ms: int) -> str:
    return f"{REFILL}:{user_id}:{starts_at_ms}"


def _grant(
    tx: Transaction, user_id: int, refilled_from_ms: int, amount: int, reason_id: str, reason: str, now_ms: int
) -> bool:
    entry = Entry(f"grant:{reason_id}", user_id, EntryKind.GRANT, amount, 0, None, reason, now_ms)
    if not insert_if_new(tx, entries, _columns(entry, refilled_from_ms)):
        return False
    return _move(tx, user_id, amount, 0)


def _columns(entry: Entry, refilled_from_ms: int) -> dict[str, Any]:
    """*refilled_from_ms*: of the account, when the entry is written."""
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
    )
