"""Read what the rows count over all processes, for /owner status and /metrics: the line, what is spent, the check of
the ledger. Knows no Discord and no SQL."""

from __future__ import annotations

from dataclasses import dataclass

from credits.daily_check import KeptCheck, load_check
from generations import records
from generations.circuit import Circuit
from limits import usage
from limits.request_limits import RequestLimits
from limits.usage import SpendLimits, Spent
from store.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images waited and were being made at *now_ms*, what was spent, and what the newest check found.

    *oldest_due_ms*: since or from when the oldest work is due; None: none is. *circuit*: whether any image can be
    submitted. *check* None: there was none yet.
    """

    now_ms: int
    waiting: int
    in_flight: int
    oldest_due_ms: int | None
    circuit: Circuit
    today: Spent
    month: Spent
    spend: SpendLimits
    check: KeptCheck | None

    @property
    def overdue_seconds(self) -> float:
        """Return for how long the oldest work has been due; 0: nothing is."""
        return 0.0 if self.oldest_due_ms is None else max(0, self.now_ms - self.oldest_due_ms) / 1000


def load_counts(tx: Transaction, limits: RequestLimits, now_ms: int) -> Counts:
    """Return the counts of all rows that are committed by now."""
    work = records.load_due_work(tx, now_ms)
    today, month = usage.load_spent_by_outcome(tx, limits.calendar, now_ms)
    return Counts(
        now_ms=now_ms,
        waiting=work.waiting,
        in_flight=work.in_flight,
        oldest_due_ms=records.oldest_due_ms(tx),
        circuit=work.circuit,
        today=today,
        month=month,
        spend=limits.spend,
        check=load_check(tx),
    )
