"""All SQL about people: their preferences, and who left. Each function takes the open transaction first."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import RowMapping, delete, select, update

from credits.tables import accounts
from people.model import Language, Ping, Preferences
from people.tables import departures, preferences
from qwen.models import OutputFormat, Size
from store.database import Transaction
from store.statements import insert_or_replace

Choice = TypeVar("Choice", bound=StrEnum)


async def load_preferences(tx: Transaction, user_id: int) -> Preferences | None:
    """What the person set; None: nothing ever."""
    found = await tx.execute(select(preferences).where(preferences.c.user_id == user_id))
    row = found.mappings().one_or_none()
    return None if row is None else _read_preferences(row)


async def save_preferences(tx: Transaction, user_id: int, set_by_person: Preferences) -> None:
    """Keep them; earlier ones are forgotten."""
    columns = {
        "user_id": user_id,
        "size": set_by_person.size.value,
        "format": set_by_person.format.value,
        "private": set_by_person.private,
        "ping": set_by_person.ping.value,
        "language": None if set_by_person.language is None else set_by_person.language.value,
    }
    await insert_or_replace(tx, preferences, columns, key=("user_id",))


async def delete_preferences(tx: Transaction, user_id: int) -> bool:
    """Whether there were any."""
    deleted = await tx.execute(delete(preferences).where(preferences.c.user_id == user_id))
    return deleted.rowcount == 1


async def note_departure(tx: Transaction, user_id: int, due_at_ms: int | None) -> None:
    """The person left, and their account may be forgotten at *due_at_ms*; None: never."""
    await insert_or_replace(tx, departures, {"user_id": user_id, "due_at_ms": due_at_ms}, key=("user_id",))


async def left_at_ms(tx: Transaction, user_id: int) -> int | None:
    """When a person had everything deleted, unix milliseconds: their account was begun anew then. None: they didn't,
    or it is so long ago that it is forgotten."""
    left = select(accounts.c.created_at_ms).join(departures, departures.c.user_id == accounts.c.user_id)
    return await tx.scalar(left.where(accounts.c.user_id == user_id))


async def due_departures(tx: Transaction, now_ms: int, limit: int) -> list[int]:
    """People who left and whose accounts may be forgotten now; nobody else gets them until the transaction ends."""
    due = (
        select(departures.c.user_id)
        .where(departures.c.due_at_ms <= now_ms)
        .order_by(departures.c.due_at_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(await tx.scalars(due))


async def postpone_departure(tx: Transaction, user_id: int, due_at_ms: int | None) -> None:
    """Look at this one again later."""
    await tx.execute(update(departures).where(departures.c.user_id == user_id).values(due_at_ms=due_at_ms))


async def delete_departure(tx: Transaction, user_id: int) -> None:
    """Either nothing is left to be forgotten, or the person came back."""
    await tx.execute(delete(departures).where(departures.c.user_id == user_id))


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
    """A value that a newer bot wrote, and this one doesn't know, is not a fault."""
    try:
        return kind(value)
    except ValueError:
        return otherwise
