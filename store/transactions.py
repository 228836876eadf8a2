"""What a database has to offer to store.database: run one plain function as a transaction. Knows no driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from store.errors import DatabaseLost

Transaction = Connection  # first parameter of every function that reads or writes rows
Result = TypeVar("Result")
_AFTERWARDS = "afterwards"  # in Connection.info: what Database.run() calls once the transaction is committed


def after_commit(tx: Transaction, call: Callable[[], None]) -> None:
    """Have *call* called by whoever runs this transaction with Database.run(), once it is committed; never if it is
    rolled back, or if the caller is cancelled before. Such as a line of the log, which has to be true."""
    tx.info[_AFTERWARDS].append(call)


def collect_calls(tx: Transaction) -> list[Callable[[], None]]:
    """Return the list, empty yet, that after_commit() fills in the transaction that begins with *tx*."""
    calls: list[Callable[[], None]] = []
    tx.info[_AFTERWARDS] = calls
    return calls


class Transactions(Protocol):
    """Run works on one database. A work that has been handed over is run to its end, whoever waits for it."""

    async def write(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        """Run *work* in a transaction of its own: commit what it did, or roll it back when it raises.

        *background*: let all others go first. Raises what *work* raises, DatabaseLost, and
        SQLite's own errors.
        """
        ...

    async def read(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        """Run *work*, which writes nothing, so that it delays no write where the database allows that."""
        ...

    async def close(self) -> None:
        """Finish what was handed over, and close every connection."""
        ...


class NoTransactions:
    """Transactions of no database, for services that are built and never called. Each raises DatabaseLost."""

    async def write(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        raise DatabaseLost("no database was opened")

    async def read(self, work: Callable[[Transaction], Result], *, background: bool) -> Result:
        raise DatabaseLost("no database was opened")

    async def close(self) -> None:
        return
