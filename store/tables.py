"""The MetaData of all tables, their common column types, and the tables of store.key_values and store.leases.

Each feature declares its tables in a module of its own (credits.tables, generations.records.tables, limits.tables,
people.tables, processes.tables, reports.tables).
Ids are Discord's snowflakes (BIGINT), times unix milliseconds (BIGINT), enums their values (TEXT). The migrations must
make exactly these tables; a test compares them on both databases.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    literal_column,
)
from sqlalchemy import Text as BareText
from sqlalchemy.engine import Dialect

from store.statements import storable

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class Text(TypeDecorator[str]):
    """TEXT that replaces characters which a database refuses (store.statements.storable)."""

    impl = BareText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


AutoNumber = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only an INTEGER PRIMARY KEY by itself


def one_of(column: Column[str], *values: StrEnum) -> ColumnElement[bool]:
    """Whether *column* is one of *values*, as literals: with parameters the planner uses no partial index."""
    spelt = [literal_column(f"'{value.value}'", Text) for value in values]
    return column == spelt[0] if len(spelt) == 1 else column.in_(spelt)


key_values = Table(
    "key_values",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),  # a process
    Column("until_ms", BigInteger, nullable=False),
)
