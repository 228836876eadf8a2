"""Entitlements: what people have bought (Discord docs: Entitlement). Tests give them and take them back."""

from __future__ import annotations

from sandbox.local_discord.errors import unknown_thing
from sandbox.local_discord.payloads.messages import iso_time
from sandbox.local_discord.state.changes import EntitlementChanged
from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.state import State

PURCHASE = 1


class Entitlements:
    def __init__(self, state: State) -> None:
        self._state = state

    def give(self, user_id: int, sku_id: int, kind: int = PURCHASE) -> int:
        """Make a purchase; the bot gets ENTITLEMENT_CREATE on shard 0. Return the entitlement's id."""
        number = self._state.ids.next_id()
        entitlement: Json = {
            "id": str(number),
            "sku_id": str(sku_id),
            "application_id": str(self._state.application_id),
            "user_id": str(user_id),
            "type": kind,
            "deleted": False,
            "consumed": False,
            "starts_at": iso_time(self._state.clock.now_ms()),
            "ends_at": None,
        }
        self._state.entitlements.append(entitlement)
        self._state.tell(EntitlementChanged("ENTITLEMENT_CREATE", entitlement))
        return number

    def take_back(self, entitlement_id: int) -> None:
        """Refund a purchase: ENTITLEMENT_DELETE on shard 0. Raises 404/10029 for an unknown one."""
        entitlement = self._find(entitlement_id)
        entitlement["deleted"] = True
        self._state.tell(EntitlementChanged("ENTITLEMENT_DELETE", entitlement))

    def consume(self, entitlement_id: int) -> None:
        """Mark a purchase as consumed. Raises 404/10029 for an unknown one."""
        self._find(entitlement_id)["consumed"] = True

    def _find(self, entitlement_id: int) -> Json:
        for entitlement in self._state.entitlements:
            if entitlement["id"] == str(entitlement_id):
                return entitlement
        raise unknown_thing(10029, "Entitlement")
