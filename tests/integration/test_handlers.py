"""The tasks in which discord.py handles interactions are found by their names, against the local Discord."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import discord

from discord_api.handlers import finish_handlers, running_handlers
from tests.sandbox.discord_bench import open_bench
from tests.sandbox.test_local_discord_library import TinyBot, running

FOUND: dict[str, bool] = {}


def note(kind: str) -> None:
    """Note whether the task that handles this kind of interaction is found."""
    FOUND[kind] = asyncio.current_task() in running_handlers()


class Press(discord.ui.DynamicItem[discord.ui.Button[Any]], template="press"):
    def __init__(self) -> None:
        super().__init__(discord.ui.Button(label="Press", custom_id="press"))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str]
    ) -> Press:
        return cls()

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        note("button")
        await interaction.response.send_modal(Form())


class Form(discord.ui.Modal, title="Form"):
    word: discord.ui.Label[Any] = discord.ui.Label(text="Word", component=discord.ui.TextInput())

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        note("form")
        await interaction.response.send_message("done")


class NotingBot(TinyBot):
    async def setup_hook(self) -> None:
        self.add_dynamic_items(Press)

        @self.tree.command(description="Press")
        async def press(interaction: discord.Interaction) -> None:
            note("command")
            await interaction.response.send_message(view=discord.ui.View(timeout=None).add_item(Press()))

        await self.tree.sync()


async def test_commands_buttons_and_forms_are_waited_for() -> None:
    FOUND.clear()
    async with open_bench() as bench, running(bench, NotingBot()):
        mira = bench.actor("mira")
        command = await mira.command("gallery", "press")
        message = await mira.wait_for(lambda: mira.answer(command))
        pressed = await mira.press(int(message["id"]), "Press")
        form = await mira.wait_for(lambda: mira.form(pressed))
        submitted = await mira.submit(form, {"Word": "kite"})
        await mira.wait_for(lambda: mira.answer(submitted))
    assert FOUND == {"command": True, "button": True, "form": True}


async def test_handlers_that_take_too_long_are_counted() -> None:
    never = asyncio.Event()
    assert await finish_handlers(0) == 0
    late = asyncio.create_task(never.wait(), name="CommandTree-invoker")
    soon = asyncio.create_task(asyncio.sleep(0), name="discord-ui-modal-dispatch-1")
    other = asyncio.create_task(never.wait(), name="discord.py: on_ready")
    assert await finish_handlers(0.05) == 1
    assert (soon.done(), late.done(), other.done()) == (True, False, False)
    late.cancel()
    other.cancel()
