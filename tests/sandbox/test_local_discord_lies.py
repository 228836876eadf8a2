"""What the local Discord can be told to do in another way than the real one."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.local_discord import Lie
from sandbox.local_discord.people.command_checks import Refused
from tests.sandbox.discord_bench import PAINT, Bench, Reply, open_bench, png

V2 = 1 << 15


def gallery(*urls: str, description: str = "a picture") -> list[dict[str, Any]]:
    return [{"type": 12, "items": [{"media": {"url": url}, "description": description} for url in urls]}]


async def post(bench: Bench, channel: str = "gallery", components: Any = None, **more: Any) -> Reply:
    body = {"flags": V2, "components": components or [{"type": 10, "content": "hello"}]}
    return await bench.rest("POST", f"/channels/{bench.channel_id(channel)}/messages", body, **more)


async def test_a_kept_attachment_is_named_by_its_id_alone_only_in_a_lie() -> None:
    async with open_bench() as bench:
        posted = await post(bench, components=gallery("attachment://a.png"), files=[("a.png", png())])
        number = posted.body["components"][0]["items"][0]["media"]["attachment_id"]
        path = f"/channels/{bench.channel_id('gallery')}/messages/{posted.body['id']}"
        edit = {"components": gallery("attachment://a.png"), "attachments": [{"id": number}]}
        refused = await bench.rest("PATCH", path, edit)
        assert (refused.status, refused.code) == (400, 50035)
        assert refused.error_codes() == {"UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"}
        bench.discord.faults.lie(Lie.KEPT_BY_ID_ALONE)
        assert (await bench.rest("PATCH", path, edit)).status == 200


async def test_more_than_10170_bytes_of_text_are_taken_only_in_a_lie() -> None:
    async with open_bench() as bench:
        long = [{"type": 10, "content": "灯" * 3400}]
        assert (await post(bench, components=long)).status == 500
        bench.discord.faults.lie(Lie.NO_TEXT_LIMIT)
        assert (await post(bench, components=long)).status == 200


async def test_the_bot_posts_in_a_private_thread_without_it_only_in_a_lie() -> None:
    async with open_bench() as bench:
        refused = await post(bench, "night-watch")
        assert (refused.status, refused.code) == (403, 50001)
        bench.discord.faults.lie(Lie.OPEN_PRIVATE_THREADS)
        assert (await post(bench, "night-watch")).status == 200
        with pytest.raises(Refused):
            bench.actor("jonas").find_channel("night-watch")
        bench.discord.faults.lie(Lie.OPEN_PRIVATE_THREADS, on=False)
        assert (await post(bench, "night-watch")).status == 403


async def test_commands_for_people_are_made_for_servers_alone_only_in_a_lie() -> None:
    async with open_bench() as bench:
        assert (await bench.register(PAINT)).body[0]["integration_types"] == [0, 1]
        bench.discord.faults.lie(Lie.SERVER_COMMANDS_ONLY)
        assert (await bench.register(PAINT)).body[0]["integration_types"] == [0]
