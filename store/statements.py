"""Statements that differ between PostgreSQL and SQLite. All others are in SQLAlchemy's common language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Select, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_LOCK_KEY = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def insert_if_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert one row. Return False and change nothing when one of its unique keys is taken."""
    return connection.execute(_insert_if_new(connection.dialect.name, table), values).rowcount == 1


def insert_all_if_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert *rows*, without those of which a unique key is taken."""
    if rows:
        connection.execute(_insert_if_new(connection.dialect.name, table), rows)


def insert_or_replace(connection: Connection, table: Table, values: Mapping[str, Any], *, key: Sequence[str]) -> None:
    """Insert one row with all its columns, or update the row that has the same *key*."""
    connection.execute(_insert_or_replace(connection.dialect.name, table, tuple(key)), values)


@cache
def _insert_if_new(dialect: str, table: Table) -> Executable:
    return _INSERT[dialect](table).on_conflict_do_nothing()


@cache
def _insert_or_replace(dialect: str, table: Table, key: tuple[str, ...]) -> Executable:
    """Every column that is no part of *key* is replaced."""
    insert = _INSERT[dialect](table)
    changes = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def serialize(connection: Connection, key: str) -> None:
    """Wait until no other transaction that called this with *key* is open. The lock ends with the transaction.

    Nothing is done on SQLite, where a transaction has the write lock from its start (BEGIN IMMEDIATE).
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_KEY, {"key": key})


def lock_rows(connection: Connection, found: Select[Any], parameters: Mapping[str, Any]) -> None:
    """Lock the rows that *found* selects FOR UPDATE, in its order, until the transaction ends. Nothing is done on
    SQLite, whose transaction has the write lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(found, parameters)


def storable(text: str) -> str:
    """Return *text* with replacements for what a database refuses: unpaired surrogates, and NUL (PostgreSQL)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
