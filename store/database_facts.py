"""Tell which database runs, how large it is, and which revision its tables have."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from store.transactions import Transaction


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """*bytes*: of the file without its write-ahead log, or of the whole database of a server. *revision*: of the
    schema."""

    kind: str
    version: str
    bytes: int
    revision: str


def load_facts(tx: Transaction) -> DatabaseFacts:
    """Read them; PostgreSQL asks its file system for the size of each file, which takes milliseconds."""
    is_postgresql = tx.dialect.name == "postgresql"
    if is_postgresql:
        size = "SELECT pg_database_size(current_database())"
    else:
        size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    revision = tx.scalar(text("SELECT version_num FROM alembic_version"))
    version = ".".join(map(str, tx.dialect.server_version_info or ()))
    return DatabaseFacts(
        "PostgreSQL" if is_postgresql else "SQLite", version, int(tx.scalar(text(size)) or 0), str(revision or "")
    )
