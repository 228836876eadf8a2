"""Stop and resume submitting and selling in all processes: open and close the circuit. Knows no Discord and no SQL.

Each function locks the line, so call it before the transaction locks a row. What the owner is to be told is added to
the outbox in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable

from generations import records
from generations.circuit import StopReason
from limits.outbox_records import add_news
from store.transactions import Transaction


def open_circuit(tx: Transaction, reason: StopReason, now_ms: int, jitter: float, *, is_probe: bool, news: str) -> bool:
    """Stop everything after a POST was surely refused for *reason*. Return whether the owner is told *news*."""
    _, before = records.lock_line(tx)
    after = before.refused(reason, now_ms, jitter, is_probe=is_probe)
    if after != before:
        records.save_circuit(tx, after)
    if after.told_at_ms == before.told_at_ms:
        return False
    add_news(tx, news, now_ms)
    return True


def close_circuit(tx: Transaction, now_ms: int, wake_others: Callable[[Transaction], None], *, news: str) -> bool:
    """Resume everything after a probe was taken. Return whether the owner is told *news*."""
    _, before = records.lock_line(tx)
    if before.reason is None:
        return False
    records.save_circuit(tx, before.closed())
    wake_others(tx)
    if before.is_told:
        add_news(tx, news, now_ms)
    return before.is_told


def probe_at_once(tx: Transaction, now_ms: int) -> None:
    """Let the next image try, without waiting for the interval to end."""
    _, circuit = records.lock_line(tx)
    if circuit.reason is not None:
        records.save_circuit(tx, circuit.restarted(now_ms))
