"""Stop and resume submitting and selling in all processes: open and close the circuit. Knows no Discord and no SQL.

Each function locks the line, so call it before the transaction locks a row.
"""

from __future__ import annotations

from collections.abc import Callable

from generations import records
from generations.circuit import StopReason
from store.transactions import Transaction


def open_circuit(tx: Transaction, reason: StopReason, now_ms: int, jitter: float, *, is_probe: bool) -> bool:
    """Stop everything after a POST was surely refused for *reason*. Return whether the owner is to be told."""
    _, before = records.lock_line(tx)
    after = before.refused(reason, now_ms, jitter, is_probe=is_probe)
    if after != before:
        records.save_circuit(tx, after)
    return after.told_at_ms != before.told_at_ms


def close_circuit(tx: Transaction, wake_others: Callable[[Transaction], None]) -> bool:
    """Resume everything after a probe was taken. Return whether the owner is to be told."""
    _, before = records.lock_line(tx)
    if before.reason is None:
        return False
    records.save_circuit(tx, before.closed())
    wake_others(tx)
    return before.is_told


def probe_at_once(tx: Transaction, now_ms: int) -> None:
    """Let the next image try, without waiting for the interval to end."""
    _, circuit = records.lock_line(tx)
    if circuit.reason is not None:
        records.save_circuit(tx, circuit.restarted(now_ms))
