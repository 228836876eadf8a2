"""Errors of the database as a whole. Their texts are for the operator and never hold a password.

StoreError
├── BadDatabaseUrl        the address can't be understood; also a ValueError
├── DatabaseUnreachable   it can't be opened
│   └── DatabaseInUse     another process has the SQLite file
├── DatabaseLost          it can't be used at the moment; an open transaction may or may not have been committed
│   ├── DatabaseBroken    its file was damaged, deleted or made read-only: it stays so until the operator repairs it
│   └── PermissionMissing its user may not do what the bot needs
├── SchemaTooNew          a newer version of this bot has migrated it
├── MoveRefused           its rows can't be moved to another database
└── BackupRefused         it can't be backed up, or a backup can't be put in its place
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
    """The connection broke, or none can be opened now. If it broke during the commit, the transaction may have been
    committed: read the rows again before a second try."""


class DatabaseBroken(DatabaseLost):
    """The SQLite file can't be used any more, and waiting does not help; the text names the file and what to do.

    Code that handles a lost database handles this too; only the worker's loop tells them apart, and ends the process.
    """


class PermissionMissing(DatabaseLost):
    """The user of the address lacks a permission; the text names the table. It may be granted while the bot runs."""


class SchemaTooNew(StoreError):
    """A newer version of this bot has migrated the database; this one does not know its tables."""


class MoveRefused(StoreError):
    """The rows can't be moved to another database, and nothing was written there; the text says why."""


class BackupRefused(StoreError):
    """No backup is made, or none is put in place, and nothing was changed; the text says why."""
