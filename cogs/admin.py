"""/admin: what the admins of a server set for images there; always private, for this server alone."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from ui.interactions.admin import ADMIN_ITEMS, send_limits
from ui.interactions.admin_submissions import handle_submission
from ui.interactions.client import ImagineClient
from ui.interactions.usage_chart import send_usage


class AdminCog(commands.Cog):
    """The commands /admin limits and usage, and the forms that the screen opens."""

    admin = app_commands.Group(
        name="admin",
        description="What images may be made in this server, and by whom",
        default_permissions=discord.Permissions(manage_guild=True),
        allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
        allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
    )

    @admin.command(name="limits", description="Everything that is set for images in this server, and what changes it")
    async def limits(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_limits(interaction)

    @admin.command(name="usage", description="A chart of the images of this server in the last 30 days")
    async def usage(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await send_usage(interaction)

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Handle a submitted form, whichever process opened it and however long ago."""
        await handle_submission(interaction)


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*ADMIN_ITEMS)
    await bot.add_cog(AdminCog())
