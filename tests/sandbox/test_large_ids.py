"""Ids above 2^53: JavaScript's numbers lose their last digits, so all JSON has them as text (Discord docs: Reference,
"Snowflakes")."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from sandbox.clock import SandboxClock
from sandbox.local_discord.state.snowflakes import Snowflakes
from tests.json_numbers import EXACT_MAX, numbers_too_large
from tests.sandbox.discord_bench import Bench
from tests.sandbox.test_local_discord_people import open_page


def ids_in(body: Any) -> Iterator[int]:
    """Yield all texts of a JSON body that are ids."""
    if isinstance(body, dict | list):
        for value in body.values() if isinstance(body, dict) else body:
            yield from ids_in(value)
    elif isinstance(body, str) and body.isdecimal() and int(body) >= EXACT_MAX:
        yield int(body)


def test_no_id_of_the_sandbox_fits_into_a_javascript_number() -> None:
    snowflakes = Snowflakes(SandboxClock())
    ids = [snowflakes.next_id() for _ in range(3000)]
    assert [each for each in ids if int(float(each)) == each] == []
    assert ids == sorted(set(ids))


async def test_the_page_and_the_bot_get_every_id_as_text(bench: Bench) -> None:
    """Of a command with a picked person, an answer with lists that are filled, a form, permissions and a channel."""
    sam, guild = bench.actor("sam"), bench.discord.guilds[0]
    jonas = str(bench.discord.people["jonas"].id)
    page, told = await open_page(bench, "sam"), []
    async with bench.connect() as gateway:
        act = await bench.paint("sam", **{"for": jonas})
        told.append(await gateway.event("INTERACTION_CREATE"))
        chosen = {"id": int(jonas), "type": "user"}  # as discord.py sends it
        filled = {"type": 5, "custom_id": "who", "default_values": [chosen]}
        rows = [
            {"type": 1, "components": [filled]},
            {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]},
        ]
        shown = await act.callback({"type": 4, "data": {"content": f"<@{jonas}>", "components": rows}})
        message_id = int(shown.body["resource"]["message"]["id"])
        sam.press_custom_id(message_id, "who", [jonas])
        told.append(await gateway.event("INTERACTION_CREATE"))
        pressed = bench.act("sam", sam.press_custom_id(message_id, "go"))
        told.append(await gateway.event("INTERACTION_CREATE"))
        field = {"type": 18, "label": "Who", "component": {"type": 5, "custom_id": "whom", "default_values": [chosen]}}
        await pressed.callback({"type": 9, "data": {"title": "T", "custom_id": "form", "components": [field]}})
        told.append((await bench.rest("GET", f"/channels/{bench.channel_id('gallery')}")).body)
        told.append((await bench.rest("GET", f"/channels/{bench.channel_id('gallery')}/messages/{message_id}")).body)
        told.append((await bench.rest("GET", f"/guilds/{guild.id}/members/{jonas}")).body)
        told.append(shown.body)
    async with asyncio.timeout(60):
        frames = [await page.next()]
        while frames[-1]["type"] != "modal":
            frames.append(await page.next())
    assert len(set(ids_in([told, frames]))) > 10
    assert list(numbers_too_large([told, frames])) == []
