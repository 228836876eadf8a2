"""Export a person's account, and anonymise it when they leave. Knows no images and no Discord.

Leaving brings no new credits: what a person has stays under their id, as a few numbers, until it is no more than a new
account gets (docs/decisions/0012-leaving.md). Each function takes the open transaction first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, String, case, cast, delete, func, insert, literal, select, update

from credits.ledger import KEPT, REFILL, TIER, Ledger
from credits.model import Balance, EntryKind
from credits.tables import accounts, entries, refills
from store.transactions import Transaction

DAY_MS = 86_400_000
_KEPT_IDS = f"grant:{KEPT}:"


@dataclass(frozen=True, slots=True)
class Nobody:
    """The account that takes over the entries of somebody who left: a random *number* below zero."""

    number: int
    kept_as: str  # another random id, for what stays with the person


def has_account(tx: Transaction, user_id: int) -> bool:
    """Whether the person has an account. Ledger.balance would create one."""
    return tx.scalar(select(accounts.c.user_id).where(accounts.c.user_id == user_id)) is not None


def entry_count(tx: Transaction, user_id: int) -> int:
    """Count the ledger's entries of a person."""
    return tx.scalar(select(func.count()).select_from(entries).where(entries.c.user_id == user_id)) or 0


def entry_rows(tx: Transaction, user_id: int, *, above: int, limit: int) -> list[dict[str, Any]]:
    """Return a person's entries, oldest first, every column but who gave or took; only numbers above *above*, the last
    one that was read."""
    columns = [column for column in entries.c if column is not entries.c.actor_id]
    page = select(*columns).where(entries.c.user_id == user_id, entries.c.number > above)
    return [dict(row) for row in tx.execute(page.order_by(entries.c.number).limit(limit)).mappings()]


def account_row(tx: Transaction, user_id: int) -> dict[str, Any] | None:
    """Return a person's account as in the table, without a refill that may be due."""
    row = tx.execute(select(accounts).where(accounts.c.user_id == user_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def leave(tx: Transaction, ledger: Ledger, user_id: int, nobody: Nobody, now_ms: int) -> int | None:
    """Move every entry of a person to *nobody*; what is available stays with the person, as one grant, bonus as bonus.

    Returns what stayed, or None, having changed nothing, while credits are held. The account must exist.
    """
    balance = ledger.balance(tx, user_id, now_ms)  # locks it, and refills it if that was due
    if balance.held:
        return None
    _hand_over(tx, user_id, nobody, balance.available, balance.bonus, now_ms)
    if balance.available:
        _spend_all(tx, nobody, balance, now_ms)
        tx.execute(insert(entries).values(_kept(tx, nobody, balance, now_ms)))
    fresh = update(accounts).where(accounts.c.user_id == user_id)
    tx.execute(fresh.values(created_at_ms=now_ms, source=None))  # it may name a server and a role
    return balance.available


def came_back(tx: Transaction, user_id: int) -> bool:
    """Whether a person who left has any entry but the grant that was kept for them. Locks their account."""
    tx.execute(select(accounts.c.user_id).where(accounts.c.user_id == user_id).with_for_update())
    anew = select(entries.c.number).where(entries.c.user_id == user_id, ~entries.c.id.startswith(_KEPT_IDS))
    return tx.scalar(anew.limit(1)) is not None


def forget(tx: Transaction, ledger: Ledger, user_id: int, nobody: Nobody, now_ms: int) -> bool:
    """Delete what was kept for somebody who left, if a new account would get as much.

    False, and nothing changed, before the next period, above the allowance, and while there is bonus.
    """
    account = account_row(tx, user_id)
    if account is None:
        return True
    allowance = ledger.allowance
    begun = allowance.window(now_ms).starts_at_ms
    is_more = account["available"] > allowance.credits or account["bonus"]
    if account["held"] or is_more or begun <= account["refilled_from_ms"]:
        return False
    _hand_over(tx, user_id, nobody, account["available"], 0, now_ms)
    tx.execute(delete(accounts).where(accounts.c.user_id == user_id))
    return True


def _hand_over(tx: Transaction, user_id: int, nobody: Nobody, available: int, bonus: int, now_ms: int) -> None:
    """Move the entries: amounts stay; person, images and time of day are deleted. The ids of what was given and taken
    by hand stay, so that nothing is booked twice, and so does who did it, unless that was the person."""
    today = now_ms - now_ms % DAY_MS
    tx.execute(delete(refills).where(refills.c.user_id == user_id))
    new = {"user_id": nobody.number, "available": available, "held": 0, "bonus": bonus, "created_at_ms": today}
    tx.execute(insert(accounts).values(new))
    own = entries.c.user_id == user_id
    holds = entries.alias("holds")
    hold = select(holds.c.number).where(holds.c.id == entries.c.image_id + f":{EntryKind.HOLD.value}").scalar_subquery()
    prefix = literal(f"erased{nobody.number}-")
    images = prefix + cast(func.coalesce(hold, entries.c.number), String)
    tx.execute(update(entries).where(own, entries.c.image_id.is_not(None)).values(image_id=images))
    is_refill = entries.c.id.startswith(f"{EntryKind.GRANT}:{REFILL}:")
    is_lowered = entries.c.id.startswith(f"{EntryKind.TAKE}:{REFILL}:")
    is_own = is_refill | is_lowered | entries.c.id.startswith(_KEPT_IDS)
    is_by_hand = entries.c.image_id.is_(None) & ~is_own
    tx.execute(
        update(entries)
        .where(own)
        .values(
            user_id=nobody.number,
            id=case((is_by_hand, entries.c.id), else_=prefix + cast(entries.c.number, String)),
            reason=case((is_refill, REFILL), (is_lowered, TIER), else_=""),
            actor_id=func.nullif(entries.c.actor_id, user_id),
            created_at_ms=entries.c.created_at_ms - entries.c.created_at_ms % literal(DAY_MS, BigInteger),
        )
    )


def _spend_all(tx: Transaction, nobody: Nobody, stays: Balance, now_ms: int) -> None:
    """Take what stays with the person from the account of nobody, so that the sum over all accounts stays the same."""
    image_id = f"erased{nobody.number}-{KEPT}"
    shared = {
        "user_id": nobody.number,
        "image_id": image_id,
        "reason": KEPT,
        "created_at_ms": now_ms - now_ms % DAY_MS,
    }
    for kind, available, held in ((EntryKind.HOLD, -1, 1), (EntryKind.SETTLE, 0, -1)):
        moved = {
            "id": f"{image_id}:{kind.value}",
            "kind": kind.value,
            "available_delta": available * stays.available,
            "held_delta": held * stays.available,
            "bonus_delta": available * stays.bonus,
            "held_bonus_delta": held * stays.bonus,
        }
        tx.execute(insert(entries).values(shared | moved))
    tx.execute(update(accounts).where(accounts.c.user_id == nobody.number).values(available=0, bonus=0))


def _kept(tx: Transaction, nobody: Nobody, stays: Balance, now_ms: int) -> dict[str, Any]:
    refilled_from_ms = tx.scalar(select(accounts.c.refilled_from_ms).where(accounts.c.user_id == stays.user_id))
    return {
        "id": f"{_KEPT_IDS}{nobody.kept_as}",
        "user_id": stays.user_id,
        "kind": EntryKind.GRANT.value,
        "available_delta": stays.available,
        "held_delta": 0,
        "bonus_delta": stays.bonus,
        "image_id": None,
        "reason": KEPT,
        "refilled_from_ms": refilled_from_ms,
        "created_at_ms": now_ms,
    }
