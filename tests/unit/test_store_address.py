"""Valid and invalid values of DATABASE_URL."""

from __future__ import annotations

import pytest

from store.address import parse_database_url
from store.errors import BadDatabaseUrl

UNDERSTOOD = {
    "sqlite:///data/bot.sqlite3": "sqlite+aiosqlite:///data/bot.sqlite3",
    "sqlite+aiosqlite:////var/bot.sqlite3": "sqlite+aiosqlite:////var/bot.sqlite3",
    " postgres://me:secret@host:5433/bot ": "postgresql+asyncpg://me:secret@host:5433/bot",
    "postgresql://me@host/bot?sslmode=require": "postgresql+asyncpg://me@host/bot?ssl=require",
    "postgresql+asyncpg://me@host/bot?ssl=verify-full": "postgresql+asyncpg://me@host/bot?ssl=verify-full",
    "postgres://me@host/bot?channel_binding=prefer": "postgresql+asyncpg://me@host/bot",
    "postgresql://me@host:1/bot": "postgresql+asyncpg://me@host:1/bot",
    "postgresql://me@host:65535/bot": "postgresql+asyncpg://me@host:65535/bot",
    "postgresql://me@/bot?host=%2Frun%2Fpg": "postgresql+asyncpg://me@/bot?host=%2Frun%2Fpg",
}
REFUSED = {
    "": "is not an address",
    "data/bot.sqlite3": "is not an address",
    "postgres://me:secret@host:port/bot": "is not an address",
    "mysql://me:secret@host/bot": "must begin with",
    "sqlite://data/bot.sqlite3": "three slashes",
    "sqlite://": "must name a file",
    "sqlite:///:memory:": "must name a file",
    "sqlite://me@/bot.sqlite3": "three slashes",
    "sqlite://:secret@/bot.sqlite3": "three slashes",
    "sqlite:///file:bot.sqlite3": "must name a file",
    "sqlite:///bot.sqlite3?mode=ro": "^A SQLite address takes no parameters after a question mark.$",
    "postgres://me@host:0/bot": "^The port in DATABASE_URL must be a number from 1 to 65535.$",
    "postgres://me@host:65536/bot": "must be a number from 1 to 65535",
    "postgres://me:secret@host": "names no database",
    "postgres://me:secret@host/bot?sslmode=secret": "sslmode",
    "postgres://me:secret@host/bot?sslmode=require&sslmode=disable": "sslmode",
    "postgres://me:secret@host/bot?channel_binding=require": "channel_binding",
    "postgres://me:secret@host/bot?options=secret": "does not take: options",
}


@pytest.mark.parametrize(("written", "meant"), UNDERSTOOD.items())
def test_every_usual_spelling_of_an_address_is_accepted(written: str, meant: str) -> None:
    assert parse_database_url(written).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(("written", "said"), REFUSED.items())
def test_an_invalid_address_is_refused_without_repeating_it(written: str, said: str) -> None:
    with pytest.raises(BadDatabaseUrl, match=said) as caught:
        parse_database_url(written)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
