"""Statements that differ between PostgreSQL and SQLite. All others are in SQLAlchemy's common language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_if_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert one row. Return False and change nothing when one of its unique keys is taken."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    result = connection.execute(insert(table).values(values).on_conflict_do_nothing())
    return result.rowcount == 1


def insert_or_replace(connection: Connection, table: Table, values: Mapping[str, Any], *, key: Sequence[str]) -> None:
    """Insert one row, or update the row that has the same *key*."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    changes = {name: value for name, value in values.items() if name not in key}
    connection.execute(insert(table).values(values).on_conflict_do_update(index_elements=key, set_=changes))


def serialize(connection: Connection, key: str) -> None:
    """Wait until no other transaction that called this with *key* is open. The lock ends with the transaction.

    Nothing is done on SQLite, where a transaction has the write lock from its start (BEGIN IMMEDIATE).
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


def storable(text: str) -> str:
    """Return *text* with replacements for what a database refuses: unpaired surrogates, and NUL (PostgreSQL)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
