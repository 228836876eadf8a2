"""The use-cases of /settings. Each method is one transaction. Knows no SQL and no Discord library."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from people import records
from people.model import PreferenceChanges, Preferences
from store.database import Database
from store.statements import serialize
from store.transactions import Transaction


class People:
    """The preferences of all people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def defaults_for(self, user_id: int) -> Preferences:
        """Return this person's preferences, or the common ones."""
        return await self._database.read(records.load_preferences, user_id) or Preferences()

    async def change(self, user_id: int, **changes: Unpack[PreferenceChanges]) -> Preferences:
        """Change some preferences; the others stay. Returns all."""
        return await self._database.run(_change, user_id, changes)


def _change(tx: Transaction, user_id: int, changes: PreferenceChanges) -> Preferences:
    serialize(tx, f"preferences:{user_id}")
    changed = replace(records.load_preferences(tx, user_id) or Preferences(), **changes)
    records.save_preferences(tx, user_id, changed)
    return changed
