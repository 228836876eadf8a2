"""Load and save single values that survive a restart, such as learned times and the hash of the command list."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ScalarSelect, delete, select

from store.statements import insert_or_replace
from store.tables import key_values
from store.transactions import Transaction


def load_value(tx: Transaction, key: str) -> str | None:
    """Return the value under *key*, or None."""
    return tx.scalar(select(key_values.c.value).where(key_values.c.key == key))


def value_of(key: str) -> ScalarSelect[str]:
    """Return the value under *key*, or NULL, as a part of another statement."""
    return select(key_values.c.value).where(key_values.c.key == key).scalar_subquery()


def save_value(tx: Transaction, key: str, value: str) -> None:
    """Save *value* under *key*, in place of an earlier one."""
    insert_or_replace(tx, key_values, {"key": key, "value": value}, key=("key",))


def load_values(tx: Transaction, prefix: str) -> Mapping[str, str]:
    """Return the values whose keys begin with *prefix*, by key. Reads the whole table: a few hundred rows."""
    rows = tx.execute(
        select(key_values.c.key, key_values.c.value).where(key_values.c.key.startswith(prefix, autoescape=True))
    )
    return {row.key: row.value for row in rows}


def delete_values(tx: Transaction, keys: Collection[str]) -> None:
    """Delete *keys* and their values."""
    if keys:
        tx.execute(delete(key_values).where(key_values.c.key.in_(keys)))
