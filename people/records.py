"""All SQL about people: their preferences, and who left. Each function takes the open transaction first."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import BindParameter, RowMapping, ScalarSelect, bindparam, delete, select, update

from credits.tables import accounts
from people.model import Language, Ping, Preferences
from people.tables import departures, preferences
from qwen.models import OutputFormat, Size
from store.statements import insert_or_replace
from store.transactions import Transaction

Choice = TypeVar("Choice", bound=StrEnum)

_PREFERENCES = select(preferences).where(preferences.c.user_id == bindparam("person"))


def load_preferences(tx: Transaction, user_id: int) -> Preferences | None:
    """Load the person's preferences; None: nothing was ever set."""
    row = tx.execute(_PREFERENCES, {"person": user_id}).mappings().one_or_none()
    return None if row is None else _read_preferences(row)


def save_preferences(tx: Transaction, user_id: int, set_by_person: Preferences) -> None:
    """Store the preferences in place of earlier ones."""
    columns = {
        "user_id": user_id,
        "size": set_by_person.size.value,
        "format": set_by_person.format.value,
        "private": set_by_person.private,
        "ping": set_by_person.ping.value,
        "language": None if set_by_person.language is None else set_by_person.language.value,
    }
    insert_or_replace(tx, preferences, columns, key=("user_id",))


def delete_preferences(tx: Transaction, user_id: int) -> bool:
    """Delete the preferences. Returns whether there were any."""
    deleted = tx.execute(delete(preferences).where(preferences.c.user_id == user_id))
    return deleted.rowcount == 1


def note_departure(tx: Transaction, user_id: int, due_at_ms: int | None) -> None:
    """Note that the person left, and that their account may be deleted at *due_at_ms*; None: never."""
    insert_or_replace(tx, departures, {"user_id": user_id, "due_at_ms": due_at_ms}, key=("user_id",))


def left_at_ms(user_id: BindParameter[int]) -> ScalarSelect[int]:
    """Build the query for when a person had everything deleted, in unix milliseconds: the time of their new account.
    NULL: they didn't, or the departure is deleted by now."""
    left = select(accounts.c.created_at_ms).join(departures, departures.c.user_id == accounts.c.user_id)
    return left.where(accounts.c.user_id == user_id).scalar_subquery()


def due_departures(tx: Transaction, now_ms: int, limit: int) -> list[int]:
    """Return and lock people who left and whose accounts may be deleted now."""
    due = (
        select(departures.c.user_id)
        .where(departures.c.due_at_ms <= now_ms)
        .order_by(departures.c.due_at_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(tx.scalars(due))


def postpone_departure(tx: Transaction, user_id: int, due_at_ms: int | None) -> None:
    """Make this departure due later."""
    tx.execute(update(departures).where(departures.c.user_id == user_id).values(due_at_ms=due_at_ms))


def delete_departure(tx: Transaction, user_id: int) -> None:
    """Delete the departure: the account is deleted, or the person came back."""
    tx.execute(delete(departures).where(departures.c.user_id == user_id))


def _read_preferences(row: RowMapping) -> Preferences:
    default = Preferences()
    return Preferences(
        size=_known(Size, row["size"], default.size),
        format=_known(OutputFormat, row["format"], default.format),
        private=row["private"],
        ping=_known(Ping, row["ping"], default.ping),
        language=None if row["language"] is None else _known(Language, row["language"], Language.ENGLISH),
    )


def _known(kind: type[Choice], value: Any, otherwise: Choice) -> Choice:
    """Parse *value*; *otherwise* for one that this version doesn't know, since a newer one may have written it."""
    try:
        return kind(value)
    except ValueError:
        return otherwise
