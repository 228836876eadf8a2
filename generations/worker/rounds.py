"""The rounds of the worker's loop: what one finds to do, when the last one ended, and what the owner hears of rounds
that fail."""

from __future__ import annotations

from dataclasses import dataclass

from generations.circuit import CLOSED, Circuit
from generations.clock import Clock
from generations.model import Generation
from generations.ports import Operator
from store.errors import DatabaseLost
from store.key_values import save_value
from store.transactions import Transaction

WRITTEN_KEY = "written:v1"  # of store.key_values: when note_write() ran last, in unix milliseconds
TOLD_SECONDS = 60.0  # without a round for so long the owner is told; a restart of the database takes less


def note_write(tx: Transaction, now_ms: int) -> None:
    """Write something new. While nothing is due, nothing else does, and a full disk would not be noticed: SQLite leaves
    a page alone whose bytes stay the same (sqlite.org/src, `btreeOverwriteContent` in btree.c)."""
    save_value(tx, WRITTEN_KEY, str(now_ms))


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What a round found to do. *began_at*: when the claims were taken, in monotonic seconds. *places*: generations
    whose place in line is to be shown. *more_waits*: the end of any step may let more work begin. *taken_over*:
    of those claimed, how many had a lease that ran out; counted only where metrics are read."""

    began_at: float
    claimed: list[Generation]
    places: list[int]
    next_due_at_ms: int | None
    more_waits: bool = True
    circuit: Circuit = CLOSED
    taken_over: int = 0


@dataclass(slots=True)
class Rounds:
    """*count*: of those that ended whole. *is_database_lost*: the last round failed for the database."""

    clock: Clock
    operator: Operator
    count: int = 0
    is_database_lost: bool = False
    _ended_at: float | None = None  # in monotonic seconds; None: the loop has not begun

    @property
    def age_seconds(self) -> float:
        """How long ago the last whole round ended, or the loop began. Each round reads the database."""
        return 0.0 if self._ended_at is None else self.clock.monotonic() - self._ended_at

    def begin(self) -> None:
        """Note that the loop begins."""
        self._ended_at = self.clock.monotonic()

    def ended(self) -> None:
        """Note the end of a whole round."""
        self.count += 1
        self._ended_at, self.is_database_lost = self.clock.monotonic(), False

    def failed(self, fault: Exception) -> None:
        """Note that a round failed, and tell the owner once that lasts for TOLD_SECONDS."""
        self.is_database_lost = isinstance(fault, DatabaseLost)
        if self.age_seconds < TOLD_SECONDS:
            return
        what = f"{fault}." if self.is_database_lost else f"{type(fault).__name__}; the log says where."
        self.operator.tell(
            "rounds_fail",
            f"For {self.age_seconds:.0f} s no image could be worked on: {what} The bot tries again every second; what "
            "was taken on is kept and goes on by itself.",
        )
