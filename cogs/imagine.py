"""/imagine: a prompt and its options become a request. Knows neither rows nor the image API."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

from generations.model import MAX_COUNT, Request
from generations.prices import price_of
from qwen.models import PROMPT_MAX, SEED_MAX, SEED_RANDOM, OutputFormat, Size
from ui import texts
from ui.answers import Refusal
from ui.arrival import missing_permissions
from ui.opening import Opening

if TYPE_CHECKING:
    from bot import ImagineBot


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
    """The command that makes images."""

    def __init__(self, opening: Opening, rng: random.Random) -> None:
        self._opening = opening
        self._rng = rng

    @app_commands.command(
        name="imagine", description=f"Make 1 to {MAX_COUNT} images from a prompt, {price_of(1)} credits each"
    )
    @app_commands.describe(
        prompt=f"What the image shows, up to {PROMPT_MAX} characters",
        size="Square 1024×1024 if left out",
        seed="The same seed and prompt make the same image again; left out or -1: a new one",
        format="The file format; jpeg if left out",
        count=f"How many images, 1 to {MAX_COUNT}; each costs {price_of(1)} credits",
        private="Only you can see it",
        spoiler="Post it blurred until somebody clicks on it",
    )
    async def imagine(
        self,
        interaction: discord.Interaction[Any],
        prompt: app_commands.Range[str, 1, PROMPT_MAX],
        size: app_commands.Transform[Size, SizeOption] = Size.SQUARE,
        seed: app_commands.Range[int, SEED_RANDOM, SEED_MAX] | None = None,
        format: app_commands.Transform[OutputFormat, FormatOption] = OutputFormat.JPEG,
        count: app_commands.Range[int, 1, MAX_COUNT] = 1,
        private: bool = False,
        spoiler: bool = False,
    ) -> None:
        try:
            request = Request.parse(
                prompt=prompt,
                size=size,
                seed=seed,
                format=format,
                count=count,
                private=private,
                spoiler=spoiler,
                rng=self._rng,
            )
        except ValueError as error:  # its text is a sentence of ours, made to be shown
            raise Refusal(texts.bad_input(str(error))) from None
        missing = missing_permissions(interaction, private=private)
        if missing:
            raise Refusal(texts.permissions_missing(missing))
        await self._opening.open(interaction, request)


async def setup(bot: ImagineBot) -> None:
    """Called by discord.py when the extension is loaded."""

    opening = Opening(bot.generations, bot.delivery, bot.clock, bot.worker.outlook)
    await bot.add_cog(ImagineCog(opening, bot.rng))
