"""Count, export and erase what is kept of a person, and purge old words.

The ledger keeps its numbers without the person: docs/decisions/0012-leaving.md. Knows no Discord library and no SQL.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from credits import accounts
from credits.ledger import Ledger
from generations.clock import Clock
from generations.errors import StillAtWork
from generations.records import personal_data
from generations.records.personal_data import Tally
from limits import records as limit_records
from limits import usage
from limits.usage import Calendar
from people import records as people
from people.model import Preferences
from reports import records as reports
from store.database import Database
from store.errors import DatabaseLost
from store.key_values import load_value, save_value
from store.transactions import Transaction
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
    usage_days: int  # rows of limits.tables.usage
    blocks: int
    reports: int  # that they made
    preferences: Preferences | None
    retention_days: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything that is kept of one person, as rows."""

    preferences: Preferences | None
    account: dict[str, Any] | None
    generations: Rows
    entries: Rows
    usage: Rows
    blocks: Rows
    reports: Rows


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. *forgotten_at_ms*: when what stays of the account may go too; None: it stays."""

    generations: int
    kept_credits: int
    forgotten_at_ms: int | None


class Privacy:
    """The use-cases of /privacy. *retention_days*: after so many days words are purged; 0: never. *rng*: pseudonyms.
    *calendar*: by which people are counted."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        rng: random.Random,
        calendar: Calendar,
        *,
        retention_days: int,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._calendar = calendar
        self._retention_days = retention_days

    async def holdings(self, user_id: int) -> Holdings:
        """Count what is kept of a person. Creates no account."""

        def count(tx: Transaction) -> Holdings:
            return Holdings(
                personal_data.tally(tx, user_id),
                accounts.entry_count(tx, user_id),
                len(usage.load_own(tx, user_id)),
                len(limit_records.load_blocks_of(tx, user_id)),
                reports.count_own(tx, user_id),
                people.load_preferences(tx, user_id),
                self._retention_days,
            )

        return await self._database.read(count)

    async def collect(self, user_id: int) -> Collected:
        """Read everything that is kept of a person, in batches."""
        read = self._database.read
        return Collected(
            preferences=await read(people.load_preferences, user_id),
            account=await read(accounts.account_row, user_id),
            generations=await self._read_all(
                lambda tx, above: personal_data.full_rows(tx, user_id, above=above, limit=READ_BATCH), "id"
            ),
            entries=await self._read_all(
                lambda tx, above: accounts.entry_rows(tx, user_id, above=above, limit=READ_BATCH), "number"
            ),
            usage=await read(usage.load_own, user_id),
            blocks=await read(limit_records.load_blocks_of, user_id),
            reports=await read(reports.load_own, user_id),
        )

    async def erase(self, user_id: int) -> Erased:
        """Delete words, settings and history of a person, and take them out of the ledger, in one transaction.

        Raises StillAtWork, with nothing changed, while images of theirs are under way.
        """
        erased = await self._database.run(self._erase, user_id, self._clock.now_ms())
        with suppress(DatabaseLost):  # all is deleted, and run_maintenance() tries again
            await self._database.truncate_wal()
        log.info("a person left: %d generations erased", erased.generations)
        return erased

    def _erase(self, tx: Transaction, user_id: int, now_ms: int) -> Erased:
        own = personal_data.lock_own(tx, user_id)
        under_way = personal_data.unfinished_count(tx, user_id)
        if under_way:
            raise StillAtWork(under_way)
        personal_data.erase(tx, own)
        reports.forget_person(tx, user_id, now_ms)
        words_deleted(tx, now_ms)
        people.delete_preferences(tx, user_id)
        if not accounts.has_account(tx, user_id):
            return Erased(len(own), 0, None)  # nothing was ever counted either
        stayed = accounts.leave(tx, self._ledger, user_id, self._nobody(), now_ms)
        if stayed is None:  # a request of theirs came in between
            raise StillAtWork(1)
        forgotten_at_ms = self._ledger.allowance.window(now_ms).ends_at_ms
        people.note_departure(tx, user_id, forgotten_at_ms)
        usage.forget_person(tx, user_id, self._calendar.running(now_ms))  # last, as everywhere
        return Erased(len(own), stayed, forgotten_at_ms)

    async def run_maintenance(self) -> None:
        """Purge and forget what is due, a batch at a time. Called regularly; a missed call only delays it."""
        if self._retention_days:
            await self._database.run(self._purge, self._clock.now_ms())
        await self._database.run(self._forget_due, self._clock.now_ms())
        await self._database.run(reports.forget_due, self._clock.now_ms())
        await self._database.run(self._delete_usage, self._clock.now_ms())
        await self._database.truncate_wal()  # also after a kill between an erasure and its truncation
        await vacuum_if_due(self._database, self._clock.now_ms())

    def _purge(self, tx: Transaction, now_ms: int) -> None:
        before_ms = now_ms - self._retention_days * DAY_MS
        from_id = int(load_value(tx, PURGED_KEY) or 0)
        go_on_from = personal_data.purge(tx, from_id=from_id, before_ms=before_ms, limit=PURGE_BATCH)
        if go_on_from is not None and go_on_from != from_id:
            save_value(tx, PURGED_KEY, str(go_on_from))
            words_deleted(tx, now_ms)
        if reports.purge(tx, before_ms):
            words_deleted(tx, now_ms)

    def _delete_usage(self, tx: Transaction, now_ms: int) -> None:
        """People's own counters of days that no cap counts any more follow the purge of words."""
        running_from_ms = self._calendar.running(now_ms).starts_at_ms
        kept_from_ms = now_ms - self._retention_days * DAY_MS
        usage.delete_old(tx, now_ms, min(kept_from_ms, running_from_ms) if self._retention_days else None)

    def _forget_due(self, tx: Transaction, now_ms: int) -> None:
        for user_id in people.due_departures(tx, now_ms, FORGET_BATCH):
            self._forget(tx, user_id, now_ms)

    def _forget(self, tx: Transaction, user_id: int, now_ms: int) -> None:
        if accounts.came_back(tx, user_id) or accounts.forget(tx, self._ledger, user_id, self._nobody(), now_ms):
            people.delete_departure(tx, user_id)
        else:
            people.postpone_departure(tx, user_id, self._ledger.allowance.window(now_ms).ends_at_ms)

    async def _read_all(self, read: Callable[[Transaction, int], Rows], key: str) -> Rows:
        rows: Rows = []
        while True:
            batch = await self._database.read(read, rows[-1][key] if rows else -1)
            rows += batch
            if len(batch) < READ_BATCH:
                return rows

    def _nobody(self) -> accounts.Nobody:
        return accounts.Nobody(-self._rng.randrange(1, 2**62), f"{self._rng.getrandbits(128):032x}")
