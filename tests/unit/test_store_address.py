"""Valid and invalid values of DATABASE_URL."""

from __future__ import annotations

import pytest

from store.address import parse_database_url
from store.errors import BadDatabaseUrl

UNDERSTOOD = {
    "sqlite:///data/bot.sqlite3": "sqlite+pysqlite:///data/bot.sqlite3",
    "sqlite:////var/bot.sqlite3": "sqlite+pysqlite:////var/bot.sqlite3",
    " postgres://me:secret@host:5433/bot ": "postgresql+asyncpg://me:secret@host:5433/bot",
    "postgresql://me@host/bot?sslmode=require": "postgresql+asyncpg://me@host/bot?ssl=require",
    "postgresql+asyncpg://me@host/bot?ssl=verify-full": "postgresql+asyncpg://me@host/bot?ssl=verify-full",
    "postgres://me@host/bot?channel_binding=prefer": "postgresql+asyncpg://me@host/bot",
    "postgresql://me@host:1/bot": "postgresql+asyncpg://me@host:1/bot",
    "postgresql://me@host:65535/bot": "postgresql+asyncpg://me@host:65535/bot",
    "postgresql://me@/bot?host=%2Frun%2Fpg": "postgresql+asyncpg://me@/bot?host=%2Frun%2Fpg",
}
NO_ADDRESS = (
    "DATABASE_URL is not an address. Examples: sqlite:///data/bot.sqlite3, postgresql://user:password@host/name"
)
OTHER_DATABASE = "DATABASE_URL must begin with sqlite:// or postgresql://; other databases are not supported."
THREE_SLASHES = "A SQLite address has three slashes: sqlite:///data/bot.sqlite3 (four for a full path)."
NO_FILE = (
    "DATABASE_URL must name a file, such as sqlite:///data/bot.sqlite3: a database in memory would forget everybody's "
    "credits at the next start."
)
PORT = "The port in DATABASE_URL must be a number from 1 to 65535."
NO_DATABASE = "DATABASE_URL names no database: it ends with /name, as in postgresql://user@host/name"
SSL_MODE = "sslmode in DATABASE_URL must be one of allow, disable, prefer, require, verify-ca, verify-full."
CHANNEL_BINDING = "asyncpg knows no channel binding: take channel_binding=require out of DATABASE_URL."
REFUSED = {
    "": NO_ADDRESS,
    "data/bot.sqlite3": NO_ADDRESS,
    "postgres://me:secret@host:port/bot": NO_ADDRESS,
    "mysql://me:secret@host/bot": OTHER_DATABASE,
    "sqlite://data/bot.sqlite3": THREE_SLASHES,
    "sqlite://": NO_FILE,
    "sqlite:///:memory:": NO_FILE,
    "sqlite://me@/bot.sqlite3": THREE_SLASHES,
    "sqlite://:secret@/bot.sqlite3": THREE_SLASHES,
    "sqlite:///file:bot.sqlite3": NO_FILE,
    "sqlite:///bot.sqlite3?mode=ro": "A SQLite address takes no parameters after a question mark.",
    "postgres://me@host:0/bot": PORT,
    "postgres://me@host:65536/bot": PORT,
    "postgres://me:secret@host": NO_DATABASE,
    "postgres://me:secret@host/bot?sslmode=secret": SSL_MODE,
    "postgres://me:secret@host/bot?sslmode=require&sslmode=disable": SSL_MODE,
    "postgres://me:secret@host/bot?channel_binding=require": CHANNEL_BINDING,
    "postgres://me:secret@host/bot?options=secret&krb=secret": (
        "DATABASE_URL has parameters the driver does not take: krb, options."
    ),
}


@pytest.mark.parametrize(("written", "meant"), UNDERSTOOD.items())
def test_every_usual_spelling_of_an_address_is_accepted(written: str, meant: str) -> None:
    assert parse_database_url(written).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(("written", "said"), REFUSED.items())
def test_an_invalid_address_is_refused_without_repeating_it(written: str, said: str) -> None:
    with pytest.raises(BadDatabaseUrl) as caught:
        parse_database_url(written)
    assert str(caught.value) == said
    assert caught.value.__cause__ is None
