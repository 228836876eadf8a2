"""The few statements that PostgreSQL and SQLite spell differently. Everything else is SQLAlchemy's common language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_if_new(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert one row; False, and nothing changed, when any unique key of it is taken already."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    result = await connection.execute(insert(table).values(values).on_conflict_do_nothing())
    return result.rowcount == 1


async def insert_or_replace(
    connection: AsyncConnection, table: Table, values: Mapping[str, Any], *, key: Sequence[str]
) -> None:
    """Insert one row, or give the row with the same *key* these values."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    changes = {name: value for name, value in values.items() if name not in key}
    await connection.execute(insert(table).values(values).on_conflict_do_update(index_elements=key, set_=changes))


async def serialize(connection: AsyncConnection, key: str) -> None:
    """Let one transaction at a time past this point, until it ends; *key* names the matter.

    On SQLite a transaction is alone from its first moment (BEGIN IMMEDIATE), so there is nothing to do.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


def storable(text: str) -> str:
    """*text* without what no database stores: half surrogate pairs, and the NUL that PostgreSQL refuses."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
