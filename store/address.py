"""Parse DATABASE_URL into the address that SQLAlchemy takes. Pure; opens nothing.

Accepted: `sqlite:///data/bot.sqlite3`, `postgres://…` (Heroku), `postgresql://…` and
`postgresql+asyncpg://…`. Errors never repeat the address, since it holds a password.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from store.errors import BadDatabaseUrl

SQLITE_SCHEMES = frozenset({"sqlite"})
POSTGRESQL_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
# asyncpg 0.32, connect(ssl=…): the same words as libpq's sslmode.
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
# `host` and `port` may stand in the query, for a Unix socket (SQLAlchemy docs: asyncpg, "Multihost Connections").
KEPT_PARAMETERS = frozenset({"host", "port", "ssl", "prepared_statement_cache_size"})


def parse_database_url(text: str) -> URL:
    """Return the address with the driver and only parameters that driver takes.

    Raises BadDatabaseUrl with a sentence for the operator.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise BadDatabaseUrl(
            "DATABASE_URL is not an address. Examples: sqlite:///data/bot.sqlite3, postgresql://user:password@host/name"
        ) from None
    if url.drivername in SQLITE_SCHEMES:
        return _sqlite_url(url)
    if url.drivername in POSTGRESQL_SCHEMES:
        return _postgresql_url(url)
    raise BadDatabaseUrl("DATABASE_URL must begin with sqlite:// or postgresql://; other databases are not supported.")


def _sqlite_url(url: URL) -> URL:
    if url.host or url.username or url.password or url.port:
        raise BadDatabaseUrl("A SQLite address has three slashes: sqlite:///data/bot.sqlite3 (four for a full path).")
    if not url.database or ":memory:" in url.database or url.database.startswith("file:"):
        raise BadDatabaseUrl(
            "DATABASE_URL must name a file, such as sqlite:///data/bot.sqlite3: "
            "a database in memory would forget everybody's credits at the next start."
        )
    if url.query:
        raise BadDatabaseUrl("A SQLite address takes no parameters after a question mark.")
    return url.set(drivername="sqlite+pysqlite")


def _postgresql_url(url: URL) -> URL:
    if not url.database:
        raise BadDatabaseUrl("DATABASE_URL names no database: it ends with /name, as in postgresql://user@host/name")
    if url.port is not None and not 0 < url.port < 65536:
        raise BadDatabaseUrl("The port in DATABASE_URL must be a number from 1 to 65535.")
    query = dict(url.query)
    ssl = query.pop("sslmode", None)
    if ssl is not None:
        if not isinstance(ssl, str) or ssl not in SSL_MODES:
            raise BadDatabaseUrl(f"sslmode in DATABASE_URL must be one of {', '.join(sorted(SSL_MODES))}.")
        query["ssl"] = ssl
    if query.pop("channel_binding", "disable") == "require":
        raise BadDatabaseUrl("asyncpg knows no channel binding: take channel_binding=require out of DATABASE_URL.")
    _refuse_unknown(query)
    return url.set(drivername="postgresql+asyncpg", query=query)


def _refuse_unknown(query: Mapping[str, object]) -> None:
    unknown = sorted(set(query) - KEPT_PARAMETERS)
    if unknown:
        raise BadDatabaseUrl(f"DATABASE_URL has parameters the driver does not take: {', '.join(unknown)}.")
