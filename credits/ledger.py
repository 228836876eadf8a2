"""Move credits: grant, hold, settle, release, refund, take. Knows no images, no Discord and no tiers.

Each method takes the open transaction first, so that credits and state change in one commit. It locks the person's
account before it reads. An entry's id is made from its cause, so the same call twice is one entry and one effect.
Entries are only ever added.

How a refill treats credits that are held meanwhile: docs/decisions/0002-refill-across-a-hold.md. Bonus credits, and
what a person's own allowance changes: docs/decisions/0025-bonus-credits-and-tiers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row

from credits import records
from credits.allowance import Allowance
from credits.errors import InsufficientCredits, UnknownGrant, UnknownHold
from credits.model import (
    Amounts,
    Balance,
    Booking,
    Discrepancy,
    Entitled,
    Entitlement,
    Entry,
    EntryKind,
    bonus_of_holds,
    charge,
    take_up_to,
)
from credits.records import amounts_of, deltas_of
from store.transactions import Transaction

REFILL = "refill"  # the reason of what a new period, or a higher allowance, grants
KEPT = "kept"  # the reason of what stays with a person who leaves
TIER = "tier"  # the reason of what a lower allowance takes
BACK = "back"  # begins the occasion of taking back a grant
RESERVED = tuple(f"{word}:" for word in (REFILL, KEPT, BACK))  # no occasion begins so


class Ledger:
    """Moves all credits. *allowance*: what each account is refilled to, unless its person is entitled to another."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    @property
    def allowance(self) -> Allowance:
        """What each account is refilled to, and when."""
        return self._allowance

    def balance(self, tx: Transaction, user_id: int, now_ms: int, entitled: Entitlement | None = None) -> Balance:
        """Return the person's balance, after the refill that may be due and a change of what they are *entitled* to.

        Without *entitled* the allowance stays as it was at the last call with it.
        """
        return self._balance(self._open_account(tx, user_id, now_ms, entitled), now_ms, entitled)

    def hold(self, tx: Transaction, user_id: int, image_id: str, amount: int, now_ms: int) -> None:
        """Hold *amount* for one image.

        Raises InsufficientCredits, having changed nothing, when less is available.
        """
        self.hold_each(tx, user_id, [image_id], amount, now_ms)

    def hold_each(
        self,
        tx: Transaction,
        user_id: int,
        image_ids: Sequence[str],
        amount: int,
        now_ms: int,
        entitled: Entitlement | None = None,
    ) -> None:
        """Hold *amount* for each of these images, or for none: the allowance first, then bonus. One that has a hold
        keeps it as it is. *entitled* as for balance.

        Raises InsufficientCredits with the price of all, having held nothing, when less is available.
        """
        if amount <= 0:
            raise ValueError(f"a hold of {amount} credits")
        account = self._open_account(tx, user_id, now_ms, entitled)
        known = records.entries_of(tx, image_ids, EntryKind.HOLD)
        new = [image_id for image_id in image_ids if records.entry_id(image_id, EntryKind.HOLD) not in known]
        if not new:
            return
        if amount * len(new) > account.available:
            raise InsufficientCredits(amount * len(new), self._balance(account, now_ms, entitled))
        parts = bonus_of_holds(len(new), amount, amounts_of(account).of_allowance)
        holds = [
            _entry(account, EntryKind.HOLD, image_id, Amounts(-amount, amount, -bonus, bonus), now_ms)
            for image_id, bonus in zip(new, parts, strict=True)
        ]
        records.insert_holds(tx, holds, account.refilled_from_ms)

    def settle(self, tx: Transaction, image_id: str, consumed: int | None, now_ms: int) -> int:
        """Charge what the image consumed (None: all that was held; never more) and give the rest back, bonus first.

        Returns the credits charged, also when an earlier settle did it; 0 after a release.
        """
        past, account = _open_hold(tx, image_id)
        if past.settle is not None:
            return _charged(past.settle).available
        if past.release is not None:
            return 0
        hold = deltas_of(past.hold)
        charged = hold.held if consumed is None else min(max(consumed, 0), hold.held)
        change = charge(hold, charged)
        _write(tx, account, EntryKind.SETTLE, image_id, change, now_ms)
        of_allowance = hold.held_of_allowance - change.of_allowance
        if of_allowance and past.hold.refilled_from_ms != account.refilled_from_ms:
            _make_good(tx, account, past.hold, of_allowance, now_ms)
        return charged

    def release(self, tx: Transaction, image_id: str, now_ms: int) -> int:
        """Give back all that was held.

        Returns the credits returned, also when an earlier release did it; 0 after a settle.
        """
        past, account = _open_hold(tx, image_id)
        hold = deltas_of(past.hold)
        if past.settle is not None:
            return 0
        if past.release is None:
            _write(tx, account, EntryKind.RELEASE, image_id, charge(hold, 0), now_ms)
        return hold.held

    def refund(self, tx: Transaction, image_id: str, now_ms: int) -> int:
        """Give back what a settled image was charged.

        Returns the credits refunded, also when an earlier refund did it; 0 when nothing was charged.
        """
        return self._refund(tx, image_id, "", None, now_ms).amount

    def refund_by_hand(self, tx: Transaction, image_id: str, reason: str, actor_id: int, now_ms: int) -> Booking:
        """Give back what a settled image was charged, unless it was refunded before, by hand or by itself.

        Raises UnknownHold when nothing was ever held for *image_id*.
        """
        return self._refund(tx, image_id, reason, actor_id, now_ms)

    def _refund(self, tx: Transaction, image_id: str, reason: str, actor_id: int | None, now_ms: int) -> Booking:
        past, account = _open_hold(tx, image_id)
        charged = Amounts() if past.settle is None else _charged(past.settle)
        if past.refund is not None or not charged.available:
            number = None if past.refund is None else past.refund.number
            return Booking(number, charged.available, is_new=False, user_id=account.user_id)
        account = self._refilled(tx, account, now_ms, None)  # what is given after midnight comes on top of the refill
        entry = _entry(account, EntryKind.REFUND, image_id, charged, now_ms)
        return _book(tx, account, replace(entry, reason=reason, actor_id=actor_id))

    def grant(
        self, tx: Transaction, user_id: int, amount: int, occasion: str, reason: str, actor_id: int | None, now_ms: int
    ) -> Booking:
        """Give *amount* bonus credits. *occasion* names the one event for which they are given: an interaction's id.

        An occasion that was granted before changes nothing, whoever got the credits.
        """
        _check_by_hand("grant", amount, occasion)
        account = self._open_account(tx, user_id, now_ms, None)
        bonus = Amounts(amount, 0, amount)
        entry = _entry_without_image(user_id, EntryKind.GRANT, occasion, bonus, reason, now_ms)
        return _book(tx, account, replace(entry, actor_id=actor_id))

    def take(
        self, tx: Transaction, user_id: int, amount: int, occasion: str, reason: str, actor_id: int | None, now_ms: int
    ) -> Booking:
        """Take *amount*, or what is available: bonus first, then of the allowance, never what is held.

        *occasion* as for grant. Where nothing is available nothing is booked.
        """
        _check_by_hand("take", amount, occasion)
        account = self._open_account(tx, user_id, now_ms, None)
        return _take(tx, account, take_up_to(amounts_of(account), amount), occasion, reason, actor_id, now_ms)

    def take_back(self, tx: Transaction, number: int, reason: str, actor_id: int | None, now_ms: int) -> Booking:
        """Take back the grant with this *number*, once: as much of it as the person has in bonus that is not held.

        Raises UnknownGrant unless it is a grant by hand.
        """
        granted = records.find_entry_by_number(tx, number)
        is_grant = granted is not None and granted.kind == EntryKind.GRANT and granted.bonus_delta > 0
        if granted is None or not is_grant or granted.id.startswith(f"{EntryKind.GRANT}:{KEPT}:"):
            raise UnknownGrant(number)
        account = self._open_account(tx, granted.user_id, now_ms, None)
        taken = min(granted.bonus_delta, account.bonus)
        return _take(tx, account, Amounts(-taken, 0, -taken), f"{BACK}:{number}", reason, actor_id, now_ms)

    def history(self, tx: Transaction, user_id: int, limit: int, below: int | None = None) -> list[Entry]:
        """The person's newest entries, newest first; with *below* only those of smaller numbers."""
        return records.newest_entries(tx, user_id, limit, below)

    def audit(self, tx: Transaction) -> list[Discrepancy]:
        """Return the accounts whose numbers differ from the sum of their entries. Reads the whole ledger."""
        return records.find_discrepancies(tx)

    def _open_account(self, tx: Transaction, user_id: int, now_ms: int, entitled: Entitlement | None) -> Row[Any]:
        """The person's account, locked, and refilled if a new period has begun since."""
        account = records.lock_account(tx, user_id)
        if account is None:
            self._create_account(tx, user_id, now_ms, entitled)
            account = records.lock_account(tx, user_id)
            assert account is not None  # noqa: S101 (it is there, or another transaction made it)
        return self._refilled(tx, account, now_ms, entitled)

    def _create_account(self, tx: Transaction, user_id: int, now_ms: int, entitled: Entitlement | None) -> None:
        """Insert an account that was refilled for this period, unless it is there."""
        starts_at_ms = self._allowance.window(now_ms).starts_at_ms
        target = Entitled(self._allowance.credits) if entitled is None else entitled(None)
        if records.insert_account(tx, user_id, starts_at_ms, target, now_ms) and target.credits:
            occasion = _refill_id(user_id, starts_at_ms)
            _grant_allowance(tx, user_id, starts_at_ms, target.credits, occasion, now_ms)

    def _refilled(self, tx: Transaction, account: Row[Any], now_ms: int, entitled: Entitlement | None) -> Row[Any]:
        """The account as it is after the refill of a new period, if one has begun, and with the allowance that its
        person is entitled to now. It must be locked."""
        target = self._stored(account) if entitled is None else entitled(account.source)
        starts_at_ms = self._allowance.window(now_ms).starts_at_ms
        # The same period also when the clock or the time zone went backwards.
        if account.refilled_from_ms is None or starts_at_ms > account.refilled_from_ms:
            account = _refill(tx, account, starts_at_ms, target, now_ms)
        return account if entitled is None else self._adjusted(tx, account, target, now_ms)

    def _adjusted(self, tx: Transaction, account: Row[Any], target: Entitled, now_ms: int) -> Row[Any]:
        """Raise or lower what this period was filled to. What is held is not taken: a later call takes the rest."""
        level = self._level(account)
        change = max(target.credits - level, -amounts_of(account).of_allowance)
        if not change and account.source == target.source:
            return account
        if change:
            after = records.newest_number(tx, account.user_id)  # a period may be raised and lowered more than once
            occasion = f"{_refill_id(account.user_id, account.refilled_from_ms)}:after:{after}"
            kind, reason = (EntryKind.GRANT, REFILL) if change > 0 else (EntryKind.TAKE, TIER)
            entry = _entry_without_image(account.user_id, kind, occasion, Amounts(change), reason, now_ms)
            records.insert_entry(tx, entry, account.refilled_from_ms)
        records.set_allowance(tx, account.user_id, level + change, target.source)
        return records.load_account(tx, account.user_id)

    def _level(self, account: Row[Any]) -> int:
        """What this period was filled to."""
        return self._allowance.credits if account.allowance is None else account.allowance

    def _stored(self, account: Row[Any]) -> Entitled:
        """What the account's person was entitled to when that was last asked."""
        if account.source is None:
            return Entitled(self._allowance.credits)
        return Entitled(max(0, self._level(account)), account.source)

    def _balance(self, account: Row[Any], now_ms: int, entitled: Entitlement | None) -> Balance:
        target = self._stored(account) if entitled is None else entitled(account.source)
        refills_at_ms = self._allowance.window(max(now_ms, account.refilled_from_ms)).ends_at_ms
        return Balance(
            account.user_id,
            account.available,
            account.held,
            target.credits,
            refills_at_ms,
            account.bonus,
            account.held_bonus,
        )


@dataclass(frozen=True, slots=True)
class _Past:
    """The ledger's entries about one image."""

    hold: Row[Any]
    settle: Row[Any] | None
    release: Row[Any] | None
    refund: Row[Any] | None


_LATER = (EntryKind.SETTLE, EntryKind.RELEASE, EntryKind.REFUND)


def _open_hold(tx: Transaction, image_id: str) -> tuple[_Past, Row[Any]]:
    """Return the image's entries, and its person's account, locked and not refilled. Raises UnknownHold."""
    account = records.lock_account_of_hold(tx, image_id)
    if account is None:
        raise UnknownHold(image_id)
    found = records.entries_of(tx, [image_id], EntryKind.HOLD, *_LATER)
    hold = found[records.entry_id(image_id, EntryKind.HOLD)]
    return _Past(hold, *(found.get(records.entry_id(image_id, kind)) for kind in _LATER)), account


def _charged(settle: Row[Any]) -> Amounts:
    """Return what a settle charged, as the change that gives it back."""
    deltas = deltas_of(settle)
    return Amounts(-deltas.held - deltas.available, 0, -deltas.held_bonus - deltas.bonus)


def _refill(tx: Transaction, account: Row[Any], starts_at_ms: int, target: Entitled, now_ms: int) -> Row[Any]:
    """Refill what is available and held together of the allowance; if something of it is held, note what was above."""
    numbers = amounts_of(account)
    total = numbers.of_allowance + numbers.held_of_allowance
    missing = target.credits - total
    if numbers.held_of_allowance:
        records.write_refill(tx, account.user_id, starts_at_ms, max(0, -missing))
    else:
        records.forget_refills(tx, account.user_id)
    level = max(total, target.credits)
    account = records.begin_period(tx, account.user_id, starts_at_ms, level, target.source)
    if missing <= 0:
        return account
    occasion = _refill_id(account.user_id, starts_at_ms)
    _grant_allowance(tx, account.user_id, starts_at_ms, missing, occasion, now_ms)
    return records.load_account(tx, account.user_id)


def _make_good(tx: Transaction, account: Row[Any], hold: Row[Any], charged: int, now_ms: int) -> None:
    """Grant what refills since the hold kept back for it, now that its charge of the allowance is known.

    The rest of the charge counts as spent before this period, which was filled to less by so much.
    """
    found = records.load_refills(tx, account.user_id)
    spent = {row.starts_at_ms: charged if row.starts_at_ms > hold.refilled_from_ms else 0 for row in found}
    granted = max([0, *(spent[row.starts_at_ms] - row.surplus for row in found)])
    for row in found:
        surplus = row.surplus - spent[row.starts_at_ms] + granted
        records.change_surplus(tx, account.user_id, row.starts_at_ms, surplus)
    if granted:
        period_ms = account.refilled_from_ms
        occasion = f"{_refill_id(account.user_id, period_ms)}:{hold.image_id}"
        _grant_allowance(tx, account.user_id, period_ms, granted, occasion, now_ms)
    if granted != charged:
        records.change_allowance(tx, account.user_id, granted - charged)


def _grant_allowance(tx: Transaction, user_id: int, starts_at_ms: int, amount: int, occasion: str, now_ms: int) -> None:
    entry = _entry_without_image(user_id, EntryKind.GRANT, occasion, Amounts(amount), REFILL, now_ms)
    records.insert_entry_if_new(tx, entry, starts_at_ms)


def _take(
    tx: Transaction, account: Row[Any], change: Amounts, occasion: str, reason: str, actor_id: int | None, now_ms: int
) -> Booking:
    entry = _entry_without_image(account.user_id, EntryKind.TAKE, occasion, change, reason, now_ms)
    if not change.available and records.find_entry(tx, entry.id) is None:
        return Booking(None, 0, is_new=False, user_id=account.user_id)
    return _book(tx, account, replace(entry, actor_id=actor_id))


def _book(tx: Transaction, account: Row[Any], entry: Entry) -> Booking:
    """Write *entry*, unless one with its id is there, and return the one that is there then."""
    before = records.find_entry(tx, entry.id)
    is_new = before is None and records.insert_entry_if_new(tx, entry, account.refilled_from_ms)
    booked = records.find_entry(tx, entry.id)
    assert booked is not None  # noqa: S101 (this or another transaction wrote it)
    return Booking(booked.number, abs(booked.available_delta), is_new, user_id=booked.user_id)


def _write(tx: Transaction, account: Row[Any], kind: EntryKind, image_id: str, change: Amounts, now_ms: int) -> None:
    records.insert_entry(tx, _entry(account, kind, image_id, change, now_ms), account.refilled_from_ms)


def _entry(account: Row[Any], kind: EntryKind, image_id: str, change: Amounts, now_ms: int) -> Entry:
    entry_id = records.entry_id(image_id, kind)
    return Entry(entry_id, account.user_id, kind, *change[:2], image_id, "", now_ms, *change[2:])


def _entry_without_image(
    user_id: int, kind: EntryKind, occasion: str, change: Amounts, reason: str, now_ms: int
) -> Entry:
    entry_id = f"{kind}:{occasion}"
    return Entry(entry_id, user_id, kind, *change[:2], None, reason, now_ms, *change[2:])


def _refill_id(user_id: int, starts_at_ms: int) -> str:
    return f"{REFILL}:{user_id}:{starts_at_ms}"


def _check_by_hand(what: str, amount: int, occasion: str) -> None:
    """Raise ValueError for an amount or an occasion that can't be booked by hand."""
    if amount <= 0 or occasion.startswith(RESERVED):
        raise ValueError(f"a {what} of {amount} credits for {occasion!r}")
