"""Read every row of the database at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from credits.model import Discrepancy
from credits.tables import accounts, entries
from generations import records
from generations.model import Generation
from generations.records.tables import generations, images
from store.database import Database
from store.transactions import Transaction

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows, read in one transaction."""

    accounts: list[Row]
    entries: list[Row]
    generations: list[Row]
    images: list[Row]
    loaded: dict[int, Generation]
    discrepancies: list[Discrepancy]

    @property
    def settled(self) -> bool:
        """Return whether nothing is due, claimed or unpublished. Kept images are checked for ever and do not count."""
        return not self.unsettled()

    def unsettled(self) -> list[Row]:
        """Return the generations with work left to do."""
        kept = {image["generation_id"] for image in self.images if image["state"] == "undelivered"}
        due = (image for image in self.images if image["due_at_ms"] is not None and image["state"] != "undelivered")
        busy = {image["generation_id"] for image in due}
        return [
            row
            for row in self.generations
            if (row["due_at_ms"] is not None and (row["id"] in busy or row["id"] not in kept))
            or row["lease_until_ms"] is not None
            or row["revision"] > row["published_revision"]
        ]


async def read_rows(database: Database) -> Rows:
    """Read everything in one transaction."""
    return await database.run(_read_rows)


def _read_rows(tx: Transaction) -> Rows:
    ledger = Ledger(Allowance(5000, CreditPeriod.DAY, ZoneInfo("UTC")))
    found = [
        [dict(row) for row in tx.execute(select(table)).mappings()]
        for table in (accounts, entries, generations, images)
    ]
    loaded = {row["id"]: records.load(tx, row["id"]) for row in found[2]}
    there = {key: value for key, value in loaded.items() if value is not None}
    return Rows(found[0], found[1], found[2], found[3], there, ledger.audit(tx))
