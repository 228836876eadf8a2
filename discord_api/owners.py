"""Who the bot's owners are: the ids of OWNER_IDS, or else whoever owns the application at Discord, which is asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import discord

from discord_api.errors import asking
from generations.clock import Clock

FRESH_SECONDS = 300.0  # who leaves the application's team may still do so much longer what its members may


@dataclass(frozen=True, slots=True)
class Owners:
    """User ids. *alerted*: who gets alerts. *allowed*: who may use /owner."""

    alerted: frozenset[int]
    allowed: frozenset[int]


class BotOwners:
    """The owners. *owner_ids*: OWNER_IDS; empty: those of the application."""

    def __init__(self, client: discord.Client, clock: Clock, owner_ids: Collection[int]) -> None:
        self._client = client
        self._clock = clock
        ids = frozenset(owner_ids)
        self._owners = Owners(ids, ids)
        self._is_set = bool(ids)
        self._asked_at = float("-inf")  # monotonic seconds

    async def load(self) -> Owners:
        """Return the owners; Discord is asked once in FRESH_SECONDS, where it is asked at all.

        Raises discord.HTTPException and those of discord_api.errors.NO_ANSWER, also where an older answer is known:
        somebody may have been taken from the team since.
        """
        if self._is_set or self._clock.monotonic() - self._asked_at < FRESH_SECONDS:
            return self._owners
        with asking(self._client):
            application = await self._client.application_info()
        self._owners = owners_of(application)
        self._asked_at = self._clock.monotonic()
        return self._owners


def owners_of(application: discord.AppInfo) -> Owners:
    """Return the owner, or those of the team. Members who may only read, and those who have not accepted, may not use
    /owner: Discord lets neither change the application (Discord docs: Teams, "Team Member Roles")."""
    team = application.team
    if team is None or team.owner_id is None:
        owner = frozenset({application.owner.id})
        return Owners(owner, owner)
    may_change = (discord.TeamMemberRole.admin, discord.TeamMemberRole.developer)
    accepted = [each for each in team.members if each.membership_state is discord.TeamMembershipState.accepted]
    members = {each.id for each in accepted if each.role in may_change}
    return Owners(frozenset({team.owner_id}), frozenset({team.owner_id, *members}))
