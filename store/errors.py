"""What the database can refuse before any work begins. Texts are for the operator and never hold a password.

StoreError
├── BadDatabaseUrl        the address can't be understood; also a ValueError
├── DatabaseUnreachable   nobody answers there, or it answers with a refusal
└── SchemaTooNew          a newer version of this bot has been here
"""

from __future__ import annotations


class StoreError(Exception):
    """Anything that keeps the database from being opened."""


class BadDatabaseUrl(StoreError, ValueError):
    """The address can't be understood; the text says what is wrong with it, without repeating it."""


class DatabaseUnreachable(StoreError):
    """The database can't be opened: no server, no permission, no disk, or not a database."""


class SchemaTooNew(StoreError):
    """The tables are of a newer version of this bot, which this one would not understand."""
