"""Compare every account with the sum of its entries once a day, in the background, and keep what was found.

The whole ledger is read in batches of accounts, each at one moment, so that it holds nobody up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from credits import records
from store.database import Database
from store.key_values import load_value, save_value
from store.transactions import Transaction

CHECK_KEY = "ledger_check:v1"
CHECK_MS = 86_400_000
BATCH = 200  # accounts


@dataclass(frozen=True, slots=True)
class KeptCheck:
    """When the ledger was last checked (unix milliseconds), how many accounts there were, and how many differed."""

    at_ms: int
    accounts: int
    faults: int


def load_check(tx: Transaction) -> KeptCheck | None:
    """Return the last check; None: there was none."""
    stored = load_value(tx, CHECK_KEY)
    return None if stored is None else KeptCheck(**json.loads(stored))


class DailyCheck:
    """*report*: called with a sentence when accounts differ."""

    def __init__(self, database: Database, now_ms: Callable[[], int], report: Callable[[str], None]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._report = report

    async def run_maintenance(self) -> None:
        """Check the ledger, unless that was done within a day. Called regularly by one process at a time."""
        last, now_ms = await self._database.read(load_check), self._now_ms()
        if last is not None and abs(now_ms - last.at_ms) < CHECK_MS:
            return
        accounts, faults, after = 0, 0, None
        while batch := await self._database.read(records.account_sums_after, after, BATCH):
            accounts += len(batch)
            faults += sum(numbers[1:5] != numbers[5:] for numbers in batch)
            after = batch[-1][0]
        found = KeptCheck(now_ms, accounts, faults)
        await self._database.run(save_value, CHECK_KEY, json.dumps(asdict(found)))
        if faults:
            self._report(f"{faults} of {accounts} accounts differ from the sum of their entries: run `ledger check`.")
