"""Small things that must survive a restart and are not worth a table: learned times, the command tree's hash."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, select

from store.database import Transaction
from store.statements import insert_or_replace
from store.tables import memory


async def load_value(tx: Transaction, key: str) -> str | None:
    """What was last saved under *key*, or None."""
    return await tx.scalar(select(memory.c.value).where(memory.c.key == key))


async def save_value(tx: Transaction, key: str, value: str) -> None:
    """Keep *value* under *key*; an older one is forgotten."""
    await insert_or_replace(tx, memory, {"key": key, "value": value}, key=("key",))


async def load_values(tx: Transaction, prefix: str) -> Mapping[str, str]:
    """Everything whose key begins with *prefix*. Reads the whole table: a few hundred rows."""
    rows = await tx.execute(
        select(memory.c.key, memory.c.value).where(memory.c.key.startswith(prefix, autoescape=True))
    )
    return {row.key: row.value for row in rows}


async def delete_values(tx: Transaction, keys: Collection[str]) -> None:
    """Forget what is kept under *keys*."""
    if keys:
        await tx.execute(delete(memory).where(memory.c.key.in_(keys)))
