"""Export a person's account, and anonymise it when they leave. Knows no images and no Discord.

Leaving brings no new credits: what a person has stays under their id, as two numbers, until it is no more than a new
account gets (docs/decisions/0012-leaving.md). Each function takes the open transaction first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, String, case, cast, delete, func, insert, literal, select, update

from credits.ledger import REFILL, Ledger
from credits.model import EntryKind
from credits.tables import accounts, entries, refills
from store.transactions import Transaction

DAY_MS = 86_400_000
KEPT = "kept"  # the reason of the grant that replaces all earlier entries
_KEPT_IDS = f"grant:{KEPT}:"
_SUMS = (
    select(
        *(accounts.c.user_id, accounts.c.available, accounts.c.held),
        func.coalesce(func.sum(entries.c.available_delta), 0),
        func.coalesce(func.sum(entries.c.held_delta), 0),
    )
    .select_from(accounts.outerjoin(entries))
    .group_by(accounts.c.user_id, accounts.c.available, accounts.c.held)
    .order_by(accounts.c.user_id)
    .execution_options(yield_per=1000)
)


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


def account_sums(tx: Transaction) -> Iterator[tuple[int, ...]]:
    """Yield each account by its id: id, available, held, and the sums of its entries. Reads the whole ledger."""
    for row in tx.execute(_SUMS):
        yield tuple(map(int, row))


def entry_rows(tx: Transaction, user_id: int, *, above: int, limit: int) -> list[dict[str, Any]]:
    """Return a person's entries, oldest first, every column; only numbers above *above*, the last one that was read."""
    page = select(entries).where(entries.c.user_id == user_id, entries.c.number > above)
    return [dict(row) for row in tx.execute(page.order_by(entries.c.number).limit(limit)).mappings()]


def account_row(tx: Transaction, user_id: int) -> dict[str, Any] | None:
    """Return a person's account as in the table, without a refill that may be due."""
    row = tx.execute(select(accounts).where(accounts.c.user_id == user_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def leave(tx: Transaction, ledger: Ledger, user_id: int, nobody: Nobody, now_ms: int) -> int | None:
    """Move every entry of a person to *nobody*; what is available stays with the person, as one grant.

    Returns what stayed, or None, having changed nothing, while credits are held. The account must exist.
    """
    balance = ledger.balance(tx, user_id, now_ms)  # locks it, and refills it if that was due
    if balance.held:
        return None
    _hand_over(tx, user_id, nobody, balance.available, now_ms)
    if balance.available:
        _spend_all(tx, nobody, balance.available, now_ms)
        tx.execute(insert(entries).values(_kept(tx, user_id, nobody, balance.available, now_ms)))
    fresh = update(accounts).where(accounts.c.user_id == user_id)
    tx.execute(fresh.values(created_at_ms=now_ms))
    return balance.available


def came_back(tx: Transaction, user_id: int) -> bool:
    """Whether a person who left has any entry but the grant that was kept for them. Locks their account."""
    tx.execute(select(accounts.c.user_id).where(accounts.c.user_id == user_id).with_for_update())
    anew = select(entries.c.number).where(entries.c.user_id == user_id, ~entries.c.id.startswith(_KEPT_IDS))
    return tx.scalar(anew.limit(1)) is not None


def forget(tx: Transaction, ledger: Ledger, user_id: int, nobody: Nobody, now_ms: int) -> bool:
    """Delete what was kept for somebody who left, if a new account would get as much.

    False, and nothing changed, before the next period and above the allowance.
    """
    account = account_row(tx, user_id)
    if account is None:
        return True
    allowance = ledger.allowance
    begun = allowance.window(now_ms).starts_at_ms
    if account["held"] or account["available"] > allowance.credits or begun <= account["refilled_from_ms"]:
        return False
    _hand_over(tx, user_id, nobody, account["available"], now_ms)
    tx.execute(delete(accounts).where(accounts.c.user_id == user_id))
    return True


def _hand_over(tx: Transaction, user_id: int, nobody: Nobody, available: int, now_ms: int) -> None:
    """Move the entries: amounts stay; person, images and time of day are deleted. The ids of presents and purchases
    stay, so that none is granted twice."""
    today = now_ms - now_ms % DAY_MS
    tx.execute(delete(refills).where(refills.c.user_id == user_id))
    new = {"user_id": nobody.number, "available": available, "held": 0, "created_at_ms": today}
    tx.execute(insert(accounts).values(new))
    own = entries.c.user_id == user_id
    holds = entries.alias("holds")
    hold = select(holds.c.number).where(holds.c.id == entries.c.image_id + f":{EntryKind.HOLD.value}").scalar_subquery()
    prefix = literal(f"erased{nobody.number}-")
    images = prefix + cast(func.coalesce(hold, entries.c.number), String)
    tx.execute(update(entries).where(own, entries.c.image_id.is_not(None)).values(image_id=images))
    is_refill = entries.c.id.startswith(f"grant:{REFILL}:")
    is_present = entries.c.image_id.is_(None) & ~is_refill & ~entries.c.id.startswith(_KEPT_IDS)
    tx.execute(
        update(entries)
        .where(own)
        .values(
            user_id=nobody.number,
            id=case((is_present, entries.c.id), else_=prefix + cast(entries.c.number, String)),
            reason=case((is_refill, REFILL), else_=""),
            created_at_ms=entries.c.created_at_ms - entries.c.created_at_ms % literal(DAY_MS, BigInteger),
        )
    )


def _spend_all(tx: Transaction, nobody: Nobody, amount: int, now_ms: int) -> None:
    """Take what stays with the person from the account of nobody, so that the sum over all accounts stays the same."""
    image_id = f"erased{nobody.number}-{KEPT}"
    shared = {
        "user_id": nobody.number,
        "image_id": image_id,
        "reason": KEPT,
        "created_at_ms": now_ms - now_ms % DAY_MS,
    }
    for kind, available, held in ((EntryKind.HOLD, -amount, amount), (EntryKind.SETTLE, 0, -amount)):
        moved = {"id": f"{image_id}:{kind.value}", "kind": kind.value, "available_delta": available, "held_delta": held}
        tx.execute(insert(entries).values(shared | moved))
    tx.execute(update(accounts).where(accounts.c.user_id == nobody.number).values(available=0))


def _kept(tx: Transaction, user_id: int, nobody: Nobody, amount: int, now_ms: int) -> dict[str, Any]:
    refilled_from_ms = tx.scalar(select(accounts.c.refilled_from_ms).where(accounts.c.user_id == user_id))
    return {
        "id": f"{_KEPT_IDS}{nobody.kept_as}",
        "user_id": user_id,
        "kind": EntryKind.GRANT.value,
        "available_delta": amount,
        "held_delta": 0,
        "image_id": None,
        "reason": KEPT,
        "refilled_from_ms": refilled_from_ms,
        "created_at_ms": now_ms,
    }
