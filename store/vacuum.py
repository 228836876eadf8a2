"""Rewrite a SQLite file after words were deleted: secure_delete overwrites whole rows, but single words may stay in
the gaps of a page after SQLite moved rows within it (sqlite.org/fileformat2.html, "B-tree Pages").

A deletion is noted in the database, so that the note survives a restart. Nothing is done on PostgreSQL.
"""

from __future__ import annotations

import logging

from store.database import VACUUM_DUE_KEY, Database
from store.errors import DatabaseBroken, DatabaseLost
from store.key_values import load_value, save_value
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.store")

INTERVAL_MS = 3_600_000  # at least so long between two tries
BYTES_MAX = 64 << 20  # rewriting a larger file blocks all transactions for more than about a second
TRIED_KEY = "vacuum_tried:v1"  # of store.key_values: time of the last try, unix milliseconds


def words_deleted(tx: Transaction, now_ms: int) -> None:
    """Note, in the transaction that deletes words, that a SQLite file is to be rewritten."""
    if tx.dialect.name == "sqlite":
        save_value(tx, VACUUM_DUE_KEY, str(now_ms))


async def vacuum_if_due(database: Database, now_ms: int) -> None:
    """Rewrite the file if words were deleted, it is not too large, and this was not tried within the last hour.

    When another program uses the file or the disk is full, log that; the next try comes in an hour. Raises DatabaseLost
    when the database can't be used at all.
    """
    if database.is_postgresql:
        return
    due = await database.run(_begin_try, now_ms)
    if due is None:
        return
    try:
        is_done = await database.vacuum(due, bytes_max=BYTES_MAX)
    except DatabaseBroken:
        raise
    except DatabaseLost as lost:
        log.warning("the SQLite file could not be written anew; next try in an hour: %s", lost.__cause__ or lost)
        return
    if is_done:
        log.info("the SQLite file was written anew after words were deleted")
    else:
        log.info(
            "the SQLite file is too large to be written anew while the bot runs: single deleted words may stay in it "
            "until somebody stops the bot and runs VACUUM"
        )


def _begin_try(tx: Transaction, now_ms: int) -> str | None:
    """Note that the file is about to be rewritten. Return the deletion that it is for; None: it is not due."""
    due = load_value(tx, VACUUM_DUE_KEY)
    if due is None or 0 <= now_ms - int(load_value(tx, TRIED_KEY) or 0) < INTERVAL_MS:
        return None
    save_value(tx, TRIED_KEY, str(now_ms))
    return due
