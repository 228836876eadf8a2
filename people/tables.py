"""The tables of what people set for themselves, and of who left."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Table

from store.tables import Text, metadata

# What each person set for themselves; who set nothing has no row.
preferences = Table(
    "preferences",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("size", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("ping", Text, nullable=False),
    Column("language", Text),  # NULL: as Discord is set
)

# Who had everything deleted, until their account may be forgotten too: docs/decisions/0012-leaving.md.
departures = Table(
    "departures",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("due_at_ms", BigInteger, index=True),  # NULL: never, since credits are given once
)
