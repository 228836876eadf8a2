"""The use-cases of /settings. Each method is one transaction. Knows no SQL and no Discord library."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from people import records
from people.model import PreferenceChanges, Preferences
from store.database import Database
from store.statements import serialize


class People:
    """The preferences of all people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def defaults_for(self, user_id: int) -> Preferences:
        """Return this person's preferences, or the common ones."""
        async with self._database.transaction() as tx:
            return await records.load_preferences(tx, user_id) or Preferences()

    async def change(self, user_id: int, **changes: Unpack[PreferenceChanges]) -> Preferences:
        """Change some preferences; the others stay. Returns all."""
        async with self._database.transaction() as tx:
            await serialize(tx, f"preferences:{user_id}")
            changed = replace(await records.load_preferences(tx, user_id) or Preferences(), **changes)
            await records.save_preferences(tx, user_id, changed)
        return changed
