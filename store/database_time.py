"""Read the clock of the database server, by which all processes that share it go."""

from __future__ import annotations

from sqlalchemy import text

from store.transactions import Transaction

_NOW_MS = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS double precision)")


def load_database_time_ms(tx: Transaction) -> float | None:
    """Return the server's time in unix milliseconds, as it is now and not when the transaction began. None: SQLite,
    which has no clock but the machine's."""
    return tx.execute(_NOW_MS).scalar_one() if tx.dialect.name == "postgresql" else None
