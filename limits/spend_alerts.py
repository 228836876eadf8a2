"""Tell the owner when what everybody spends nears a limit of theirs: once at 80 % and once at 100 % of each period.

Run by one process at a time, regularly. Knows no SQL and no Discord library.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from credits.allowance import CreditPeriod
from limits import usage
from limits.outbox_records import add_news
from limits.usage import Calendar, SpendLimits
from store.database import Database
from store.key_values import load_value, save_value
from store.statements import serialize
from store.transactions import Transaction

TOLD_KEY = "spend_told:v1"
NEAR_PERCENT = 80
FULL_PERCENT = 100


@dataclass(frozen=True, slots=True)
class SpendAlert:
    """*spent* of *most* API credits in a period that ends at *ends_at_ms*. *percent*: NEAR_PERCENT; FULL_PERCENT when
    no further image fits into it."""

    period: CreditPeriod
    percent: int
    spent: int
    most: int
    ends_at_ms: int


def reached_percent(spent: int, most: int, price: int) -> int:
    """Return the highest of 0, NEAR_PERCENT and FULL_PERCENT that *spent* has reached. *price*: of one image. Pure."""
    if spent + price > most:
        return FULL_PERCENT
    return NEAR_PERCENT if spent * 100 >= most * NEAR_PERCENT else 0


class SpendAlerts:
    """*describe*: return what an alert says. *tell*: called once over all processes for each alert, with what it says,
    after it was noted in the database and added to the outbox."""

    def __init__(
        self,
        database: Database,
        calendar: Calendar,
        spend: SpendLimits,
        *,
        price: int,
        now_ms: Callable[[], int],
        describe: Callable[[SpendAlert], str],
        tell: Callable[[SpendAlert, str], None],
    ) -> None:
        self._database = database
        self._calendar = calendar
        self._limits = {CreditPeriod.DAY: spend.day, CreditPeriod.MONTH: spend.month}
        self._price = price
        self._now_ms = now_ms
        self._describe = describe
        self._tell = tell

    async def run_maintenance(self) -> None:
        """Tell what is to be told now. Where both marks were passed at once, only the higher one is."""
        if any(self._limits.values()):
            for alert in await self._database.run(self._note_alerts):
                self._tell(alert, self._describe(alert))

    def _note_alerts(self, tx: Transaction) -> list[SpendAlert]:
        """Return the alerts that nobody was given yet, note them as told and add them to the outbox."""
        serialize(tx, TOLD_KEY)
        told, found = _load_told(tx), list[SpendAlert]()
        for period, most in self._limits.items():
            window = self._calendar.window(period, self._now_ms())
            if not most:
                continue
            spent = usage.load_spent(tx, window.starts_at_ms)
            percent = reached_percent(spent, most, self._price)
            starts_at_ms, earlier = told.get(period.value, (0, 0))
            if percent > (earlier if starts_at_ms == window.starts_at_ms else 0):
                told[period.value] = (window.starts_at_ms, percent)
                found.append(SpendAlert(period, percent, spent, most, window.ends_at_ms or 0))
        if found:
            save_value(tx, TOLD_KEY, json.dumps(told))
        for alert in found:
            add_news(tx, self._describe(alert), self._now_ms())
        return found


def _load_told(tx: Transaction) -> dict[str, tuple[int, int]]:
    """Return, by period, when the one began that was told of last, and the percent."""
    try:
        known: dict[str, Any] = json.loads(load_value(tx, TOLD_KEY) or "{}")
        return {period: (int(starts_at_ms), int(percent)) for period, (starts_at_ms, percent) in known.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
