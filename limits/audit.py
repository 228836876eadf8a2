"""All SQL about the audit of changes. Rows are only added: nothing here changes or deletes one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select

from limits.model import Actor, Change
from limits.tables import audit
from store.transactions import Transaction


def change_id_of(actor: Actor, scope_id: int, action: str, about_id: int) -> str:
    """Return the id of a change by its cause: the same when the same interaction does the same to the same thing."""
    return f"{actor.interaction_id}:{scope_id}:{action}:{about_id}"


def write_change(
    tx: Transaction,
    change_id: str,
    *,
    scope_id: int,
    action: str,
    actor_id: int,
    subject_id: int | None,
    reason: str,
    before: str,
    after: str,
    at_ms: int,
) -> Change:
    """Add a change and return it with its number. *change_id*: see change_id_of(); the database refuses a second."""
    columns = {
        "scope_id": scope_id,
        "action": action,
        "actor_id": actor_id,
        "subject_id": subject_id,
        "reason": reason,
        "before": before,
        "after": after,
        "at_ms": at_ms,
    }
    row = tx.execute(insert(audit).values(id=change_id, **columns).returning(audit)).one()
    return _read(row)


def find_change(tx: Transaction, change_id: str) -> Change | None:
    """Return the change that was made by this cause."""
    row = tx.execute(select(audit).where(audit.c.id == change_id)).one_or_none()
    return None if row is None else _read(row)


def load_change(tx: Transaction, number: int) -> Change:
    """Return the change with this number, which there is."""
    return _read(tx.execute(select(audit).where(audit.c.number == number)).one())


def load_changes(tx: Transaction, scope_id: int, limit: int) -> list[Change]:
    """Return the newest changes of a scope, newest first."""
    newest = select(audit).where(audit.c.scope_id == scope_id).order_by(audit.c.number.desc()).limit(limit)
    return [_read(row) for row in tx.execute(newest)]


def _read(row: Row[Any]) -> Change:
    numbers = (row.number, row.scope_id, row.action, row.actor_id, row.subject_id)
    return Change(*numbers, row.reason, row.before, row.after, row.at_ms)
