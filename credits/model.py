"""Balances and entries of the ledger. Pure; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """The five ways in which credits move."""

    GRANT = "grant"  # available +n
    HOLD = "hold"  # available -n, held +n
    SETTLE = "settle"  # held -n, available + what the service did not consume
    RELEASE = "release"  # held -n, available +n
    REFUND = "refund"  # available +n, after a settle


@dataclass(frozen=True, slots=True)
class Balance:
    """One person's account at one moment. Whole credits; both numbers are never below zero."""

    user_id: int
    available: int
    held: int
    allowance: int  # what a refill fills up to
    refills_at_ms: int | None  # None: this allowance is given once and never refilled


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger. Entries are only ever added; their sum is the account."""

    id: str
    user_id: int
    kind: EntryKind
    available_delta: int
    held_delta: int
    image_id: str | None
    reason: str
    created_at_ms: int
