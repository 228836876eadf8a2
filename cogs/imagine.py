"""/imagine, the message menu "Imagine this", and the forms that come back. Each leads to a request.

Must not know rows or the image API.
"""

from __future__ import annotations

from collections.abc import Callable
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
from ui.interactions.command_permissions import IMAGINE, MENU
from ui.interactions.errors import Refusal, handle_errors
from ui.interactions.forms import SubmittedForm, parse_form, send_back_prompt, send_form
from ui.interactions.preferences import defaults_for
from ui.interactions.requests import Options, parse_request
from ui.texts import buttons as texts_buttons
from ui.texts import options


class ListOption(app_commands.Transformer):
    """An option with a list of choices. *parse*: the value of a choice; its ValueError becomes a TransformerError."""

    def __init__(self, option: options.Option, parse: Callable[[str], Size | OutputFormat]) -> None:
        self._option = option
        self._parse = parse

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]]:
        return [app_commands.Choice(name=label, value=value) for value, label in self._option.choices]

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> Size | OutputFormat:
        return self._parse(value)


class ImagineCog(commands.Cog):
    """The command /imagine, the menu "Imagine this" and the forms."""

    def __init__(self, services: InteractionServices, tree: app_commands.CommandTree[Any]) -> None:
        self._services = services
        self._tree = tree
        # discord.py's decorator for message menus does not work inside of classes.
        self._menu = app_commands.ContextMenu(name=texts_buttons.MENU_NAME, callback=self.imagine_this)

    @app_commands.command(
        name="imagine", description=f"Make 1 to {MAX_COUNT} images from a prompt, {price_of(1)} credits each"
    )
    @app_commands.describe(**{option.name: option.description for option in options.OPTIONS})
    async def imagine(
        self,
        interaction: discord.Interaction[ImagineClient],
        prompt: app_commands.Range[str, 1, PROMPT_MAX],
        size: app_commands.Transform[Size, ListOption(options.SIZE, Size)] | None = None,
        seed: app_commands.Range[int, SEED_RANDOM, SEED_MAX] | None = None,
        format: app_commands.Transform[OutputFormat, ListOption(options.FORMAT, OutputFormat)] | None = None,
        count: app_commands.Range[int, 1, MAX_COUNT] = 1,
        private: bool | None = None,
        spoiler: bool = False,
    ) -> None:
        all_typed = size is not None and format is not None and private is not None
        own = Preferences() if all_typed else await defaults_for(interaction.user.id, self._services)
        chosen = Options(
            prompt,
            size or own.size,
            seed,
            format or own.format,
            count,
            own.private if private is None else private,
            spoiler,
        )
        request = parse_request(interaction, self._services.rng, chosen)
        await self._services.first_response.respond(interaction, request)

    async def imagine_this(self, interaction: discord.Interaction[ImagineClient], message: discord.Message) -> None:
        """Send the form with the text of *message* as the prompt."""
        text = text_of(message)
        if not text.strip():
            raise Refusal(texts_buttons.NO_TEXT)
        own = await defaults_for(interaction.user.id, self._services)
        chosen = Options(text, size=own.size, format=own.format, private=own.private)
        await send_form(interaction, chosen, from_menu=True)

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Handle a submitted form, whichever process opened it and however long ago."""
        form = parse_form(interaction)
        if form is None:
            return
        find = partial(self._read_form, interaction, form)
        if not await handle_errors(
            interaction, self._services.first_response.respond_when_found(interaction, find, private=form.private)
        ):
            await send_back_prompt(interaction, form)

    async def _read_form(self, interaction: discord.Interaction[ImagineClient], form: SubmittedForm) -> Request:
        """Parse the form of who may use the command that it stands for. Raises Refusal."""
        await self._services.command_permissions.check(interaction, MENU if form.from_menu else IMAGINE)
        return parse_request(interaction, self._services.rng, form.parse())

    @commands.Cog.listener()
    async def on_raw_app_command_permissions_update(self, event: discord.RawAppCommandPermissionsUpdateEvent) -> None:
        """Note what an admin has changed. Discord sends this event without any intent (its docs: Gateway)."""
        self._services.command_permissions.note_update(event)

    async def cog_load(self) -> None:
        self._tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        self._tree.remove_command(self._menu.name, type=self._menu.type)


def text_of(message: discord.Message) -> str:
    """Return the text of *message*, or of the message that it forwards."""
    return message.content or next((each.content for each in message.message_snapshots if each.content), "")


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    await bot.add_cog(ImagineCog(bot.services, bot.tree))
