"""Count, export and erase what is kept of a person, and purge old words.

The ledger keeps its numbers without the person: docs/decisions/0012-leaving.md. Knows no Discord library and no SQL.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from credits import accounts
from credits.ledger import Ledger
from generations.clock import Clock
from generations.errors import StillAtWork
from generations.records import personal_data
from generations.records.personal_data import Tally
from people import records as people
from people.model import Preferences
from store.database import Database, Transaction
from store.errors import DatabaseLost
from store.key_values import load_value, save_value
from store.vacuum import vacuum_if_due, words_deleted

log = logging.getLogger("qwen_imagine.privacy")

DAY_MS = 86_400_000
PURGE_BATCH = 200
FORGET_BATCH = 50
READ_BATCH = 500  # rows read in one transaction: on SQLite all other work waits for it
PURGED_KEY = "purged:v1"  # everything before this id was purged

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is kept of one person, in numbers. *retention_days* 0: until they have it deleted."""

    tally: Tally
    entries: int
    preferences: Preferences | None
    retention_days: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything that is kept of one person, as rows."""

    preferences: Preferences | None
    account: dict[str, Any] | None
    generations: Rows
    entries: Rows


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. *forgotten_at_ms*: when what stays of the account may go too; None: it stays."""

    generations: int
    kept_credits: int
    forgotten_at_ms: int | None


class Privacy:
    """The use-cases of /privacy. *retention_days*: after so many days words are purged; 0: never. *rng*: pseudonyms."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Clock, rng: random.Random, *, retention_days: int
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._retention_days = retention_days

    async def holdings(self, user_id: int) -> Holdings:
        """Count what is kept of a person. Creates no account."""
        async with self._database.transaction() as tx:
            return Holdings(
                await personal_data.tally(tx, user_id),
                await accounts.entry_count(tx, user_id),
                await people.load_preferences(tx, user_id),
                self._retention_days,
            )

    async def collect(self, user_id: int) -> Collected:
        """Read everything that is kept of a person, in batches."""
        async with self._database.transaction() as tx:
            preferences = await people.load_preferences(tx, user_id)
            account = await accounts.account_row(tx, user_id)

        async def generations(tx: Transaction, above: int) -> Rows:
            return await personal_data.full_rows(tx, user_id, above=above, limit=READ_BATCH)

        async def entries(tx: Transaction, above: int) -> Rows:
            return await accounts.entry_rows(tx, user_id, above=above, limit=READ_BATCH)

        return Collected(
            preferences, account, await self._read_all(generations, "id"), await self._read_all(entries, "number")
        )

    async def erase(self, user_id: int) -> Erased:
        """Delete words, settings and history of a person, and take them out of the ledger, in one transaction.

        Raises StillAtWork, with nothing changed, while images of theirs are under way.
        """
        now_ms = self._clock.now_ms()
        kept, forgotten_at_ms = 0, None
        async with self._database.transaction() as tx:
            own = await personal_data.lock_own(tx, user_id)
            under_way = await personal_data.unfinished_count(tx, user_id)
            if under_way:
                raise StillAtWork(under_way)
            await personal_data.erase(tx, own)
            await words_deleted(tx, now_ms)
            await people.delete_preferences(tx, user_id)
            if await accounts.has_account(tx, user_id):
                stayed = await accounts.leave(tx, self._ledger, user_id, self._nobody(), now_ms)
                if stayed is None:  # a request of theirs came in between
                    raise StillAtWork(1)
                kept, forgotten_at_ms = stayed, self._ledger.allowance.window(now_ms).ends_at_ms
                await people.note_departure(tx, user_id, forgotten_at_ms)
        with suppress(DatabaseLost):  # all is deleted, and run_maintenance() tries again
            await self._database.truncate_wal()
        log.info("a person left: %d generations erased", len(own))
        return Erased(len(own), kept, forgotten_at_ms)

    async def run_maintenance(self) -> None:
        """Purge and forget what is due, a batch at a time. Called regularly; a missed call only delays it."""
        if self._retention_days:
            await self._purge()
        async with self._database.transaction() as tx:
            now_ms = self._clock.now_ms()
            for user_id in await people.due_departures(tx, now_ms, FORGET_BATCH):
                await self._forget(tx, user_id, now_ms)
        await self._database.truncate_wal()  # also after a kill between an erasure and its truncation
        await vacuum_if_due(self._database, self._clock.now_ms())

    async def _purge(self) -> None:
        before_ms = self._clock.now_ms() - self._retention_days * DAY_MS
        async with self._database.transaction() as tx:
            from_id = int(await load_value(tx, PURGED_KEY) or 0)
            go_on_from = await personal_data.purge(tx, from_id=from_id, before_ms=before_ms, limit=PURGE_BATCH)
            if go_on_from is not None and go_on_from != from_id:
                await save_value(tx, PURGED_KEY, str(go_on_from))
                await words_deleted(tx, self._clock.now_ms())

    async def _forget(self, tx: Transaction, user_id: int, now_ms: int) -> None:
        if await accounts.came_back(tx, user_id) or await accounts.forget(
            tx, self._ledger, user_id, self._nobody(), now_ms
        ):
            await people.delete_departure(tx, user_id)
        else:
            await people.postpone_departure(tx, user_id, self._ledger.allowance.window(now_ms).ends_at_ms)

    async def _read_all(self, read: Callable[[Transaction, int], Awaitable[Rows]], key: str) -> Rows:
        rows: Rows = []
        while True:
            async with self._database.transaction() as tx:
                batch = await read(tx, rows[-1][key] if rows else -1)
            rows += batch
            if len(batch) < READ_BATCH:
                return rows

    def _nobody(self) -> accounts.Nobody:
        return accounts.Nobody(-self._rng.randrange(1, 2**62), f"{self._rng.getrandbits(128):032x}")
