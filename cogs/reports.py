"""The message menu "Report this image", the forms of reports that come back, and the buttons under a report."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.client import ImagineClient
from ui.interactions.errors import handle_errors
from ui.interactions.report_decisions import REPORT_ITEMS, block_reported, parse_block
from ui.interactions.reports import file_report, open_form_for, parse_report
from ui.texts import reports as texts


class ReportsCog(commands.Cog):
    """The menu "Report this image" and the forms."""

    def __init__(self, tree: app_commands.CommandTree[Any]) -> None:
        self._tree = tree
        # discord.py's decorator for message menus does not work inside of classes.
        self._menu = app_commands.ContextMenu(name=texts.MENU_NAME, callback=self.report_this)

    async def report_this(self, interaction: discord.Interaction[ImagineClient], message: discord.Message) -> None:
        """Send the form for the image in *message*."""
        await open_form_for(interaction, message)

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Handle a submitted form, whichever process opened it and however long ago."""
        report, block = parse_report(interaction), parse_block(interaction)
        if report is not None:
            await handle_errors(interaction, file_report(interaction, report))
        elif block is not None:
            await handle_errors(interaction, block_reported(interaction, *block))

    async def cog_load(self) -> None:
        self._tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        self._tree.remove_command(self._menu.name, type=self._menu.type)


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*REPORT_ITEMS)
    await bot.add_cog(ReportsCog(bot.tree))
