"""What the database says at the end, read as it stands. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Table, select

from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Discrepancy, Ledger
from generations import records
from generations.model import Generation
from store.database import Database
from store.tables import accounts, entries, generations, images

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of one moment."""

    accounts: list[Row]
    entries: list[Row]
    generations: list[Row]
    images: list[Row]
    loaded: dict[int, Generation]
    discrepancies: list[Discrepancy]

    @property
    def settled(self) -> bool:
        """Whether nothing is due, claimed or owed to a card. Only kept images are asked about on and on."""
        return not self.unsettled()

    def unsettled(self) -> list[Row]:
        """The generations that something still has to be done about."""
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
    """One consistent look at everything."""
    ledger = Ledger(Allowance(5000, CreditPeriod.DAY, ZoneInfo("UTC")))
    async with database.transaction() as tx:

        async def all_of(table: Table) -> list[Row]:
            return [dict(row) for row in (await tx.execute(select(table))).mappings()]

        found = [await all_of(table) for table in (accounts, entries, generations, images)]
        loaded = {row["id"]: await records.load(tx, row["id"]) for row in found[2]}
        discrepancies = await ledger.audit(tx)
    there = {key: value for key, value in loaded.items() if value is not None}
    return Rows(found[0], found[1], found[2], found[3], there, discrepancies)
