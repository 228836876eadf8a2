"""Send the chart of what a server used, privately, to its admin. Must not know SQL."""

from __future__ import annotations

import io

import discord

from charts.plot import MAX_TOP
from charts.usage_report import describe
from ui.interactions.admin_screen import admins_guild
from ui.interactions.client import ImagineClient
from ui.interactions.errors import NOBODY, defer
from ui.texts import admin as texts

USAGE_DAYS = 30


async def send_usage(interaction: discord.Interaction[ImagineClient]) -> None:
    """Respond to `/admin usage`. Raises Refusal for anybody but an admin of the server."""
    guild_id, services = admins_guild(interaction), interaction.client.services
    await defer(interaction, private=True)
    report = await services.usage_charts.load(guild_id, USAGE_DAYS, services.clock.now_ms())
    people = [entry.id for entry in report.top[:MAX_TOP]]
    name, names = await services.names.of_guild(guild_id, people)
    labels = {each: names.get(each) or texts.unnamed(each) for each in people}
    png = await services.usage_charts.draw(report, name or texts.USAGE_TITLE, labels)
    file = discord.File(io.BytesIO(png), "usage.png", description=describe(report))
    await interaction.edit_original_response(
        content=texts.usage(USAGE_DAYS), attachments=[file], allowed_mentions=NOBODY
    )
