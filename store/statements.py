"""Statements that differ between PostgreSQL and SQLite. All others are in SQLAlchemy's common language."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Executable, Select, Table, Text, TypeDecorator, bindparam, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

Insert = postgresql.Insert | sqlite.Insert

_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_LOCK_KEY = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def insert_on_conflict(dialect: str, table: Table) -> Insert:
    """Return an INSERT that can say what to do where a row is there already. *dialect*: its name."""
    return _INSERT[dialect](table)


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
    return insert_on_conflict(dialect, table).on_conflict_do_nothing()


@cache
def _insert_or_replace(dialect: str, table: Table, key: tuple[str, ...]) -> Executable:
    """Every column that is no part of *key* is replaced."""
    insert = insert_on_conflict(dialect, table)
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


class _Ids(TypeDecorator[Collection[int]]):
    """Whole numbers as one parameter: an array, on SQLite the text of a JSON array."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return ARRAY(BigInteger()) if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> Any:
        ids = list(value or ())
        return ids if dialect.name == "postgresql" else json.dumps(ids)


class _IsAmong(FunctionElement[Any]):
    inherit_cache = True


@compiles(_IsAmong)
def _spell_is_among(element: _IsAmong, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    if compiler.dialect.name == "postgresql":
        return f"{column} = ANY ({ids})"
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 (both are spelt by SQLAlchemy)


def is_among(column: ColumnElement[int], name: str) -> ColumnElement[Any]:
    """Whether *column* is one of the ids in the parameter *name*. The statement is the same for any number of them, so
    that it is spelt and prepared once."""
    return _IsAmong(column, bindparam(name, type_=_Ids()))


def storable(text: str) -> str:
    """Return *text* with replacements for what a database refuses: unpaired surrogates, and NUL (PostgreSQL)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
