"""What the database refuses as a whole. Texts are for the operator and never hold a password.

StoreError
├── BadDatabaseUrl        the address can't be understood; also a ValueError
├── DatabaseUnreachable   nobody answers there, or it answers with a refusal
│   └── DatabaseInUse     another process has the SQLite file
├── DatabaseLost          it answered before, and may again: the transaction under way may or may not have counted
│   └── DatabaseBroken    its file was damaged, deleted or made read-only: it stays so until somebody mends it
└── SchemaTooNew          a newer version of this bot has been here
"""

from __future__ import annotations


class StoreError(Exception):
    """Anything that keeps the database from being used."""


class BadDatabaseUrl(StoreError, ValueError):
    """The address can't be understood; the text says what is wrong with it, without repeating it."""


class DatabaseUnreachable(StoreError):
    """The database can't be opened: no server, no permission, no disk, or not a database."""


class DatabaseInUse(DatabaseUnreachable):
    """Another process uses the SQLite file; the text names it."""


class DatabaseLost(StoreError):
    """The connection broke or none can be had now. If it broke during the commit, that may have happened all the same:
    whoever tries again must find the rows as they are."""


class DatabaseBroken(DatabaseLost):
    """The SQLite file can't be used any more, and waiting does not help; the text names the file and the way out.

    Whoever copes with a lost database copes with this too; the worker's loop ends the process.
    """


class SchemaTooNew(StoreError):
    """The tables are of a newer version of this bot, which this one would not understand."""
