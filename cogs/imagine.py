"""/imagine, the message menu "Imagine this", and the forms that come back: what was typed becomes a request.

Knows neither rows nor the image API.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from generations.model import MAX_COUNT, Request
from generations.prices import price_of
from people.model import Preferences
from qwen.models import PROMPT_MAX, SEED_MAX, SEED_RANDOM, OutputFormat, Size
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import Refusal, handle_errors
from ui.interactions.forms import Filled, Typed, give_back, read_form, show_form
from ui.interactions.preferences import defaults_for
from ui.interactions.requests import parse_request
from ui.texts import buttons as texts_buttons


class SizeOption(app_commands.Transformer):
    """One of the five sizes, offered as a list."""

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]]:
        return [app_commands.Choice(name=size.title, value=size.value) for size in Size]

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> Size:
        return Size(value)  # a ValueError becomes a TransformerError, which has its sentence


class FormatOption(app_commands.Transformer):
    """One of the three file formats, offered as a list."""

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]]:
        return [app_commands.Choice(name=format.value, value=format.value) for format in OutputFormat]

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> OutputFormat:
        return OutputFormat(value)


class ImagineCog(commands.Cog):
    """The command, the menu and the forms that make images."""

    def __init__(self, services: InteractionServices, tree: app_commands.CommandTree[Any]) -> None:
        self._services = services
        self._tree = tree
        # discord.py's decorator for message menus works outside of classes only.
        self._menu = app_commands.ContextMenu(name=texts_buttons.MENU_NAME, callback=self.imagine_this)

    @app_commands.command(
        name="imagine", description=f"Make 1 to {MAX_COUNT} images from a prompt, {price_of(1)} credits each"
    )
    @app_commands.describe(
        prompt=f"What the image shows, up to {PROMPT_MAX} characters",
        size="If left out: as in your /settings, or Square 1024×1024",
        seed="The same seed and prompt make the same image again; left out or -1: a new one",
        format="The file format; if left out: as in your /settings, or jpeg",
        count=f"How many images, 1 to {MAX_COUNT}; each costs {price_of(1)} credits",
        private="Only you can see it; if left out: as in your /settings",
        spoiler="Post it blurred until somebody clicks on it",
    )
    async def imagine(
        self,
        interaction: discord.Interaction[ImagineClient],
        prompt: app_commands.Range[str, 1, PROMPT_MAX],
        size: app_commands.Transform[Size, SizeOption] | None = None,
        seed: app_commands.Range[int, SEED_RANDOM, SEED_MAX] | None = None,
        format: app_commands.Transform[OutputFormat, FormatOption] | None = None,
        count: app_commands.Range[int, 1, MAX_COUNT] = 1,
        private: bool | None = None,
        spoiler: bool = False,
    ) -> None:
        all_typed = size is not None and format is not None and private is not None
        own = Preferences() if all_typed else await defaults_for(interaction.user.id, self._services)
        request = parse_request(
            interaction,
            self._services.rng,
            prompt=prompt,
            size=size or own.size,
            seed=seed,
            format=format or own.format,
            count=count,
            private=own.private if private is None else private,
            spoiler=spoiler,
        )
        await self._services.first_response.open(interaction, request)

    async def imagine_this(self, interaction: discord.Interaction[ImagineClient], message: discord.Message) -> None:
        """The message menu: the form with the message's text as the prompt."""
        text = text_of(message)
        if not text.strip():
            raise Refusal(texts_buttons.NO_TEXT)
        own = await defaults_for(interaction.user.id, self._services)
        await show_form(interaction, Filled(text, size=own.size, format=own.format, private=own.private))

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Every form of ours comes back here, opened by whichever process and however long ago."""
        typed = read_form(interaction)
        if typed is None:
            return
        find = partial(self._find_typed, interaction, typed)
        if not await handle_errors(
            interaction, self._services.first_response.open_found(interaction, find, private=typed.private)
        ):
            await give_back(interaction, typed)

    async def _find_typed(self, interaction: discord.Interaction[ImagineClient], typed: Typed) -> Request:
        filled = typed.read()
        return parse_request(
            interaction,
            self._services.rng,
            prompt=filled.prompt,
            size=filled.size,
            seed=filled.seed,
            format=filled.format,
            count=filled.count,
            private=filled.private,
            spoiler=filled.spoiler,
        )

    async def cog_load(self) -> None:
        self._tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        self._tree.remove_command(self._menu.name, type=self._menu.type)


def text_of(message: discord.Message) -> str:
    """What was written in *message*, or in the message that it forwards."""
    return message.content or next((each.content for each in message.message_snapshots if each.content), "")


async def setup(bot: ImagineClient) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(ImagineCog(bot.services, bot.tree))
