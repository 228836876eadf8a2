"""Who may use /owner: OWNER_IDS, or those who may change the application at Discord."""

from __future__ import annotations

from typing import Any, cast

import discord
import pytest

from discord_api.owners import FRESH_SECONDS, BotOwners, Owners
from tests.doubles import ManualClock

OLGA, ADA, HUGO, RITA, IVO, TEAM = 2**60 + 1, 2**60 + 2, 2**60 + 3, 2**60 + 4, 2**60 + 5, 2**60 + 6


def user(user_id: int) -> dict[str, Any]:
    return {"id": str(user_id), "username": "x", "discriminator": "0", "avatar": None}


def member(user_id: int, role: str, state: int = 2) -> dict[str, Any]:
    return {"user": user(user_id), "team_id": str(TEAM), "membership_state": state, "role": role, "permissions": ["*"]}


class Client:
    """Answers application_info() as Discord does."""

    def __init__(self, team: dict[str, Any] | None = None) -> None:
        self.asked = 0
        self.fault: Exception | None = None
        self.team = team

    async def application_info(self) -> discord.AppInfo:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        about = {"id": "5", "name": "x", "description": "", "icon": None, "summary": "", "verify_key": "0" * 64}
        about |= {
            "bot_public": True,
            "bot_require_code_grant": False,
            "flags": 0,
            "owner": user(OLGA),
            "team": self.team,
        }
        return discord.AppInfo(discord.Client(intents=discord.Intents.none())._connection, cast(Any, about))

    def is_closed(self) -> bool:
        return False


def owners(client: Client, clock: ManualClock, *owner_ids: int) -> BotOwners:
    return BotOwners(cast(discord.Client, client), clock, owner_ids)


def team(*members: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(TEAM), "icon": None, "name": "x", "owner_user_id": str(OLGA), "members": list(members)}


async def test_the_setting_wins_and_discord_is_not_asked() -> None:
    client = Client()
    assert await owners(client, ManualClock(), ADA).load() == Owners(frozenset({ADA}), frozenset({ADA}))
    assert client.asked == 0


async def test_without_a_team_it_is_the_applications_owner() -> None:
    assert await owners(Client(), ManualClock()).load() == Owners(frozenset({OLGA}), frozenset({OLGA}))


async def test_of_a_team_those_may_who_can_change_the_application_and_its_owner_is_alerted() -> None:
    people = (
        *(member(OLGA, "admin"), member(ADA, "admin"), member(HUGO, "developer")),
        *(member(RITA, "read_only"), member(IVO, "admin", state=1)),
    )
    loaded = await owners(Client(team(*people)), ManualClock()).load()
    assert loaded == Owners(frozenset({OLGA}), frozenset({OLGA, ADA, HUGO}))


async def test_who_left_the_team_may_no_longer_after_five_minutes_also_while_discord_is_silent() -> None:
    client, clock = Client(team(member(OLGA, "admin"), member(ADA, "admin"))), ManualClock()
    known = owners(client, clock)
    await known.load()
    client.team, client.fault = team(member(OLGA, "admin")), TimeoutError()
    clock.advance(FRESH_SECONDS - 1)
    assert ADA in (await known.load()).allowed and client.asked == 1
    clock.advance(1)
    with pytest.raises(TimeoutError):
        await known.load()
    client.fault = None
    assert (await known.load()).allowed == {OLGA}
