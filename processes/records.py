"""All SQL about processes. Each function takes the open transaction first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, RowMapping, bindparam, delete, select

from processes.model import Process, Role
from processes.tables import processes
from store.statements import insert_or_replace
from store.transactions import Transaction

DEAD_MS = 20_000  # a process that was not seen for so long is dead

_is_alive = processes.c.seen_at_ms > bindparam("seen_after_ms", type_=BigInteger)
_LOAD_ALIVE = select(processes).where(_is_alive).order_by(processes.c.started_at_ms, processes.c.name)
_DELETE_DEAD = delete(processes).where(~_is_alive)
_DELETE = delete(processes).where(processes.c.name == bindparam("of_process"))


def note_process(tx: Transaction, process: Process) -> None:
    """Write the row of *process*, in place of its earlier one."""
    insert_or_replace(tx, processes, asdict(process), key=("name",))


def load_alive(tx: Transaction, now_ms: int) -> tuple[Process, ...]:
    """Return the processes that were seen within the last DEAD_MS, those that have run longest first."""
    found = tx.execute(_LOAD_ALIVE, {"seen_after_ms": now_ms - DEAD_MS}).mappings()
    return tuple(_read(row) for row in found)


def delete_dead(tx: Transaction, now_ms: int) -> None:
    """Delete the rows of dead processes. One that was only suspended writes its row again."""
    tx.execute(_DELETE_DEAD, {"seen_after_ms": now_ms - DEAD_MS})


def delete_process(tx: Transaction, name: str) -> None:
    """Delete the row of a process that ends."""
    tx.execute(_DELETE, {"of_process": name})


def _read(row: RowMapping) -> Process:
    columns: dict[str, Any] = dict(row)
    is_known = columns["role"] in {*Role}  # a newer version may know more of them
    columns["role"] = Role(columns["role"]) if is_known else Role.BOT
    return Process(**columns)
