"""ChannelLookup and Names: what Discord says of channels and members, for how long it counts, and its bad answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.delivery_scene import a_scene
from ui.delivery.channel_lookup import REFUSED_SECONDS, REMEMBERED_SECONDS, ChannelFacts, ChannelLookup
from ui.delivery.names import Names

CHANNEL, GUILD = 2**62 + 7, 2**62 + 9
GET = f"GET /channels/{CHANNEL}"
SAID = {"id": str(CHANNEL), "type": 0, "guild_id": str(GUILD), "nsfw": True}


async def test_a_channel_is_asked_for_once_in_ten_minutes_also_by_many_at_once() -> None:
    async with a_scene() as scene:
        scene.rest.fault(GET, 200, body=SAID, times=9)
        lookup = ChannelLookup(scene.client, scene.clock)
        found = await asyncio.gather(*(lookup.find(CHANNEL) for _ in range(5)))
        assert found == [ChannelFacts(GUILD, age_restricted=True)] * 5
        scene.clock.advance(REMEMBERED_SECONDS - 1)
        await lookup.find(CHANNEL)
        assert scene.rest.tried() == [GET]
        scene.clock.advance(1)
        await lookup.find(CHANNEL)
        assert scene.rest.tried() == [GET, GET]


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (404, 10003)])
async def test_a_refusal_counts_for_a_minute(status: int, code: int) -> None:
    async with a_scene() as scene:
        scene.rest.fault(GET, status, code)
        scene.rest.fault(GET, 200, body=SAID)
        lookup = ChannelLookup(scene.client, scene.clock)
        assert [await lookup.find(CHANNEL), await lookup.find(CHANNEL)] == [None, None]
        scene.clock.advance(REFUSED_SECONDS)
        assert await lookup.find(CHANNEL) is not None
        assert scene.rest.tried() == [GET, GET]


@pytest.mark.parametrize(
    "fault", [{"status": 400}, {"status": 200, "body": []}, {"status": 200, "body": {"guild_id": "x"}}]
)
async def test_an_answer_that_says_nothing_is_not_remembered(fault: dict[str, Any]) -> None:
    async with a_scene() as scene:
        scene.rest.fault(GET, **fault)
        scene.rest.fault(GET, 200, body=SAID)
        lookup = ChannelLookup(scene.client, scene.clock)
        assert await lookup.find(CHANNEL) is None
        assert await lookup.find(CHANNEL) == ChannelFacts(GUILD, age_restricted=True)


async def test_a_channel_without_a_server_or_mark_is_neither() -> None:
    async with a_scene() as scene:
        scene.rest.fault(GET, 200, body={"id": str(CHANNEL), "type": 1})
        assert await ChannelLookup(scene.client, scene.clock).find(CHANNEL) == ChannelFacts(None, age_restricted=False)


async def test_names_that_discord_tells_are_found_and_the_others_are_missing() -> None:
    async with a_scene() as scene:
        guild = f"GET /guilds/{GUILD}"
        for member_id, said in {
            1: {"nick": "Mira", "user": {"username": "mira_1", "global_name": "M"}},
            2: {"nick": None, "user": {"username": "jo", "global_name": "Jonas"}},
            3: {"user": {"username": "sam"}},
            4: {"nick": None},
        }.items():
            scene.rest.fault(f"{guild}/members/{member_id}$", 200, body=said)
        scene.rest.fault(f"{guild}/members/5$", 404, 10007)
        scene.rest.fault(f"{guild}$", 200, body={"id": str(GUILD), "name": "Lighthouse"})
        found = await Names(scene.client, scene.clock).of_guild(GUILD, [1, 2, 3, 4, 5])
        assert found == ("Lighthouse", {1: "Mira", 2: "Jonas", 3: "sam"})


async def test_servers_have_the_names_that_discord_tells_and_no_others() -> None:
    async with a_scene() as scene:
        scene.rest.fault(f"GET /guilds/{GUILD}$", 200, body={"id": str(GUILD), "name": "Lighthouse"})
        scene.rest.fault("GET /guilds/8$", 403, 50001)
        scene.rest.fault("GET /guilds/9$", 200, body={"id": "9"})
        assert await Names(scene.client, scene.clock).of_guilds([GUILD, 8, 9]) == {GUILD: "Lighthouse"}


async def test_names_are_waited_for_three_seconds() -> None:
    async with a_scene() as scene:
        scene.rest.gate.clear()
        scene.rest.arrived.clear()
        naming = asyncio.ensure_future(Names(scene.client, scene.clock).of_guild(GUILD, [1, 2]))
        await scene.rest.arrived.wait()
        scene.clock.advance(3)
        assert await naming == ("", {})
        scene.rest.gate.set()
