"""All SQL about messages to the bot's owners and to log channels that are sent after the transaction that they tell of.

That transaction adds them. They are deleted once Discord has answered that they were sent or never will be.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from limits import audit
from limits.model import Change, LogLine, News
from limits.tables import outbox
from store.transactions import Transaction

WAITING_MAX = 50  # messages to the owners, and to each log channel; when more wait, the oldest are dropped


def add_news(tx: Transaction, text: str, now_ms: int) -> None:
    """Add a message to the bot's owners. Two of them are sent in the order in which they were added."""
    _add(tx, now_ms, text=text)


def add_log_lines(tx: Transaction, change: Change, channel_ids: Collection[int]) -> None:
    """Add a line about *change* for each of these log channels."""
    for channel_id in dict.fromkeys(channel_ids):
        _add(tx, change.at_ms, channel_id=channel_id, change_number=change.number)


def claim_news(tx: Transaction, now_ms: int, until_ms: int) -> News | None:
    """Take the oldest message to the owners until *until_ms*. None: it is not due, or there is none."""
    oldest = select(outbox).where(outbox.c.channel_id.is_(None)).order_by(outbox.c.number).limit(1)
    row = tx.execute(oldest).one_or_none()
    if row is None or not _claim(tx, row, now_ms, until_ms):
        return None
    return News(row.number, row.text, frozenset(map(int, row.told.split())), row.at_ms)


def claim_lines(tx: Transaction, now_ms: int, until_ms: int, change_number: int | None = None) -> list[LogLine]:
    """Take the lines about one change that are due until *until_ms*; None: the oldest line that is due."""
    wanted = [outbox.c.channel_id.is_not(None), outbox.c.due_at_ms <= now_ms]
    if change_number is not None:
        wanted.append(outbox.c.change_number == change_number)
    due = select(outbox).where(*wanted).order_by(outbox.c.number)
    rows = tx.execute(due.limit(1) if change_number is None else due).all()
    claimed = [row for row in rows if _claim(tx, row, now_ms, until_ms)]
    return [LogLine(row.number, row.channel_id, audit.load_change(tx, row.change_number)) for row in claimed]


def put_off(tx: Transaction, number: int, due_at_ms: int, told: Collection[int]) -> None:
    """Have a message sent later. *told*: the owners who have it."""
    columns = {"due_at_ms": due_at_ms, "told": " ".join(map(str, sorted(told)))}
    tx.execute(update(outbox).where(outbox.c.number == number).values(columns))


def remove(tx: Transaction, number: int) -> None:
    """Delete a message: it was sent, or never will be."""
    tx.execute(delete(outbox).where(outbox.c.number == number))


def _add(
    tx: Transaction, now_ms: int, *, channel_id: int | None = None, change_number: int | None = None, text: str = ""
) -> None:
    times = {"at_ms": now_ms, "due_at_ms": now_ms}
    tx.execute(insert(outbox).values(channel_id=channel_id, change_number=change_number, text=text, told="", **times))
    its_queue = outbox.c.channel_id.is_not_distinct_from(channel_id)
    newest_first = select(outbox.c.number).where(its_queue).order_by(outbox.c.number.desc())
    tx.execute(delete(outbox).where(outbox.c.number.in_(newest_first.limit(WAITING_MAX).offset(WAITING_MAX))))


def _claim(tx: Transaction, row: Row[Any], now_ms: int, until_ms: int) -> bool:
    """Return whether no other process has the message, and it is due."""
    its = (outbox.c.number == row.number) & (outbox.c.due_at_ms <= now_ms)
    return tx.execute(update(outbox).where(its).values(due_at_ms=until_ms)).rowcount == 1
