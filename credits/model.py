"""Balances and entries of the ledger. Pure; knows no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class EntryKind(StrEnum):
    """The six ways in which credits move."""

    GRANT = "grant"  # available +n
    HOLD = "hold"  # available -n, held +n
    SETTLE = "settle"  # held -n, available + what the service did not consume
    RELEASE = "release"  # held -n, available +n
    REFUND = "refund"  # available +n, after a settle
    TAKE = "take"  # available -n


class Amounts(NamedTuple):
    """The numbers of an account, or how an entry changes them. Whole credits.

    *bonus* is a part of *available* and *held_bonus* a part of *held*; the rest of each is of the allowance.
    """

    available: int = 0
    held: int = 0
    bonus: int = 0
    held_bonus: int = 0

    @property
    def of_allowance(self) -> int:
        """What is available of the allowance."""
        return self.available - self.bonus

    @property
    def held_of_allowance(self) -> int:
        """What is held of the allowance."""
        return self.held - self.held_bonus


@dataclass(frozen=True, slots=True)
class Entitled:
    """What a person gets in a period, and an opaque name of what gives it to them; None: everybody's allowance."""

    credits: int
    source: str | None = None


# Say what a person gets, from the source that the account names: the best that holds for them now.
Entitlement = Callable[[str | None], Entitled]


@dataclass(frozen=True, slots=True)
class Balance:
    """One person's account at one moment. Whole credits; no number is below zero."""

    user_id: int
    available: int
    held: int
    allowance: int  # what a refill fills up to
    refills_at_ms: int | None  # None: this allowance is given once and never refilled
    bonus: int = 0  # of what is available: does not expire, and is used last
    held_bonus: int = 0


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
    bonus_delta: int = 0
    held_bonus_delta: int = 0
    actor_id: int | None = None  # who gave or took by hand
    number: int = 0


@dataclass(frozen=True, slots=True)
class Booking:
    """What a change by hand did, or what it had done when it was asked for before. No number: nothing was booked."""

    number: int | None
    amount: int
    is_new: bool
    user_id: int = field(kw_only=True)  # whose account it is


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """An account whose numbers differ from the sum of its entries: a fault of the ledger."""

    user_id: int
    account: Amounts
    by_entries: Amounts


def bonus_of_holds(count: int, amount: int, of_allowance: int) -> list[int]:
    """Return how much of each of *count* holds of *amount* is bonus, when *of_allowance* is used up first."""
    return [amount - min(amount, max(0, of_allowance - amount * position)) for position in range(count)]


def charge(hold: Amounts, charged: int) -> Amounts:
    """Return the change by which *hold*, an entry's, is settled: what is of the allowance is charged first."""
    bonus_back = min(hold.held_bonus, hold.held - charged)
    return Amounts(hold.held - charged, -hold.held, bonus_back, -hold.held_bonus)


def take_up_to(account: Amounts, amount: int) -> Amounts:
    """Return the change that takes *amount*, or what is available: bonus first, never what is held."""
    taken = min(amount, account.available)
    return Amounts(-taken, 0, -min(taken, account.bonus), 0)
